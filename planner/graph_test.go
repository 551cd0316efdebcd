package planner

import (
	"fmt"
	"strings"
	"testing"
)

func TestGraph(t *testing.T) {
	w := newFakeWorld()
	src := `sweep "pre" {
  dataset = dataset.ants
  run {
    arch = "alexnet"
    mode = "scratch"
  }
}
sweep "s" {
  dataset = dataset.ants
  matrix { note = ["a \"quoted\" \\ word"] }
  run {
    arch    = "alexnet"
    mode    = "finetune"
    weights = sweep.pre.best
  }
}`
	p := plan(t, w, src, Options{})
	w.store[p.Runs[0].ID] = RunState{Finished: true}
	p = plan(t, w, src, Options{})
	want := fmt.Sprintf(`digraph plan {
  rankdir=LR;
  node [shape=box, style=rounded];
  subgraph cluster_0 {
    label="sweep.pre";
    r0 [label="seed 0 · %s", style="rounded,filled"];
  }
  subgraph cluster_1 {
    label="sweep.s";
    r1 [label="note = a \"quoted\" \\ word\nseed 0 · %s"];
  }
  r0 -> r1;
}
`, p.Runs[0].ID[:8], p.Runs[1].ID[:8])
	if got := Graph(p); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestGraphOfManyRunsDrawsConfigurations(t *testing.T) {
	p := plan(t, newFakeWorld(), `sweep "pre" {
  dataset = dataset.ants
  seeds   = range(150)
  matrix { lr = [0.1, 0.2] }
  run {
    arch = "alexnet"
    mode = "scratch"
    optimizer {
      kind = "sgd"
      lr   = matrix.lr
    }
  }
}
sweep "s" {
  dataset = dataset.ants
  seeds   = range(50)
  run {
    arch    = "alexnet"
    mode    = "finetune"
    weights = sweep.pre.best
  }
}`, Options{})
	got := Graph(p)
	for _, want := range []string{`c0 [label="lr = 0.1\n150 runs"];`, `c2 [label="50 runs"];`, "c0 -> c2;", "c1 -> c2;"} {
		if strings.Count(got, want) != 1 {
			t.Errorf("%q stands %d times in\n%s", want, strings.Count(got, want), got)
		}
	}
}
