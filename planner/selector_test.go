package planner

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func names(p *Plan) []string {
	list := []string{}
	for i := range p.Runs {
		list = append(list, p.Name(&p.Runs[i]))
	}
	return list
}

func TestTargetsAndExcludes(t *testing.T) {
	whole := plan(t, newFakeWorld(), chain, Options{})
	idOf := func(name string) string {
		for i := range whole.Runs {
			if whole.Name(&whole.Runs[i]) == name {
				return whole.Runs[i].ID
			}
		}
		t.Fatalf("no run %q", name)
		return ""
	}
	for _, test := range []struct {
		name              string
		targets, excludes []string
		finished          []string // runs by name
		want              []string
	}{
		{"a sweep", []string{"sweep.first"}, nil, nil, []string{
			"first[arch=resnet18, lr=0.1] seed 0", "first[arch=resnet18, lr=0.01] seed 0",
			"first[arch=alexnet, lr=0.1] seed 0", "first[arch=alexnet, lr=0.01] seed 0"}},
		{"values", []string{`sweep.first[arch="resnet18", lr=0.1]`}, nil, nil, []string{"first[arch=resnet18, lr=0.1] seed 0"}},
		{"a target brings what it starts from", []string{"sweep.middle[arch=alexnet,seed=1]"}, nil, nil, []string{
			"first[arch=alexnet, lr=0.1] seed 0", "first[arch=alexnet, lr=0.01] seed 0", "middle[arch=alexnet] seed 1"}},
		{"an id", []string{idOf("first[arch=alexnet, lr=0.01] seed 0")[:8]}, nil, nil, []string{"first[arch=alexnet, lr=0.01] seed 0"}},
		{"two targets", []string{"sweep.first[lr=0.1]", "run:" + idOf("first[arch=alexnet, lr=0.01] seed 0")}, nil, nil, []string{
			"first[arch=resnet18, lr=0.1] seed 0", "first[arch=alexnet, lr=0.1] seed 0", "first[arch=alexnet, lr=0.01] seed 0"}},
		{"an exclude takes what starts from it", nil, []string{"sweep.first[arch=alexnet]"}, nil, []string{
			"first[arch=resnet18, lr=0.1] seed 0", "first[arch=resnet18, lr=0.01] seed 0",
			"middle[arch=resnet18] seed 0", "middle[arch=resnet18] seed 1"}},
		{"unless that has finished", nil, []string{"sweep.first"},
			[]string{"first[arch=resnet18, lr=0.1] seed 0", "first[arch=resnet18, lr=0.01] seed 0"},
			[]string{"middle[arch=resnet18] seed 0", "middle[arch=resnet18] seed 1"}},
		{"both", []string{"sweep.first"}, []string{"sweep.first[lr=0.1]"}, nil, []string{
			"first[arch=resnet18, lr=0.01] seed 0", "first[arch=alexnet, lr=0.01] seed 0"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newFakeWorld()
			for _, name := range test.finished {
				w.store[idOf(name)] = RunState{Finished: true}
			}
			p := plan(t, w, chain, Options{Targets: test.targets, Excludes: test.excludes})
			if diff := cmp.Diff(test.want, names(p)); diff != "" {
				t.Errorf("runs (-want +got):\n%s", diff)
			}
			if err := p.verify(); err != nil {
				t.Error(err)
			}
		})
	}
}

// A run that starts from an excluded one waits for the same run of another sweep.
func TestExcludedRunsOfAnotherSweep(t *testing.T) {
	run := `
  dataset = dataset.ants
  run {
    arch = "alexnet"
    mode = "scratch"
  }
}
`
	p := plan(t, newFakeWorld(), `sweep "a" {`+run+`sweep "b" {`+run+`sweep "c" {
  dataset = dataset.ants
  run {
    arch    = "alexnet"
    mode    = "finetune"
    weights = sweep.a.best
  }
}`, Options{Excludes: []string{"sweep.a"}})
	if diff := cmp.Diff([]string{"b seed 0", "c seed 0"}, names(p)); diff != "" {
		t.Fatalf("runs (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{p.Runs[0].ID}, p.Runs[1].Needs); diff != "" {
		t.Errorf("needs (-want +got):\n%s", diff)
	}
}

func TestATargetDoesNotBringRepeats(t *testing.T) {
	p := plan(t, newFakeWorld(), `sweep "a" {
  dataset = dataset.ants
  matrix { unused = [1, 2] }
  run {
    arch = "alexnet"
    mode = "scratch"
  }
}
sweep "c" {
  dataset = dataset.ants
  run {
    arch    = "alexnet"
    mode    = "finetune"
    weights = sweep.a.best
  }
}`, Options{Targets: []string{"sweep.c"}})
	if diff := cmp.Diff([]string{"a[unused=1] seed 0", "c seed 0"}, names(p)); diff != "" {
		t.Errorf("runs (-want +got):\n%s", diff)
	}
}

func TestSelectorsThatSelectNothing(t *testing.T) {
	for _, test := range []struct{ selector, want string }{
		{"sweep.frist", `there is no such sweep. Did you mean "first"?`},
		{"sweep.first[ach=alexnet]", `sweep.first has no axis "ach". Did you mean "arch"?`},
		{"sweep.first[arch=vgg]", "no combination has these values"},
		{"first[arch=alexnet]", `did you mean "sweep.first[arch=alexnet]"?`},
		{"sweep.first[arch]", "a condition reads axis=value"},
		{"sweep.first[arch=alexnet", "lacks the closing bracket"},
		{"0123456789abcdef", "no id of this plan starts so"},
		{"012", "selects nothing: write sweep.NAME"},
		{"first", "selects nothing: write sweep.NAME"},
		{"", "selects nothing: write sweep.NAME"},
	} {
		t.Run(test.selector, func(t *testing.T) {
			for _, opt := range []Options{
				{Targets: []string{test.selector}}, {Excludes: []string{test.selector}}, {Replace: []string{test.selector}},
			} {
				p, diags := Make(context.Background(), load(t, chain), newFakeWorld().World, opt)
				if p != nil || len(diags) != 1 || !strings.Contains(texts(diags), test.want) {
					t.Errorf("options %+v: got %s; want %q", opt, texts(diags), test.want)
				}
			}
		})
	}
}

func TestActions(t *testing.T) {
	src := `sweep "s" {
  dataset = dataset.ants
  seeds   = range(5)
  run {
    arch = "alexnet"
    mode = "finetune"
  }
}`
	w := newFakeWorld()
	p := plan(t, w, src, Options{})
	actions := func(p *Plan) []Action {
		var list []Action
		for _, r := range p.Runs {
			list = append(list, r.Action)
		}
		return list
	}
	if diff := cmp.Diff([]Action{Create, Create, Create, Create, Create}, actions(p)); diff != "" {
		t.Errorf("with an empty store (-want +got):\n%s", diff)
	}
	w.store[p.Runs[1].ID] = RunState{Finished: true}
	w.store[p.Runs[2].ID] = RunState{Failed: true}
	w.store[p.Runs[3].ID] = RunState{Checkpoint: true}
	w.store[p.Runs[4].ID] = RunState{}
	want := []Action{Create, Done, Replace, Resume, Create}
	if diff := cmp.Diff(want, actions(plan(t, w, src, Options{}))); diff != "" {
		t.Errorf("planned (-want +got):\n%s", diff)
	}
	if err := Refresh(p, w.store, nil); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, actions(p)); diff != "" {
		t.Errorf("refreshed (-want +got):\n%s", diff)
	}
	if s := p.Summarize(); s != (Summary{Configurations: 1, Runs: 5, Trainings: 5, Create: 2, Done: 1, Resume: 1, Replace: 1, Epochs: 60}) {
		t.Errorf("summary %+v", s)
	}

	// What isn't there yet is created, asked for or not.
	want = []Action{Create, Replace, Replace, Replace, Replace}
	if diff := cmp.Diff(want, actions(plan(t, w, src, Options{Replace: []string{"sweep.s"}}))); diff != "" {
		t.Errorf("replaced (-want +got):\n%s", diff)
	}

	// What a saved plan replaces is replaced once: begun since, it is the new run, whatever clocks say of the order.
	w.store[p.Runs[1].ID] = RunState{Finished: true, Started: "noon"}
	w.store[p.Runs[3].ID] = RunState{Checkpoint: true, Started: "noon"}
	p = plan(t, w, src, Options{Replace: []string{p.Runs[1].ID[:6], p.Runs[3].ID[:6]}})
	w.store[p.Runs[3].ID] = RunState{Checkpoint: true, Started: "a minute before noon"}
	for range 2 { // refreshed and saved, and refreshed again
		if err := Refresh(p, w.store, nil); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]Action{Create, Replace, Replace, Resume, Create}, actions(p)); diff != "" {
			t.Errorf("replaced on refreshing (-want +got):\n%s", diff)
		}
	}
}
