package models_test

import (
	"encoding/json"
	"os"
	"slices"
	"testing"

	"github.com/ftrun/ftrun/internal/nn"
	"github.com/ftrun/ftrun/internal/testdata"
	"github.com/ftrun/ftrun/models"
)

// build describes arch with torchvision's default crop.
func build(t *testing.T, arch string, classes int) *nn.Net {
	t.Helper()
	m, ok := models.Lookup(arch)
	if !ok {
		t.Fatalf("no architecture %s", arch)
	}
	net, err := models.Build(arch, classes, m.Crop)
	if err != nil {
		t.Fatal(err)
	}
	return net
}

// readJSON reads a file of the shared test data, or skips the test.
func readJSON(t *testing.T, rel string, v any) {
	t.Helper()
	data, err := os.ReadFile(testdata.Shared(t, rel))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, v); err != nil {
		t.Fatalf("%s: %v", rel, err)
	}
}

// Names, shapes, order and kinds of the entries are those of torchvision's state_dict.
func TestStateDict(t *testing.T) {
	for _, arch := range models.Names() {
		t.Run(arch, func(t *testing.T) {
			var want struct {
				Entries []struct {
					Name, Dtype, Kind string
					Shape             []int
				}
			}
			readJSON(t, "data/golden/state_dicts/"+arch+".json", &want)
			got := build(t, arch, 1000).Params
			if len(got) != len(want.Entries) {
				t.Errorf("%d entries, torchvision has %d", len(got), len(want.Entries))
			}
			for i := range min(len(got), len(want.Entries)) {
				g, w := got[i], want.Entries[i]
				kind := nn.Weight
				switch {
				case w.Dtype == "int64":
					kind = nn.Counter
				case w.Kind == "buffer":
					kind = nn.Buffer
				}
				if g.Name != w.Name || !slices.Equal(g.Shape, w.Shape) || g.Kind != kind {
					t.Fatalf("entry %d is %s %v of kind %d, torchvision has %s %v of kind %d",
						i, g.Name, g.Shape, g.Kind, w.Name, w.Shape, kind)
				}
			}
		})
	}
}
