package launch

import (
	"fmt"
	"math/rand/v2"
	"slices"
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

// guessed asks for what an estimate comes to.
func guessed(l planner.Launch, memory, seconds int64) planner.Launch {
	l.Memory, l.Seconds, l.EstimatedMemory, l.EstimatedTime = memory, seconds, true, true
	return l
}

func TestArrange(t *testing.T) {
	small, large := planner.Launch{Kind: planner.Slurm, Name: "small"}, planner.Launch{Kind: planner.Slurm, Name: "large", GPUs: 2}
	two := []planner.Launch{small, large}
	bounded := small
	bounded.MaxParallel = 2
	fixed, other := bounded, bounded
	fixed.Memory, other.Name = 2, "other"
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
			runs: []planner.Run{{ID: id("a")}, {ID: id("b")}, {ID: id("c")}, {ID: id("d")}, {ID: id("e"), Launch: 1}, {ID: id("f")}},
			want: []string{"small: a b", "small: c d after 0", "small: f after 0 after 1", "large: e"},
		},
		{
			name: "levels of a launcher with a bound", launches: []planner.Launch{bounded, large},
			runs: []planner.Run{{ID: id("a")}, {ID: id("b"), Launch: 1}, {ID: id("c"), Needs: ids("b")}, {ID: id("d"), Launch: 1, Needs: ids("b")}},
			want: []string{"small: a", "large: b", "small: c after 0 after 1", "large: d after 1"},
		},
		{
			name: "features of a launcher with a bound", launches: []planner.Launch{bounded, large},
			runs: []planner.Run{{ID: id("a"), Sharing: 1}, {ID: id("b")}, {ID: id("c"), Sharing: 1}, {ID: id("d"), Launch: 1, Sharing: 1}, {ID: id("e"), Needs: ids("b")}},
			want: []string{"small features: 1", "small: a b c ok 0", "large: d ok 0", "small: e after 0 after 1"},
		},
		{
			name: "resources by the estimates", launches: []planner.Launch{guessed(small, 1, 9), guessed(small, 2, 9)},
			runs: []planner.Run{{ID: id("a")}, {ID: id("b"), Launch: 1}},
			want: []string{"small: a", "small: b"},
		},
		{
			name: "resources by the estimates, with a bound", launches: []planner.Launch{guessed(bounded, 1, 9), guessed(bounded, 2, 8), fixed, guessed(other, 5, 9)},
			runs: []planner.Run{{ID: id("a")}, {ID: id("b"), Launch: 1}, {ID: id("c"), Launch: 2}, {ID: id("d"), Launch: 3}, {ID: id("e"), Launch: 1}},
			want: []string{"small: a b e", "small: c after 0", "other: d"},
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
	for i := range part.Runs {
		if diff := cmp.Diff(&a.Launch, part.LaunchOf(&part.Runs[i])); diff != "" {
			t.Errorf("%s: a run of its plan asks for something else (-array +run):\n%s", a.Name, diff)
		}
	}
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

// TestJoinedArrayAsksForTheMost: what the largest of an array's runs needs, each of its tasks gets.
func TestJoinedArrayAsksForTheMost(t *testing.T) {
	bounded := planner.Launch{Kind: planner.Slurm, Name: "c", MaxParallel: 3}
	p := testPlan([]planner.Launch{guessed(bounded, 5, 60), guessed(bounded, 1, 90), guessed(bounded, 9, 99)},
		planner.Run{ID: id("a")}, planner.Run{ID: id("b"), Launch: 1}, planner.Run{ID: id("c"), Launch: 2, Action: planner.Done})
	arrays := Arrange(p, 10, true)
	if len(arrays) != 1 {
		t.Fatalf("arrays %q, want one", sketch(arrays))
	}
	if diff := cmp.Diff(guessed(bounded, 5, 90), arrays[0].Launch); diff != "" {
		t.Errorf("what it asks for (-want +got):\n%s", diff)
	}
}

// TestArrangedPlansHold arranges plans at random: each run is trained once, with what it asks for, after what it needs; and
// whatever order arrays start and end in, or are cancelled while they wait, no more tasks of a launcher are under way than
// its max_parallel.
func TestArrangedPlansHold(t *testing.T) {
	for seed := range uint64(400) {
		rng := rand.New(rand.NewPCG(seed, 7))
		p := randomPlan(rng)
		arrays := Arrange(p, 1+rng.IntN(6), rng.IntN(4) > 0)
		checkCovers(t, p, arrays)
		for range 5 {
			carryOut(t, rng, arrays)
		}
		if t.Failed() {
			t.Fatalf("seed %d: %q", seed, sketch(arrays))
		}
	}
}

// randomPlan has runs of three launchers, two of which have a bound, in several shapes.
func randomPlan(rng *rand.Rand) *planner.Plan {
	var launches []planner.Launch
	for range 1 + rng.IntN(8) {
		l := planner.Launch{Kind: planner.Slurm, Name: "unbounded", CPUs: 1, GPUs: rng.IntN(2)}
		switch rng.IntN(3) {
		case 0:
			l.Name, l.MaxParallel = "two", 2
		case 1:
			l.Name, l.MaxParallel = "three", 3
		}
		switch rng.IntN(3) {
		case 0:
			l.Memory, l.Seconds = 1<<30, 3600
		case 1:
			l = guessed(l, int64(1+rng.IntN(5)), int64(1+rng.IntN(5)))
		}
		launches = append(launches, l)
	}
	var runs []planner.Run
	for i := range 1 + rng.IntN(30) {
		r := planner.Run{ID: fmt.Sprintf("%016x", i), Launch: rng.IntN(len(launches)), Sharing: rng.IntN(3), Settings: rng.IntN(2)}
		switch {
		case i > 0 && rng.IntN(10) == 0:
			r.ID = runs[rng.IntN(i)].ID // the same settings in another sweep
		case i > 0 && rng.IntN(3) == 0:
			r.Needs = append(r.Needs, runs[rng.IntN(i)].ID)
		case i > 0 && rng.IntN(6) == 0:
			r.From = runs[rng.IntN(i)].ID
		}
		if rng.IntN(8) == 0 {
			r.Action = planner.Done
		}
		runs = append(runs, r)
	}
	return testPlan(launches, runs...)
}

// checkCovers: each run that is to be trained is in one array, which gives it what it asks for and comes after what it
// starts from.
func checkCovers(t *testing.T, p *planner.Plan, arrays []Array) {
	t.Helper()
	in := map[string]int{}
	for i := range arrays {
		a := &arrays[i]
		if awaited := a.Awaited(); len(slices.Compact(slices.Clone(awaited))) != len(awaited) {
			t.Errorf("array %d waits twice for one of %v", i, awaited)
		}
		if a.Features {
			continue
		}
		for _, task := range a.Tasks {
			l := p.LaunchOf(&p.Runs[task.Index])
			if l.Name != a.Launch.Name || l.GPUs != a.Launch.GPUs || l.Memory > a.Launch.Memory || l.Seconds > a.Launch.Seconds {
				t.Errorf("run %s asks for %+v and gets %+v", task.Run, *l, a.Launch)
			}
			if at, there := in[task.Run]; there {
				t.Errorf("run %s is in arrays %d and %d", task.Run, at, i)
			}
			in[task.Run] = i
		}
	}
	for i, first := range newLevels(p).todo {
		if !first {
			continue
		}
		r := &p.Runs[i]
		at, there := in[r.ID]
		if !there {
			t.Errorf("run %s is in no array", r.ID)
			continue
		}
		for _, id := range append(slices.Clone(r.Needs), r.From) {
			if before, trained := in[id]; trained && !slices.Contains(arrays[at].Awaited(), before) {
				t.Errorf("run %s in array %d doesn't wait for run %s in array %d", r.ID, at, id, before)
			}
		}
	}
}

// carryOut is a scheduler that starts arrays as soon as they may, and ends them in any order; some are cancelled while
// they wait.
func carryOut(t *testing.T, rng *rand.Rand, arrays []Array) {
	t.Helper()
	ended := make([]bool, len(arrays))
	running := make([]bool, len(arrays))
	for range arrays {
		underWay, bound := map[string]int{}, map[string]int{}
		var going []int
		for i := range arrays {
			a := &arrays[i]
			waits := slices.ContainsFunc(a.Awaited(), func(at int) bool { return !ended[at] })
			running[i] = running[i] || !ended[i] && !waits
			if !running[i] {
				continue
			}
			going = append(going, i)
			if l := &a.Launch; l.MaxParallel > 0 {
				underWay[l.Name] += min(len(a.Tasks), l.MaxParallel)
				bound[l.Name] = l.MaxParallel
			}
		}
		for name, n := range underWay {
			if n > bound[name] {
				t.Errorf("%d tasks of launcher %s are under way, and %d may be", n, name, bound[name])
			}
		}
		if len(going) == 0 {
			t.Fatal("arrays wait for each other")
		}
		i := going[rng.IntN(len(going))]
		if cancelled := rng.IntN(len(arrays)); !ended[cancelled] && rng.IntN(4) == 0 {
			i = cancelled
		}
		ended[i], running[i] = true, false
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
