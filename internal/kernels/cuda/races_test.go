//go:build gpu

package cuda_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// ofKernels are the tests of the conformance suite of what kernels of ours compute, but for convolutions, which
// take too long where each access is watched.
const ofKernels = "^TestConformance$/^(Activate|Add|Adam|Adaptive|Avg|BatchNorm|Capture|CopyChannels|Count|CrossEntropy|Dropout|FromNCHW|Max|Pixels|SGD|Scale|Sum|ToNCHW|Update)"

// TestKernelsDoNotRace: no thread of a launch reads or writes what another one writes. The fakes run the threads one after the
// other, in several orders; a race that none of them shows, or that gives the same numbers, is found by who touches what.
func TestKernelsDoNotRace(t *testing.T) {
	if fakes == "" {
		t.Skip("kernels are watched by the fakes")
	}
	watch := func(t *testing.T, tests string, source func(string) string) (string, error) {
		dir := t.TempDir()
		if err := buildFakes(dir, source); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(os.Args[0], "-test.v", "-test.run="+tests)
		cmd.Env = append(os.Environ(), realVariable+"=1", "FTRUN_CUDA_LIBRARIES="+dir)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	t.Run("a race is found", func(t *testing.T) {
		const own, others = "x[i] *= factor;", "x[i] = x[(i + 1) % n] * factor;"
		out, err := watch(t, "^TestConformance$/^Scale$", func(source string) string {
			if !strings.Contains(source, own) {
				t.Fatalf("kernels.cu has no %s", own)
			}
			return strings.Replace(source, own, others, 1)
		})
		if err == nil || !strings.Contains(out, "a race: scale: thread ") {
			t.Errorf("%v\n%s", err, out)
		}
	})
	t.Run("none is there", func(t *testing.T) {
		out, err := watch(t, ofKernels, func(source string) string { return source })
		if err != nil || strings.Contains(out, "a race") || !strings.Contains(out, "--- PASS") {
			t.Errorf("%v\n%s", err, out)
		}
	})
}
