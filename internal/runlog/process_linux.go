package runlog

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
)

// processIdentity names this process among those of all machines, boots and containers: process ids mean
// something within a namespace only. It is empty where that can't be told.
func processIdentity() string {
	if scope := processScope(); scope != "" {
		return fmt.Sprintf("%s %d", scope, os.Getpid())
	}
	return ""
}

// processEnded tells whether the process with that identity is known to run no more.
func processEnded(identity string) bool { return errors.Is(signalNothing(identity), syscall.ESRCH) }

// processLives tells whether the process with that identity is known to run.
func processLives(identity string) bool {
	err := signalNothing(identity)
	return err == nil || errors.Is(err, syscall.EPERM)
}

var errElsewhere = errors.New("a process of which nothing can be told from here")

// signalNothing gives what a signal to the process with that identity would give.
func signalNothing(identity string) error {
	var host, boot, namespace string
	var pid int
	if n, err := fmt.Sscan(identity, &host, &boot, &namespace, &pid); n != 4 || err != nil || pid < 1 {
		return errElsewhere
	}
	if host+" "+boot+" "+namespace != processScope() {
		return errElsewhere
	}
	return syscall.Kill(pid, 0)
}

func processScope() string {
	host, err := os.Hostname()
	if err != nil || strings.ContainsAny(host, " \n") {
		return ""
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	namespace, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		return ""
	}
	return host + " " + strings.TrimSpace(string(boot)) + " " + namespace
}
