package spec

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// sweepOf wraps what a test is about in a sweep.
func sweepOf(inside string) string {
	run := "run {\n arch = \"resnet18\"\n mode = \"finetune\"\n}\n"
	if strings.Contains(inside, "run {") {
		run = ""
	}
	return "dataset \"d\" { kind = \"synthetic\" }\nsweep \"s\" {\ndataset = dataset.d\n" + inside + "\n" + run + "}\n"
}

// labels writes a combination as "arch=resnet18 lr=0.1".
func labels(c Combination) string {
	var parts []string
	for _, l := range c.Labels {
		parts = append(parts, l.Axis+"="+strings.Trim(describe(l.Value), `"`))
	}
	return strings.Join(parts, " ")
}

func TestCombinations(t *testing.T) {
	for _, test := range []struct {
		name, inside string
		want         []string
		size         int
	}{{
		name:   "no matrix is one combination",
		inside: "",
		want:   []string{""},
		size:   1,
	}, {
		name:   "axes in the file's order, the last fastest",
		inside: "matrix {\n z = [1, 2]\n a = [\"x\", \"y\"]\n}",
		want:   []string{"z=1 a=x", "z=1 a=y", "z=2 a=x", "z=2 a=y"},
		size:   4,
	}, {
		name:   "exclude, then include, which may bring back",
		inside: "matrix {\n a = [1, 2]\n b = [3, 4]\n}\nexclude { when = matrix.a == 1 }\ninclude {\n a = 1\n b = 4\n}",
		want:   []string{"a=2 b=3", "a=2 b=4", "a=1 b=4"},
		size:   5,
	}, {
		name:   "an include leaves axes out, and repeats nothing",
		inside: "matrix {\n a = [1]\n b = [2]\n}\ninclude { a = 1 }\ninclude { a = 1 }\ninclude {\n a = 1\n b = 2\n}",
		want:   []string{"a=1 b=2", "a=1"},
		size:   4,
	}, {
		name:   "zip walks side by side and multiplies with the matrix",
		inside: "matrix { m = [1, 2] }\nzip {\n a = [3, 4]\n b = [5, 6]\n}",
		want:   []string{"m=1 a=3 b=5", "m=1 a=4 b=6", "m=2 a=3 b=5", "m=2 a=4 b=6"},
		size:   4,
	}, {
		name:   "an axis refers to an earlier one and is inactive where null",
		inside: "matrix {\n opt = [\"sgd\", \"adam\"]\n mom = matrix.opt == \"sgd\" ? [0, 0.9] : null\n}",
		want:   []string{"opt=sgd mom=0", "opt=sgd mom=0.9", "opt=adam"},
		size:   4,
	}, {
		name:   "equal values are one, equal text of another type is not",
		inside: "matrix { a = [1, 1.0, \"1\", true, \"true\", null, null] }",
		want:   []string{"a=1", "a=1", "a=true", "a=true", ""},
		size:   7,
	}, {
		name:   "objects are values",
		inside: "matrix { o = [{ lr = 1, wd = 2 }, { wd = 2, lr = 1 }, { lr = 1 }] }",
		want:   []string{"o={ lr = 1, wd = 2 }", "o={ lr = 1 }"},
		size:   3,
	}, {
		name:   "a data set is labelled by its name",
		inside: "matrix { data = [dataset.d] }\nrun {\n dataset = matrix.data\n arch = \"a\"\n mode = \"scratch\"\n}",
		want:   []string{"data=d"},
		size:   1,
	}, {
		name:   "seeds count in the size, not in the combinations",
		inside: "seeds = range(6)\nmatrix { a = [1, 2] }",
		want:   []string{"a=1", "a=2"},
		size:   12,
	}, {
		name:   "exclude without reference to the matrix",
		inside: "matrix { a = [1] }\nexclude { when = 1 > 2 }\nexclude { when = null }",
		want:   []string{"a=1"},
		size:   1,
	}} {
		t.Run(test.name, func(t *testing.T) {
			s := load(t, sweepOf(test.inside))
			sw := s.Sweeps[0]
			var got []string
			for _, c := range combinations(t, s, sw) {
				got = append(got, labels(c))
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("combinations (-want +got):\n%s", diff)
			}
			if got := sw.Size(); got != test.size {
				t.Errorf("Size() = %d, want %d", got, test.size)
			}
		})
	}
}

// TestHugeMatrix: a product that fits no integer is counted without being walked, and walking it can stop.
func TestHugeMatrix(t *testing.T) {
	var axes strings.Builder
	for i := range 12 {
		fmt.Fprintf(&axes, "a%d = range(1000)\n", i)
	}
	s := load(t, sweepOf("matrix {\n"+axes.String()+"z = matrix.a0 == 7 ? [1, 2] : [1]\n}"))
	sw := s.Sweeps[0]
	if got := sw.Size(); got != math.MaxInt {
		t.Errorf("Size() = %d", got)
	}
	n := 0
	for range sw.Combinations() {
		if n++; n == 5 {
			break
		}
	}
	if n != 5 {
		t.Errorf("%d combinations before the stop", n)
	}
}

// TestExpressionErrorIsToldOnce: a condition that fails for every combination is one error.
func TestExpressionErrorIsToldOnce(t *testing.T) {
	s := load(t, sweepOf("matrix { a = range(50) }\nexclude { when = matrix.a[0] }"))
	var diags Diagnostics
	n := 0
	for _, d := range s.Sweeps[0].Combinations() {
		diags = append(diags, d...)
		n++
	}
	if len(diags) != 1 || n != 51 {
		t.Errorf("%d diagnostics, %d yields:\n%s", len(diags), n, text(t, s, diags))
	}
}

// TestCombinationFromLabels: a combination that was put together from labels gives the run that the walk's own gives.
func TestCombinationFromLabels(t *testing.T) {
	s := load(t, sweepOf("matrix {\n arch = [\"a\", \"b\"]\n lr = [0.1, null]\n}\nrun {\n arch = matrix.arch\n mode = \"scratch\"\n"+
		" optimizer {\n kind = \"sgd\"\n lr = matrix.lr\n }\n}"))
	for _, c := range combinations(t, s, s.Sweeps[0]) {
		want, d1 := s.Sweeps[0].Run(c, 0)
		got, d2 := s.Sweeps[0].Run(Combination{Labels: slices.Clone(c.Labels)}, 0)
		if len(d1)+len(d2) > 0 {
			t.Fatal(d1, d2)
		}
		if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b *Dataset) bool { return a == b })); diff != "" {
			t.Errorf("%s (-walk +labels):\n%s", labels(c), diff)
		}
	}
}

// TestConcurrentRuns evaluates the same combinations from several goroutines, for the race detector and for equality.
func TestConcurrentRuns(t *testing.T) {
	s := load(t, sweepOf("matrix {\n arch = [\"a\", \"b\", \"c\"]\n n = range(40)\n}\nrun {\n arch = matrix.arch\n mode = \"scratch\"\n"+
		" epochs = matrix.arch == \"a\" ? 1 : [for x in [matrix.n]: x + 2][0]\n batch_size = ([matrix][*].n)[0] + 1\n}"))
	sw := s.Sweeps[0]
	all := combinations(t, s, sw)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for _, c := range all {
				r, diags := sw.Run(c, 1)
				if len(diags) > 0 {
					t.Error(diags)
					return
				}
				n := *r.BatchSize - 1
				want := n + 2
				if r.Arch == "a" {
					want = 1
				}
				if *r.Epochs != want {
					t.Errorf("%s: %d epochs, want %d", labels(c), *r.Epochs, want)
				}
			}
		})
	}
	wg.Wait()
}
