package cli

import (
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ftrun/ftrun/internal/data"
	"github.com/ftrun/ftrun/internal/runlog"
	"github.com/ftrun/ftrun/spec"
)

// Package spec knows what a file may say, the packages that carry it out what they can do, and neither imports the other.
// Here their tables are held against each other.

func TestMonitorsAreThoseThatTrainingKnows(t *testing.T) {
	if diff := cmp.Diff(slices.Sorted(slices.Values(spec.Monitors)), slices.Sorted(maps.Keys(runlog.Monitors))); diff != "" {
		t.Errorf("monitor takes other metrics than training knows (-spec +runlog):\n%s", diff)
	}
	for name := range runlog.Monitors {
		runlog.Epoch{}.Value(name) // panics for a name that it does not know
	}
}

func TestAugmentationsAreThoseThatPicturesKnow(t *testing.T) {
	image := []string{"resize", "center_crop"}                           // of the image block, not of augment
	needed := map[string][]float64{"degrees": {10}, "brightness": {0.5}} // without these an operation does nothing
	made := map[string][]string{}
	for _, kind := range data.OpKinds() {
		if !slices.Contains(image, kind) {
			made[kind] = slices.Sorted(slices.Values(data.OpParams(kind)))
		}
	}
	said := map[string][]string{}
	for _, kind := range spec.AugmentKinds() {
		var names []string
		bare, full := map[string][]float64{}, map[string][]float64{}
		for _, p := range kind.Params {
			names = append(names, p.Name)
			full[p.Name] = p.Default
			if v, ok := needed[p.Name]; ok {
				bare[p.Name], full[p.Name] = v, v
			}
		}
		said[kind.Name] = slices.Sorted(slices.Values(names))
		short, err := data.NewOp(kind.Name, bare)
		if err != nil {
			t.Errorf("%s without parameters: %v", kind.Name, err)
			continue
		}
		long, err := data.NewOp(kind.Name, full)
		if err != nil {
			t.Errorf("%s with spec's defaults: %v", kind.Name, err)
			continue
		}
		if diff := cmp.Diff(short, long); diff != "" {
			t.Errorf("%s: the defaults are not the same (-data +spec):\n%s", kind.Name, diff)
		}
	}
	if diff := cmp.Diff(said, made); diff != "" {
		t.Errorf("ops takes other operations or parameters than there are (-spec +data):\n%s", diff)
	}
}
