package jpeg

import (
	"os"
	"os/exec"
	"testing"

	"github.com/ftrun/ftrun/internal/host"
)

// plainly runs do without vector instructions.
func plainly(do func()) {
	defer func(was bool) { useAVX2 = was }(useAVX2)
	useAVX2 = false
	do()
}

// TestPortableIsAskedFor runs itself with the environment that asks for it.
func TestPortableIsAskedFor(t *testing.T) {
	if host.Portable() {
		if useAVX2 {
			t.Error("vector instructions are used")
		}
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestPortableIsAskedFor$")
	cmd.Env = append(os.Environ(), host.PathVariable+"="+host.Generic)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
