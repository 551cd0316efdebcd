package spec

import (
	"strings"
	"testing"
)

// text renders diagnostics for a failure message.
func text(t testing.TB, s *Spec, diags Diagnostics) string {
	t.Helper()
	var b strings.Builder
	if err := WriteText(&b, diags, s.Files(), 80, false); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// load parses one file in memory and fails the test where it has errors.
func load(t testing.TB, src string) *Spec {
	t.Helper()
	s, diags := LoadSources(map[string][]byte{"main.hcl": []byte(src)}, Options{Version: "0.1.0"})
	if len(diags) > 0 {
		t.Fatalf("unexpected diagnostics:\n%s", text(t, s, diags))
	}
	return s
}

// combinations expands a sweep and fails the test where that has errors.
func combinations(t testing.TB, s *Spec, sw *Sweep) []Combination {
	t.Helper()
	var all []Combination
	for c, diags := range sw.Combinations() {
		if len(diags) > 0 {
			t.Fatalf("unexpected diagnostics:\n%s", text(t, s, diags))
		}
		all = append(all, c)
	}
	return all
}

func TestTutorial(t *testing.T) {
	s, diags := Load("testdata/valid/tutorial.hcl", Options{Version: "0.1.0"})
	if len(diags) > 0 {
		t.Fatalf("unexpected diagnostics:\n%s", text(t, s, diags))
	}
	sw := s.Sweep("tutorial")
	all := combinations(t, s, sw)
	if got, want := len(all), 6*3-1+1; got != want {
		t.Errorf("%d combinations, want %d", got, want)
	}
	if got, want := sw.Size(), (6*3+1)*6; got != want {
		t.Errorf("Size() = %d, want %d", got, want)
	}
	r, diags := sw.Run(all[0], 3)
	if len(diags) > 0 {
		t.Fatalf("unexpected diagnostics:\n%s", text(t, s, diags))
	}
	if r.Arch != "resnet18" || r.Mode != "finetune" || *r.Epochs != 15 || *r.Optimizer.Momentum != 0.9 ||
		r.Dataset.Path != "testdata/valid/data/hymenoptera_data" || len(r.Augment.Ops) != 2 {
		t.Errorf("run is %+v", r)
	}
}
