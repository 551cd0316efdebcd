package planner

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestLaunchOfIsNeverNil(t *testing.T) {
	p := plan(t, newFakeWorld(), sweepOf("arch = \"alexnet\"\n mode = \"scratch\""), Options{})
	if l := p.LaunchOf(&p.Runs[0]); l.Kind != Local || l.Name != "" {
		t.Errorf("a plan without launches has %+v", l)
	}
	p.Launches = []Launch{{Kind: Slurm, Name: "a"}, {Kind: Slurm, Name: "b"}}
	p.Runs[0].Launch = 1
	if l := p.LaunchOf(&p.Runs[0]); l.Name != "b" {
		t.Errorf("the launch is %+v", l)
	}
}

// A part of a plan holds its runs, what they refer to, and nothing else; it is itself a plan that can be saved and loaded.
func TestOnly(t *testing.T) {
	w := newFakeWorld()
	w.Costs = &fakeCosts{}
	p := plan(t, w, chain, Options{Target: "chain.hcl"})
	p.Launches = []Launch{{Kind: Slurm, Name: "unused"}, {Kind: Slurm, Name: "cluster", CPUs: 4, Extra: []string{"--exclusive"}}}
	for i := range p.Runs {
		p.Runs[i].Launch = 1
	}
	whole := *p
	whole.Runs = slices.Clone(p.Runs)
	middle := func(r *Run) bool { return p.Configs[r.Config].Sweep == "middle" && r.Seed == 1 }
	part := p.Only(middle)
	if diff := cmp.Diff(&whole, p); diff != "" {
		t.Errorf("the whole plan was changed (-before +after):\n%s", diff)
	}
	if len(part.Runs) != 2 || len(part.Configs) != 2 || len(part.Launches) != 1 || len(part.Settings) != 2 || len(part.Datasets) != 1 {
		t.Errorf("%d runs, %d configurations, %d launches, %d settings, %d data sets", len(part.Runs), len(part.Configs),
			len(part.Launches), len(part.Settings), len(part.Datasets))
	}
	for i := range part.Runs {
		r := &part.Runs[i]
		j := slices.IndexFunc(p.Runs, func(of Run) bool { return of.ID == r.ID })
		of := &p.Runs[j]
		if len(r.Needs) == 0 || !slices.Equal(r.Needs, of.Needs) {
			t.Errorf("%s needs %v, in the whole plan %v", part.Name(r), r.Needs, of.Needs)
		}
		if part.Name(r) != p.Name(of) || part.Estimate(r) != p.Estimate(of) {
			t.Errorf("%s was %s; its estimate is %v and was %v", part.Name(r), p.Name(of), part.Estimate(r), p.Estimate(of))
		}
		if diff := cmp.Diff(part.Settings[r.Settings], p.Settings[of.Settings]); diff != "" {
			t.Errorf("%s has other settings:\n%s", part.Name(r), diff)
		}
		if diff := cmp.Diff(part.LaunchOf(r), p.LaunchOf(of)); diff != "" {
			t.Errorf("%s has another launch:\n%s", part.Name(r), diff)
		}
	}
	back, err := Load(saved(t, part))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(part, back, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("a part doesn't survive saving (-saved +loaded):\n%s", diff)
	}
	if none := p.Only(func(*Run) bool { return false }); len(none.Runs)+len(none.Settings)+len(none.Launches) != 0 {
		t.Errorf("nothing was kept, and there is %+v", none)
	}
}

// A whole plan in which a run comes before one that it waits for is told from a part that lacks it.
func TestLoadRefusesAWrongOrder(t *testing.T) {
	p := plan(t, newFakeWorld(), chain, Options{})
	slices.Reverse(p.Runs)
	if _, err := Load(saved(t, p)); err == nil || !strings.Contains(err.Error(), "doesn't come before it") {
		t.Errorf("got %v", err)
	}
}
