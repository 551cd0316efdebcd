package planner

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const diffBase = `variable "epochs" {
  default = 5
}
sweep "s" {
  dataset = dataset.ants
  seeds   = range(2)
  matrix {
    arch = ["resnet18", "alexnet"]
    mode = ["extract", "scratch"]
  }
  run {
    arch   = matrix.arch
    mode   = matrix.mode
    epochs = var.epochs
  }
}
`

// diffText writes a diff in short: each run by name, changed ones with their settings.
func diffText(d *Diff) string {
	name := func(r DiffRun) string { return fmt.Sprintf("%s %d", r.Config.Name(), r.Seed) }
	var lines []string
	for _, c := range d.Changed {
		line := "~ " + name(c.DiffRun)
		for _, s := range c.Settings {
			line += fmt.Sprintf("; %s %s %s", s.Setting, s.Before, s.After)
		}
		if c.Longer {
			line += "; longer"
		}
		lines = append(lines, line)
	}
	for _, r := range d.Renamed {
		lines = append(lines, "> "+name(r.Before)+" "+name(r.After))
	}
	for _, r := range d.Added {
		lines = append(lines, "+ "+name(r))
	}
	for _, r := range d.Removed {
		lines = append(lines, "- "+name(r))
	}
	return strings.Join(append(lines, fmt.Sprintf("= %d", d.Same)), "\n")
}

func TestDiffPlans(t *testing.T) {
	edit := strings.NewReplacer
	for _, test := range []struct {
		name, want string
		edit       *strings.Replacer
		world      func(w *fakeWorld)
	}{
		{name: "nothing", edit: edit(), want: "= 8"},
		{name: "axes in another order, and a block with the defaults", edit: edit(
			"    arch = [\"resnet18\", \"alexnet\"]\n    mode = [\"extract\", \"scratch\"]\n", "    mode = [\"extract\", \"scratch\"]\n    arch = [\"resnet18\", \"alexnet\"]\n",
			"epochs = var.epochs", "epochs = var.epochs\n optimizer {\n kind = \"sgd\"\n momentum = 0.9\n }",
		), want: "= 8"},
		{name: "a setting of some", edit: edit("epochs = var.epochs", "epochs = var.epochs\n grad_clip = matrix.mode == \"extract\" ? 1 : null"),
			want: `~ s[arch=resnet18, mode=extract] 0; grad_clip  1
~ s[arch=resnet18, mode=extract] 1; grad_clip  1
~ s[arch=alexnet, mode=extract] 0; grad_clip  1
~ s[arch=alexnet, mode=extract] 1; grad_clip  1
= 4`},
		{name: "longer", edit: edit("default = 5", "default = 6", "range(2)", "[1]", `, "alexnet"`, ""),
			want: `~ s[arch=resnet18, mode=extract] 1; epochs 5 6; longer
~ s[arch=resnet18, mode=scratch] 1; epochs 5 6; longer
- s[arch=resnet18, mode=extract] 0
- s[arch=resnet18, mode=scratch] 0
- s[arch=alexnet, mode=extract] 0
- s[arch=alexnet, mode=extract] 1
- s[arch=alexnet, mode=scratch] 0
- s[arch=alexnet, mode=scratch] 1
= 0`},
		{name: "shorter, and by a schedule that counts epochs", edit: edit("default = 5", "default = 4", "range(2)", "[1]", `"resnet18", `, "", `, "scratch"`, "",
			"epochs = var.epochs", "epochs = var.epochs\n schedule { kind = \"cosine\" }"),
			want: `~ s[arch=alexnet, mode=extract] 1; epochs 5 4; schedule.kind  "cosine"
- s[arch=resnet18, mode=extract] 0
- s[arch=resnet18, mode=extract] 1
- s[arch=resnet18, mode=scratch] 0
- s[arch=resnet18, mode=scratch] 1
- s[arch=alexnet, mode=extract] 0
- s[arch=alexnet, mode=scratch] 0
- s[arch=alexnet, mode=scratch] 1
= 0`},
		{name: "another name", edit: edit(`sweep "s"`, `sweep "t"`, "range(2)", "[0, 2]", `, "alexnet"`, ""),
			want: `> s[arch=resnet18, mode=extract] 0 t[arch=resnet18, mode=extract] 0
> s[arch=resnet18, mode=scratch] 0 t[arch=resnet18, mode=scratch] 0
+ t[arch=resnet18, mode=extract] 2
+ t[arch=resnet18, mode=scratch] 2
- s[arch=resnet18, mode=extract] 1
- s[arch=resnet18, mode=scratch] 1
- s[arch=alexnet, mode=extract] 0
- s[arch=alexnet, mode=extract] 1
- s[arch=alexnet, mode=scratch] 0
- s[arch=alexnet, mode=scratch] 1
= 0`},
		{name: "other pictures, as many", edit: edit("range(2)", "[0]", `, "alexnet"`, "", `, "scratch"`, ""),
			world: func(w *fakeWorld) { w.data.changed = ", changed" },
			want: `~ s[arch=resnet18, mode=extract] 0; dataset.hash "hash of data/ants" "hash of data/ants, changed"
- s[arch=resnet18, mode=extract] 1
- s[arch=resnet18, mode=scratch] 0
- s[arch=resnet18, mode=scratch] 1
- s[arch=alexnet, mode=extract] 0
- s[arch=alexnet, mode=extract] 1
- s[arch=alexnet, mode=scratch] 0
- s[arch=alexnet, mode=scratch] 1
= 0`},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := plan(t, newFakeWorld(), diffBase, Options{})
			w := newFakeWorld()
			if test.world != nil {
				test.world(w)
			}
			d := DiffPlans(before, plan(t, w, test.edit.Replace(diffBase), Options{}))
			if diff := cmp.Diff(test.want, diffText(d)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if d.Differs() != strings.ContainsAny(test.want[:1], "~+->") {
				t.Errorf("Differs is %v", d.Differs())
			}
		})
	}
}

// A plan that went through a file is the same plan.
func TestDiffWithASavedPlan(t *testing.T) {
	p := plan(t, newFakeWorld(), strings.Replace(diffBase, `mode = ["extract", "scratch"]`, `mode = ["extract", "scratch"]
    group = [{ b = "<&>", a = 1.50 }]`, 1), Options{})
	path := filepath.Join(t.TempDir(), "saved.plan")
	if err := Save(path, p); err != nil {
		t.Fatal(err)
	}
	saved, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := DiffPlans(saved, p); d.Differs() || d.Same != len(p.Runs) {
		t.Errorf("%s", diffText(d))
	}
}

// Every setting that an id holds shows in a diff, also lists of operations and parameter groups, member by member.
func TestDiffTellsWhyIDsDiffer(t *testing.T) {
	run := func(more string) string { return sweepOf("arch = \"resnet18\"\nmode = \"scratch\"\n" + more) }
	rotation := `augment { ops = ["hflip", { kind = "random_rotation", degrees = %d }] }`
	group := "param_group \"head\" { %s }"
	for _, test := range []struct{ name, before, after, want string }{
		{"an operation's parameter", fmt.Sprintf(rotation, 10), fmt.Sprintf(rotation, 20), `augment.ops[3].params.degrees [-10,10] [-20,20]`},
		{"another number of operations", `augment { ops = ["hflip"] }`, `augment { ops = ["hflip", "vflip"] }`,
			`augment.ops [{"kind":"resize","params":{"size":[256]}},{"kind":"center_crop"},{"kind":"hflip","params":{"p":[0.5]}}] ` +
				`[{"kind":"resize","params":{"size":[256]}},{"kind":"center_crop"},{"kind":"hflip","params":{"p":[0.5]}},{"kind":"vflip","params":{"p":[0.5]}}]`},
		{"a parameter group's rate", fmt.Sprintf(group, "lr = 0.1"), fmt.Sprintf(group, "lr = 0.2"), `param_groups[0].lr 0.1 0.2`},
		{"early stopping", "", "early_stop { patience = 3 }", `early_stop.monitor  "val_acc"; early_stop.patience  3`},
		{"a file of weights", "mode = \"finetune\"\nweights = \"a.pth\"", "mode = \"finetune\"\nweights = \"b.pth\"",
			`weights.path "a.pth" "b.pth"; weights.sha256 "sum of a.pth" "sum of b.pth"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			src := func(more string) string {
				if strings.Contains(more, "mode") {
					return sweepOf("arch = \"resnet18\"\n" + more)
				}
				return run(more)
			}
			d := DiffPlans(plan(t, newFakeWorld(), src(test.before), Options{}), plan(t, newFakeWorld(), src(test.after), Options{}))
			if got := diffText(d); got != "~ s 0; "+test.want+"\n= 0" {
				t.Errorf("got %s", got)
			}
		})
	}
}

// TestScopes names parts of a matrix of two axes.
func TestScopes(t *testing.T) {
	p := plan(t, newFakeWorld(), `sweep "s" {
  dataset = dataset.ants
  seeds   = range(3)
  matrix {
    arch = ["resnet18", "resnet34", "alexnet"]
    lr   = [0.1, 0.01, 0.001]
    same = [1]
  }
  run {
    arch = matrix.arch
    mode = "scratch"
    optimizer {
      kind = "sgd"
      lr   = matrix.lr * matrix.same
    }
  }
}
`+strings.Replace(sweepOf("arch = \"alexnet\"\nmode = \"extract\""), `"s"`, `"t"`, 1), Options{})
	all := DiffPlans(p, p).After
	for _, test := range []struct {
		name string
		pick func(name string, seed int64) bool
		want []string
	}{
		{"everything", func(string, int64) bool { return true }, []string{"sweep.s [] 27", "sweep.t [] 1"}},
		{"a sweep", func(n string, _ int64) bool { return n[0] == 's' }, []string{"sweep.s [] 27"}},
		{"one value", func(n string, _ int64) bool { return strings.Contains(n, "alexnet") }, []string{"sweep.s[arch=alexnet] [] 9"}},
		{"two values", func(n string, _ int64) bool { return strings.Contains(n, "resnet") },
			[]string{"sweep.s[arch=resnet18] [] 9", "sweep.s[arch=resnet34] [] 9"}},
		{"a pair of values", func(n string, _ int64) bool { return strings.Contains(n, "resnet18, lr=0.1,") }, []string{"sweep.s[arch=resnet18, lr=0.1] [] 3"}},
		{"a cross", func(n string, _ int64) bool { return strings.Contains(n, "resnet") && !strings.Contains(n, "lr=0.1,") }, []string{
			"sweep.s[arch=resnet18, lr=0.01] [] 3", "sweep.s[arch=resnet18, lr=0.001] [] 3",
			"sweep.s[arch=resnet34, lr=0.01] [] 3", "sweep.s[arch=resnet34, lr=0.001] [] 3"}},
		{"some seeds", func(n string, seed int64) bool { return n[0] == 's' && seed > 0 }, []string{"sweep.s [1 2] 18"}},
		{"some seeds of some", func(n string, seed int64) bool {
			return strings.Contains(n, "lr=0.1,") && seed == 2 || strings.Contains(n, "lr=0.01,")
		},
			[]string{"sweep.s[lr=0.1] [2] 3", "sweep.s[lr=0.01] [] 9"}},
		{"nothing", func(string, int64) bool { return false }, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			var some []DiffRun
			for _, r := range all {
				if test.pick(r.Config.Name(), r.Seed) {
					some = append(some, r)
				}
			}
			var got []string
			for _, s := range Scopes(all, some) {
				got = append(got, fmt.Sprint(s.String(), " ", s.Seeds, " ", s.Runs))
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}
