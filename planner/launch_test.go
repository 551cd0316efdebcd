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

const onCluster = `
launcher "slurm" "cluster" {
  partition    = "gpu"
  gpus         = matrix.arch == "resnet18" ? 2 : 0
  cpus         = 2
  memory       = matrix.arch == "resnet18" ? "8GiB" : null
  max_parallel = 20
  extra        = ["--exclusive"]
}
launcher "slurm" "plain" {}
launcher "local" "workstation" {
  threads = 3
  memory  = "8GiB"
}
launcher "local" "other" { threads = 3 }
launcher "k8s" "pods" {
  image = "i"
  claim = "c"
}
sweep "a" {
  dataset  = dataset.ants
  LAUNCHER
  seeds    = range(2)
  matrix { arch = ["resnet18", "alexnet"] }
  run {
    arch   = matrix.arch
    mode   = "scratch"
    epochs = 1000
  }
}
`

func withLauncher(attribute string) string {
	return strings.Replace(onCluster, "LAUNCHER", attribute, 1)
}

func TestLaunches(t *testing.T) {
	w := newFakeWorld()
	w.Costs = &fakeCosts{}
	src := withLauncher("launcher = launcher.slurm.cluster")
	p := plan(t, w, src, Options{})
	cluster := Launch{Kind: Slurm, Name: "cluster", Partition: "gpu", CPUs: 2, MaxParallel: 20, Extra: []string{"--exclusive"}}
	resnet, alexnet := cluster, cluster
	resnet.GPUs, resnet.Memory = 2, 8<<30
	alexnet.Memory, alexnet.EstimatedMemory = leastMemory, true
	// 2,010 s on 4 threads are 4,020 s on 2 cores; three times that and ten minutes are 12,660 s, 3.5 hours and a bit.
	// What a CPU takes says nothing of the other's GPUs.
	alexnet.Seconds, alexnet.EstimatedTime = 3*3600+3*900, true
	if diff := cmp.Diff([]Launch{resnet, alexnet}, p.Launches); diff != "" {
		t.Errorf("launches (-want +got):\n%s", diff)
	}
	for i := range p.Runs {
		r := &p.Runs[i]
		if gpus := p.LaunchOf(r).GPUs; (gpus == 2) != (p.Settings[r.Settings].Arch == "resnet18") {
			t.Errorf("%s has %d GPUs", p.Name(r), gpus)
		}
	}
	here := plan(t, w, withLauncher(""), Options{})
	if here.Launches != nil {
		t.Errorf("without a launcher there are %+v", here.Launches)
	}
	for i := range p.Runs {
		if p.Runs[i].ID != here.Runs[i].ID {
			t.Error("a launcher changes ids")
		}
	}
	back, err := Load(saved(t, p))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(p.Launches, back.Launches); diff != "" {
		t.Errorf("launches don't survive saving (-saved +loaded):\n%s", diff)
	}

	t.Run("estimates are told of the launcher", func(t *testing.T) {
		for launcher, want := range map[string]string{"local.workstation": "launcher.local.workstation", "slurm.cluster": "launcher.slurm.cluster"} {
			w, costs := newFakeWorld(), &fakeCosts{}
			w.Costs = costs
			if plan(t, w, withLauncher("launcher = launcher."+launcher), Options{}); !slices.Equal(costs.by, []string{want}) {
				t.Errorf("%s: they are told of %v", launcher, costs.by)
			}
		}
	})
	t.Run("without estimates nothing is asked for that was not said", func(t *testing.T) {
		p := plan(t, newFakeWorld(), src, Options{})
		if l := p.Launches[1]; l.Memory != 0 || l.Seconds != 0 || l.EstimatedMemory || l.EstimatedTime {
			t.Errorf("got %+v", l)
		}
	})
	t.Run("estimates of a GPU are for jobs that have some", func(t *testing.T) {
		w := newFakeWorld()
		w.Costs = &fakeCosts{onDevice: 1 << 30}
		p := plan(t, w, src, Options{})
		resnet, alexnet := cluster, cluster
		resnet.GPUs, resnet.Memory = 2, 8<<30
		resnet.Seconds, resnet.EstimatedTime = 3*3600+3*900, true
		alexnet.Memory, alexnet.EstimatedMemory = 11<<27, true // 1.25 GiB and a bit: a CPU holds itself what lies on a GPU
		if diff := cmp.Diff([]Launch{resnet, alexnet}, p.Launches); diff != "" {
			t.Errorf("launches (-want +got):\n%s", diff)
		}
	})
	t.Run("what is left is estimated anew, and what was said stays", func(t *testing.T) {
		store := fakeStore{}
		for i := range p.Runs {
			switch r := &p.Runs[i]; r.Seed {
			case 0:
				store[r.ID] = RunState{Finished: true}
			case 1:
				store[r.ID] = RunState{Checkpoint: true, Epochs: 990}
			}
		}
		if err := Refresh(back, store, &fakeCosts{}); err != nil {
			t.Fatal(err)
		}
		for i := range back.Runs {
			r := &back.Runs[i]
			l := back.LaunchOf(r)
			want := int64(900) // 30 s on 4 threads are 60 s on 2 cores; three times that and ten minutes
			if r.Action == Done || l.GPUs > 0 {
				want = 0
			}
			if l.Seconds != want || l.GPUs == 2 && l.Memory != 8<<30 {
				t.Errorf("%s (%s) has %+v", back.Name(r), r.Action, l)
			}
		}
	})
}

// What is asked for is never less than the estimate with its margin, nor much more, and similar estimates come to the same.
func TestLimits(t *testing.T) {
	distinct := map[int64]bool{}
	for n := int64(1 << 20); n < 1<<40; n += n/100 + 1 {
		limit := memoryLimit(n)
		if want := max(memoryMargin*float64(n), leastMemory); float64(limit) < want || float64(limit) > want*1.13+64<<20 || limit%(64<<20) != 0 {
			t.Errorf("%d bytes: %d are asked for", n, limit)
		}
		distinct[limit] = true
	}
	if len(distinct) > 100 {
		t.Errorf("there are %d limits of memory", len(distinct))
	}
	clear(distinct)
	for seconds := 1.0; seconds < 100*3600; seconds *= 1.01 {
		limit := timeLimit(seconds)
		if want := timeMargin*seconds + startSeconds; float64(limit) < want || float64(limit) > 1.5*want || limit%300 != 0 {
			t.Errorf("%g s: %d s are asked for", seconds, limit)
		}
		distinct[limit] = true
	}
	if len(distinct) > 250 {
		t.Errorf("there are %d limits of time", len(distinct))
	}
	if limit := timeLimit(1e300); limit < 1e11 {
		t.Errorf("an endless training gets %d s", limit)
	}
}

func TestOneApplyHasOneLauncher(t *testing.T) {
	second := func(launcher string) string {
		return `
sweep "b" {
  dataset  = dataset.ants
  launcher = ` + launcher + `
  run {
    arch = "alexnet"
    mode = "finetune"
  }
}
`
	}
	for _, test := range []struct{ name, a, b, want string }{
		{"both here", "null", "null", ""},
		{"both by one", "launcher.slurm.plain", "launcher.slurm.plain", ""},
		{"two of Slurm", "launcher.slurm.cluster", "launcher.slurm.plain", ""},
		{"one local launcher", "launcher.local.workstation", "launcher.local.workstation", ""},
		{"a cluster and here", "launcher.slurm.cluster", "null", `Sweep "a" is for launcher.slurm.cluster and sweep "b" for this machine, and one apply can't do both: choose one for all with -launcher`},
		{"here and a cluster", "null", "launcher.slurm.plain", `sweep "b" for launcher.slurm.plain`},
		{"two local ones", "launcher.local.workstation", "launcher.local.other", `sweep "b" for launcher.local.other`},
		{"local settings and none", "launcher.local.workstation", "null", `sweep "b" for this machine`},
		{"two clusters", "launcher.slurm.plain", "launcher.k8s.pods", `sweep "b" for launcher.k8s.pods`},
	} {
		t.Run(test.name, func(t *testing.T) {
			src := withLauncher("launcher = "+test.a) + second(test.b)
			p, diags := Make(t.Context(), load(t, src), newFakeWorld().World, Options{})
			if test.want != "" {
				if !strings.Contains(texts(diags), test.want) || diags[0].Subject == nil {
					t.Errorf("got %s; want %q and a place", texts(diags), test.want)
				}
				if _, diags := Make(t.Context(), load(t, src), newFakeWorld().World, Options{Targets: []string{"sweep.a"}}); diags.HasErrors() {
					t.Errorf("one sweep alone: %s", texts(diags))
				}
				return
			}
			if diags.HasErrors() {
				t.Fatal(texts(diags))
			}
			if l, err := p.Launcher(); err != nil || test.a != "null" && l.String() != test.a {
				t.Errorf("the launcher is %v, %v", l, err)
			}
		})
	}
	t.Run("what is done plays no part", func(t *testing.T) {
		src := withLauncher("launcher = launcher.slurm.cluster") + second("null")
		w := newFakeWorld()
		w.store[plan(t, w, src, Options{Targets: []string{"sweep.b"}}).Runs[0].ID] = RunState{Finished: true}
		p := plan(t, w, src, Options{})
		if l, err := p.Launcher(); err != nil || l.Name != "cluster" {
			t.Errorf("the launcher is %v, %v", l, err)
		}
	})
}
