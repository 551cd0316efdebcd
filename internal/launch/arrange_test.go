package launch

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ftrun/ftrun/planner"
)

// plan makes a plan of runs by hand: each a line of its id, whether it is done, and what it needs, goes on from, shares
// and is started by. Sharings 1 and 2 are of features; settings 1 shows twice as many views of the pictures.
func testPlan(launches []planner.Launch, runs ...planner.Run) *planner.Plan {
	shared := planner.Sharing{Train: &planner.Features{Layer: "avgpool"}}
	return &planner.Plan{
		Format: 1, Version: "0.1.0", Numerics: 1, Launches: launches,
		Datasets: []planner.Dataset{{Name: "shapes"}}, Configs: []planner.Config{{Sweep: "s"}},
		Settings: []planner.Settings{{Epochs: 4, Augment: &planner.Augment{Views: 2}}, {Epochs: 4, Augment: &planner.Augment{Views: 4}}},
		Sharing:  []planner.Sharing{{}, shared, {Val: shared.Train}},
		Runs:     runs,
	}
}

// id is a run's, by a letter.
func id(letter string) string { return strings.Repeat(letter, 16) }

func ids(letters ...string) (list []string) {
	for _, l := range letters {
		list = append(list, id(l))
	}
	return list
}

// sketch draws arrays in short: "1 gpu: a b", "2 gpu features: 1 after 0", "3 gpu: c after 0 ok 1".
func sketch(arrays []Array) (lines []string) {
	for i := range arrays {
		a := &arrays[i]
		line := a.Launch.Name
		if a.Features {
			line += " features"
		}
		line += ":"
		for _, t := range a.Tasks {
			if t.Run == "" {
				line += fmt.Sprintf(" %d", t.Sharing)
			} else {
				line += " " + t.Run[:1]
			}
		}
		for _, at := range a.After {
			line += fmt.Sprintf(" after %d", at)
		}
		for _, at := range a.AfterOK {
			line += fmt.Sprintf(" ok %d", at)
		}
		lines = append(lines, line)
	}
	return lines
}

func TestArrange(t *testing.T) {
	small, large := planner.Launch{Kind: planner.Slurm, Name: "small"}, planner.Launch{Kind: planner.Slurm, Name: "large", GPUs: 2}
	two := []planner.Launch{small, large}
	bounded := small
	bounded.MaxParallel = 2
	for _, test := range []struct {
		name     string
		launches []planner.Launch
		runs     []planner.Run
		max      int
		unshared bool
		want     []string
	}{
		{
			name: "nothing to do", launches: two,
			runs: []planner.Run{{ID: id("a"), Action: planner.Done}},
		},
		{
			name: "one array a launch", launches: two,
			runs: []planner.Run{{ID: id("a"), Launch: 1}, {ID: id("b")}, {ID: id("c"), Launch: 1}, {ID: id("d")}},
			want: []string{"large: a c", "small: b d"},
		},
		{
			name: "each id once, done ones not", launches: two,
			runs: []planner.Run{{ID: id("a")}, {ID: id("b"), Action: planner.Done}, {ID: id("a"), Launch: 1}, {ID: id("c"), Action: planner.Resume}},
			want: []string{"small: a c"},
		},
		{
			name: "weights of other runs", launches: two,
			runs: []planner.Run{
				{ID: id("a")}, {ID: id("b"), Action: planner.Done}, {ID: id("c"), Launch: 1},
				{ID: id("d"), Needs: ids("a", "b")}, {ID: id("e"), Needs: ids("b")}, {ID: id("f"), Launch: 1, Needs: ids("d", "c")}, {ID: id("9"), Needs: ids("8")},
			},
			want: []string{"small: a e 9", "large: c", "small: d after 0", "large: f after 1 after 2"},
		},
		{
			name: "a longer run that stands before the one that it goes on from", launches: two,
			runs: []planner.Run{{ID: id("a"), From: id("b")}, {ID: id("b")}, {ID: id("c"), From: id("a")}},
			want: []string{"small: b", "small: a after 0", "small: c after 1"},
		},
		{
			name: "features of several runs come first, those of one run with it", launches: two,
			runs: []planner.Run{{ID: id("a"), Sharing: 1}, {ID: id("b"), Sharing: 2}, {ID: id("c"), Sharing: 1, Launch: 1}, {ID: id("d")}},
			want: []string{"small features: 1", "small: a b d ok 0", "large: c ok 0"},
		},
		{
			name: "features that are not shared beforehand", launches: two, unshared: true,
			runs: []planner.Run{{ID: id("a"), Sharing: 1}, {ID: id("b"), Sharing: 1}},
			want: []string{"small: a b"},
		},
		{
			name: "features from weights of other runs", launches: two,
			runs: []planner.Run{
				{ID: id("a"), Sharing: 1, Launch: 1}, {ID: id("b"), Sharing: 1},
				{ID: id("c"), Sharing: 2, Needs: ids("a")}, {ID: id("d"), Sharing: 2, Needs: ids("a")},
			},
			want: []string{"large features: 1", "large: a ok 0", "small: b ok 0", "small features: 2 after 1", "small: c d after 1 ok 3"},
		},
		{
			name: "the longer of two trainings shares what the shorter does", launches: two,
			runs: []planner.Run{{ID: id("a"), Sharing: 1, From: id("b"), Settings: 1, Launch: 1}, {ID: id("b"), Sharing: 1}},
			want: []string{"small features: 1", "small: b ok 0", "large: a after 1 ok 0"},
		},
		{
			name: "too long", launches: two, max: 2,
			runs: []planner.Run{{ID: id("a")}, {ID: id("b")}, {ID: id("c")}, {ID: id("d"), Needs: ids("c")}, {ID: id("e"), Needs: ids("a")}},
			want: []string{"small: a b", "small: c", "small: d e after 0 after 1"},
		},
		{
			name: "too long, with a bound on what goes on at a time", launches: []planner.Launch{bounded, large}, max: 2,
			runs: []planner.Run{{ID: id("a")}, {ID: id("b")}, {ID: id("c")}, {ID: id("d")}, {ID: id("e"), Launch: 1}},
			want: []string{"small: a b", "small: c d after 0", "large: e"},
		},
		{
			name: "runs that wait for each other in a plan that was tampered with", launches: two,
			runs: []planner.Run{{ID: id("a"), From: id("b")}, {ID: id("b"), From: id("a")}},
			want: []string{"small: b", "small: a after 0"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.max == 0 {
				test.max = 1000
			}
			p := testPlan(test.launches, test.runs...)
			arrays := Arrange(p, test.max, !test.unshared)
			if diff := cmp.Diff(test.want, sketch(arrays)); diff != "" {
				t.Fatalf("arrays (-want +got):\n%s", diff)
			}
			for i := range arrays {
				a := &arrays[i]
				if want := fmt.Sprintf("%s-%d", ID(arrays), i+1); a.Name != want {
					t.Errorf("array %d is named %q, want %q", i, a.Name, want)
				}
				for _, at := range append(a.After, a.AfterOK...) {
					if at >= i {
						t.Errorf("array %d waits for array %d, which comes after it", i, at)
					}
				}
				checkPart(t, p, a)
			}
			if again := Arrange(p, test.max, !test.unshared); !cmp.Equal(arrays, again) {
				t.Error("the same plan is arranged differently the second time")
			}
		})
	}
}

// checkPart holds an array's own plan to its tasks.
func checkPart(t *testing.T, p *planner.Plan, a *Array) {
	t.Helper()
	part := a.Plan(p)
	if len(part.Runs) != len(a.Tasks) {
		t.Fatalf("%s has %d tasks, and its plan %d runs", a.Name, len(a.Tasks), len(part.Runs))
	}
	for i, task := range a.Tasks {
		r := &part.Runs[i]
		if r.ID != p.Runs[task.Index].ID || !a.Features && r.ID != task.Run {
			t.Errorf("%s: the plan's run %d is %s, and not that of the task", a.Name, i, r.ID)
		}
		if a.Features && (r.Sharing != i || !cmp.Equal(part.Sharing[i], p.Sharing[task.Sharing])) {
			t.Errorf("%s: the plan's sharing %d is not that of the task", a.Name, i)
		}
	}
}

// TestFeaturesOfMostViews: the run that describes features is one that wants all of them.
func TestFeaturesOfMostViews(t *testing.T) {
	p := testPlan(nil, planner.Run{ID: id("a"), Sharing: 1}, planner.Run{ID: id("b"), Sharing: 1, Settings: 1}, planner.Run{ID: id("c"), Sharing: 1})
	arrays := Arrange(p, 10, true)
	if got := arrays[0].Tasks[0]; !arrays[0].Features || got.Index != 1 {
		t.Errorf("the features' task is %+v, want that of run 1", got)
	}
	if kind := arrays[0].Launch.Kind; kind != planner.Local {
		t.Errorf("without a launcher the kind is %q", kind)
	}
}

// TestID: another launch has another id.
func TestID(t *testing.T) {
	base := func() *planner.Plan {
		return testPlan([]planner.Launch{{Kind: planner.Slurm, Name: "c"}}, planner.Run{ID: id("a"), Action: planner.Create}, planner.Run{ID: id("b"), Action: planner.Create})
	}
	seen := map[string]string{ID(Arrange(base(), 10, true)): "base"}
	for name, change := range map[string]func(*planner.Plan){
		"other resources": func(p *planner.Plan) { p.Launches[0].CPUs = 3 },
		"fewer runs":      func(p *planner.Plan) { p.Runs = p.Runs[:1] },
		"another run":     func(p *planner.Plan) { p.Runs[1].ID = id("c") },
		"one is resumed":  func(p *planner.Plan) { p.Runs[1].Action = planner.Resume },
		"another version": func(p *planner.Plan) { p.Version = "0.2.0" },
		"replaced again":  func(p *planner.Plan) { p.Runs[0].Replaces = "2026-01-02T03:04:05Z" },
	} {
		p := base()
		change(p)
		got := ID(Arrange(p, 10, true))
		if other, there := seen[got]; there {
			t.Errorf("%s has the id %s of %s", name, got, other)
		}
		seen[got] = name
		if len(got) != idDigits || strings.Trim(got, "0123456789abcdef") != "" {
			t.Errorf("%s: the id %q is not %d hex digits", name, got, idDigits)
		}
	}
	if got := ID(nil); got != "" {
		t.Errorf("a launch of nothing has the id %q", got)
	}
}

// BenchmarkArrange arranges 100,000 runs of two levels.
func BenchmarkArrange(b *testing.B) {
	var runs []planner.Run
	for i := range 50_000 {
		runs = append(runs, planner.Run{ID: fmt.Sprintf("%016x", i), Sharing: 1})
	}
	for i := range 50_000 {
		runs = append(runs, planner.Run{ID: fmt.Sprintf("%016x", 50_000+i), Needs: []string{fmt.Sprintf("%016x", i)}})
	}
	p := testPlan([]planner.Launch{{Kind: planner.Slurm}}, runs...)
	for b.Loop() {
		Arrange(p, 1000, true)
	}
}
