package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// machine is what the figures depend on beside the programs.
type machine struct {
	cpu    string
	cores  int
	memory float64 // GiB; 0: unknown
	date   time.Time
}

func describeMachine(now time.Time) machine {
	m := machine{cpu: runtime.GOARCH, cores: runtime.NumCPU(), date: now}
	info, _ := os.ReadFile("/proc/cpuinfo")
	field := func(name string) string {
		for l := range strings.Lines(string(info)) {
			if key, value, ok := strings.Cut(l, ":"); ok && strings.TrimSpace(key) == name {
				return strings.TrimSpace(value)
			}
		}
		return ""
	}
	if name := field("model name"); name != "" {
		m.cpu = fmt.Sprintf("%s (family %s, model %s)", name, field("cpu family"), field("model"))
	} else if out, err := exec.Command("sysctl", "-n", "machdep.cpu.brand_string").Output(); err == nil {
		m.cpu = strings.TrimSpace(string(out))
	}
	var kib float64
	if b, err := os.ReadFile("/proc/meminfo"); err == nil {
		fmt.Sscanf(string(b), "MemTotal: %f kB", &kib)
	}
	m.memory = kib / (1 << 20)
	return m
}

// usage is what all processors have done since the machine started.
type usage struct {
	cores       int
	busy, total float64 // in ticks
}

// readUsage reads Linux's count; ok is false elsewhere.
func readUsage() (u usage, ok bool) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return u, false
	}
	for l := range strings.Lines(string(b)) {
		// user, nice, system, idle, iowait, irq, softirq, steal
		var name string
		var t [8]float64
		if n, _ := fmt.Sscan(l, &name, &t[0], &t[1], &t[2], &t[3], &t[4], &t[5], &t[6], &t[7]); n != 9 || !strings.HasPrefix(name, "cpu") {
			continue
		}
		if name != "cpu" {
			u.cores++
			continue
		}
		for _, x := range t {
			u.total += x
		}
		u.busy = u.total - t[3] - t[4]
	}
	return u, u.cores > 0
}

// othersSince is the share of all processors that was used between before and u, less what a process took of it that ran
// all the while, used processors for own and ended after wall.
func (u usage) othersSince(before usage, own, wall time.Duration) float64 {
	share := (u.busy-before.busy)/max(u.total-before.total, 1) - own.Seconds()/(wall.Seconds()*float64(u.cores))
	return max(share, 0)
}
