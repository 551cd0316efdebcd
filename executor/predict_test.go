package executor

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ftrun/ftrun/internal/kernels"
	"github.com/ftrun/ftrun/internal/kernels/cpu"
	"github.com/ftrun/ftrun/planner"
)

// TestBytesOfPredictedPictures: a device that normalises says the same of pictures, in batches of any size, and gets their bytes.
func TestBytesOfPredictedPictures(t *testing.T) {
	l := newLab(t)
	id := l.run(func(s *planner.Settings) { s.Epochs = 1 })
	l.apply(1, 0, 0, 0)
	var paths []string
	for i := range predictBatch + 3 {
		paths = append(paths, writePicture(t, filepath.Join(t.TempDir(), fmt.Sprintf("%d.png", i)), i))
	}
	paths = slices.Insert(paths, 2, filepath.Join(t.TempDir(), "none.png"))
	predict := func(device kernels.Device) []Answer {
		p, err := NewPredictor(device, l.network(id, "squeezenet1_1", nil))
		if err != nil {
			t.Fatal(err)
		}
		answers, err := p.Predict(t.Context(), paths, 2)
		if err := errors.Join(err, p.Close()); err != nil {
			t.Fatal(err)
		}
		if answers[2].Err == nil {
			t.Error("a picture that is not there is classified")
		}
		return slices.Delete(answers, 2, 3)
	}
	device, err := cpu.New(1)
	if err != nil {
		t.Fatal(err)
	}
	defer device.Close()
	copied := 0
	if d := cmp.Diff(predict(device), predict(&normalizing{device, 0, &copied})); d != "" {
		t.Errorf("normalised here and there: %s", d)
	}
	if want := (predictBatch + 3) * 3 * size * size; copied != want {
		t.Errorf("%d bytes are copied, want %d", copied, want)
	}
}
