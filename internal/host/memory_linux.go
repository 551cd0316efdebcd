package host

import (
	"bufio"
	"bytes"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
)

func ownMemory() (Memory, bool) { return memoryIn(os.DirFS("/")) }

// memoryIn reads the kernel's files in the file system that holds them: the machine's own memory (proc_meminfo(5)), and
// what the control groups that the process is in, one in the other, leave of it.
func memoryIn(root fs.FS) (Memory, bool) {
	info := fields(root, "proc/meminfo", 1<<10)
	m := Memory{Total: info["MemTotal:"], Available: info["MemAvailable:"]}
	if m.Available == 0 { // before Linux 3.14
		m.Available = info["MemFree:"] + info["Cached:"]
	}
	if m.Total == 0 {
		return Memory{}, false
	}
	groups, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return m, true
	}
	// Each line is hierarchy:controllers:path (cgroups(7)); version 2 has no controllers. In a container the path may be
	// that outside of it, of which only the end, if anything, is to be found.
	for line := range strings.Lines(string(groups)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		h := &version2
		if parts[1] != "" {
			h = &version1
			if !strings.Contains(","+parts[1]+",", ",memory,") {
				continue
			}
		}
		for dir := path.Clean("/" + parts[2]); ; dir = path.Dir(dir) {
			h.bound(&m, root, h.mount+dir)
			if dir == "/" {
				break
			}
		}
	}
	return m, true
}

// hierarchy is where and how a version of control groups tells of memory.
type hierarchy struct {
	mount    string
	limits   []string
	usage    string
	inactive string // of memory.stat: files that were read and can be dropped
}

var (
	version1 = hierarchy{"sys/fs/cgroup/memory", []string{"memory.limit_in_bytes"}, "memory.usage_in_bytes", "total_inactive_file"}
	version2 = hierarchy{"sys/fs/cgroup", []string{"memory.max", "memory.high"}, "memory.current", "inactive_file"}
)

// bound lowers m to what the group in dir, if it is there and has a limit, has and leaves.
func (h *hierarchy) bound(m *Memory, root fs.FS, dir string) {
	for _, name := range h.limits {
		limit, ok := number(root, path.Join(dir, name))
		if !ok {
			continue // "max", or not there
		}
		m.Total = min(m.Total, limit)
		if usage, ok := number(root, path.Join(dir, h.usage)); ok {
			reclaimable := min(fields(root, path.Join(dir, "memory.stat"), 1)[h.inactive], usage)
			m.Available = min(m.Available, max(limit-usage+reclaimable, 0))
		}
	}
	m.Available = min(m.Available, m.Total)
}

// number reads a file that holds one.
func number(root fs.FS, name string) (int64, bool) {
	raw, err := fs.ReadFile(root, name)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(raw)), 10, 64)
	return n, err == nil && n >= 0
}

// fields reads the first number of each line of a file, in units of so many bytes, by the word before it.
func fields(root fs.FS, name string, unit int64) map[string]int64 {
	values := map[string]int64{}
	raw, err := fs.ReadFile(root, name)
	if err != nil {
		return values
	}
	lines := bufio.NewScanner(bytes.NewReader(raw))
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		if len(words) < 2 {
			continue
		}
		if n, err := strconv.ParseInt(words[1], 10, 64); err == nil {
			values[words[0]] = n * unit
		}
	}
	return values
}
