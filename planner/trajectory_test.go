package planner

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// shelved is a store that knows the trajectories of its runs.
type shelved struct {
	fakeStore
	trajectories map[string][]string
}

func (s shelved) Trajectories() (map[string][]string, error) { return s.trajectories, nil }

func TestALongerRunGoesOnWhereAShorterOneEnds(t *testing.T) {
	run := func(epochs, rest string) string {
		return sweepOf("arch = \"alexnet\"\n mode = \"scratch\"\n epochs = " + epochs + "\n" + rest)
	}
	const other = "00112233445566ff"
	for _, test := range []struct {
		name   string
		src    string
		store  RunState // of the other run; zero: there is none
		action Action
		from   string
	}{
		{"nothing is there", run("9", ""), RunState{}, Create, ""},
		{"a shorter one", run("9", ""), RunState{Finished: true, Checkpoint: true, Epochs: 5}, Resume, other},
		{"an unfinished one", run("9", ""), RunState{Checkpoint: true, Epochs: 2}, Resume, other},
		{"one of the same length", run("9", ""), RunState{Checkpoint: true, Epochs: 9}, Resume, other},
		{"a longer one", run("9", ""), RunState{Checkpoint: true, Epochs: 10}, Create, ""},
		{"one without a checkpoint", run("9", ""), RunState{Finished: true, Epochs: 5}, Create, ""},
		{"one that has done no epoch", run("9", ""), RunState{Checkpoint: true}, Create, ""},
		{"another early stopping", run("9", "early_stop { patience = 3 }"), RunState{Checkpoint: true, Epochs: 5}, Resume, other},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newFakeWorld()
			trajectory := plan(t, w, test.src, Options{}).Runs[0].Trajectory
			s := shelved{fakeStore{}, map[string][]string{trajectory: {other}}}
			if test.store != (RunState{}) {
				s.fakeStore[other] = test.store
			}
			w.Store = s
			p := plan(t, w, test.src, Options{})
			if r := p.Runs[0]; r.Action != test.action || r.From != test.from {
				t.Errorf("%s from %q, want %s from %q", r.Action, r.From, test.action, test.from)
			}
			// Later, the plan was saved, and the other one's checkpoint is gone.
			w.Store = shelved{fakeStore{}, nil}
			if err := Refresh(p, w.Store, nil); err != nil {
				t.Fatal(err)
			}
			if p.Runs[0].Action != Create {
				t.Errorf("refreshed: %s", p.Runs[0].Action)
			}
		})
	}
}

func TestRunsOfOneTrajectoryInOnePlanFollowEachOther(t *testing.T) {
	const src = `
sweep "s" {
  dataset = dataset.ants
  matrix {
    epochs   = [10, 2, 5]
    schedule = ["step", "cosine"]
  }
  run {
    arch   = "alexnet"
    mode   = "scratch"
    epochs = matrix.epochs
    schedule {
      kind      = matrix.schedule
      step_size = matrix.schedule == "step" ? 3 : null
    }
  }
}
`
	w := newFakeWorld()
	p := plan(t, w, src, Options{})
	name := map[string]string{"": ""}
	for i := range p.Runs {
		name[p.Runs[i].ID] = strings.TrimSuffix(strings.TrimPrefix(p.Name(&p.Runs[i]), "s["), "] seed 0")
	}
	got := map[string]string{}
	for _, r := range p.Runs {
		got[name[r.ID]] = name[r.From]
		if r.Action != Create {
			t.Errorf("%s: %s", name[r.ID], r.Action)
		}
	}
	want := map[string]string{
		"epochs=10, schedule=step": "epochs=5, schedule=step", "epochs=5, schedule=step": "epochs=2, schedule=step", "epochs=2, schedule=step": "",
		"epochs=10, schedule=cosine": "", "epochs=5, schedule=cosine": "", "epochs=2, schedule=cosine": "", // which depend on the number of epochs
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	back, err := Load(saved(t, p))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(p.Runs, back.Runs); d != "" {
		t.Errorf("it does not survive saving: %s", d)
	}
}

func TestADamagedRunIsPlannedAgain(t *testing.T) {
	src := sweepOf("arch = \"alexnet\"\n mode = \"scratch\"")
	w := newFakeWorld()
	id := plan(t, w, src, Options{}).Runs[0].ID
	for name, test := range map[string]struct {
		state RunState
		want  Action
	}{
		"its checkpoint serves": {RunState{Finished: true, Damage: "x is gone", Checkpoint: true}, Resume},
		"it has none":           {RunState{Finished: true, Damage: "x is gone"}, Replace},
		"of unknown state":      {RunState{Damage: "x is gone"}, Replace},
	} {
		w.store[id] = test.state
		p := plan(t, w, src, Options{})
		if p.Runs[0].Action != test.want || len(p.Warnings) != 1 || !strings.Contains(p.Warnings[0], "x is gone") {
			t.Errorf("%s: %s, warnings %q", name, p.Runs[0].Action, p.Warnings)
		}
	}
}
