package runlog

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

func TestLeaseOfAProcessThatHasEndedIsTakenOverAtOnce(t *testing.T) {
	if processScope() == "" {
		t.Skip("processes can't be told apart here")
	}
	ended := exec.Command("true")
	if err := ended.Run(); err != nil {
		t.Skip(err)
	}
	dead := fmt.Sprintf("%s %d", processScope(), ended.Process.Pid)
	tests := map[string]struct {
		identity string
		free     bool
	}{
		"ended":                {dead, true},
		"alive":                {processIdentity(), false},
		"of another machine":   {"elsewhere" + dead, false},
		"of another namespace": {strings.Replace(dead, "pid:[", "pid:[1", 1), false},
		"not known":            {"", false},
		"not to be read":       {"a b c d", false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := Open(t.TempDir()).Run("aa")
			if err := os.MkdirAll(r.Dir, 0o777); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(r.path(leaseFile), []byte("process 1\n5\n"+test.identity+"\n"), 0o666); err != nil {
				t.Fatal(err)
			}
			lease, err := r.Acquire("process 2")
			var busy *BusyError
			if test.free != (err == nil) || !test.free && !errors.As(err, &busy) {
				t.Fatalf("error %v", err)
			}
			if lease != nil {
				if !lease.Held() {
					t.Error("it is not held")
				}
				lease.Release()
			}
		})
	}
}
