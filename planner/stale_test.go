package planner

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/zclconf/go-cty/cty"

	"github.com/ftrun/ftrun/spec"
)

func TestStale(t *testing.T) {
	w := newFakeWorld()
	p := plan(t, w, tour, Options{})
	fresh := Inputs{Sources: load(t, tour).Sources}
	for _, test := range []struct {
		name   string
		change func(w *fakeWorld, in *Inputs)
		want   []string
	}{
		{"nothing has changed", func(*fakeWorld, *Inputs) {}, nil},
		{"progress in the store", func(w *fakeWorld, _ *Inputs) { w.store[p.Runs[0].ID] = RunState{Finished: true} }, nil},
		{"another ftrun", func(w *fakeWorld, _ *Inputs) { w.Version = "0.2.0" }, nil},
		{"the same variable", func(_ *fakeWorld, in *Inputs) {
			in.Variables = map[string]cty.Value{"n": cty.NumberIntVal(3)}
		}, nil},
		{"another variable", func(_ *fakeWorld, in *Inputs) {
			in.Variables = map[string]cty.Value{"n": cty.NumberIntVal(4)}
		}, []string{`the variable "n" is 4, the plan was made with 3`}},
		{"a file changed", func(_ *fakeWorld, in *Inputs) {
			in.Sources = []spec.Source{{Path: "test.hcl", SHA256: "other"}}
		}, []string{"test.hcl has changed"}},
		{"a file gone, another new", func(_ *fakeWorld, in *Inputs) {
			in.Sources = []spec.Source{{Path: "x.hcl", SHA256: "other"}}
		}, []string{"test.hcl is gone", "x.hcl is new"}},
		{"data", func(w *fakeWorld, _ *Inputs) { w.data.changed = "!" }, []string{`the data set "ants" has changed`}},
		{"weights", func(w *fakeWorld, _ *Inputs) { w.weights.changed = "!" }, []string{"the weights a/file.pth have changed"}},
		{"numerics", func(w *fakeWorld, _ *Inputs) { w.Numerics = 2 },
			[]string{"the arithmetic has version 2, the plan was made for version 1"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			w, in := newFakeWorld(), fresh
			test.change(w, &in)
			got, err := Stale(context.Background(), p, in, w.World)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("reasons (-want +got):\n%s", diff)
			}
		})
	}
}
