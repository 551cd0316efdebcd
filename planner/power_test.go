package planner

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ftrun/ftrun/internal/stats"
)

// fakeBaselines has the same noise for every configuration of files that are not "absent.json".
type fakeBaselines struct {
	noise Noise
	lacks string // the name of a configuration that isn't there
}

func (f fakeBaselines) Noise(path, metric string, predictions bool) (func(*Config) (Noise, bool), error) {
	switch path {
	case "absent.json":
		return nil, fmt.Errorf("there is no file: %w", fs.ErrNotExist)
	case "edited.json":
		return nil, errors.New("the baseline was edited")
	}
	return func(c *Config) (Noise, bool) { return f.noise, c.Name() != f.lacks }, nil
}

// spread gives values of so many seeds, two or more, from 0 on.
func spread(seeds int, mean, std float64) map[int64]float64 {
	x := make([]float64, seeds)
	for i := range x {
		x[i] = float64(i)
	}
	s := stats.Summarize(x)
	values := map[int64]float64{}
	for i := range x {
		values[int64(i)] = mean + (x[i]-s.Mean)/s.Std*std
	}
	return values
}

// weighed gives the warnings of gatedPlan.
func weighed(t *testing.T, b Baselines, configs, seeds, pictures int, attributes string) string {
	t.Helper()
	return strings.Join(gatedPlan(t, b, configs, seeds, pictures, attributes).Warnings, "\n")
}

// gatedPlan plans a sweep of some configurations and seeds with a gate.
func gatedPlan(t *testing.T, b Baselines, configs, seeds, pictures int, attributes string) *Plan {
	t.Helper()
	w := newFakeWorld()
	w.data.val = pictures
	w.Baselines = b
	src := fmt.Sprintf(`sweep "s" {
  dataset = dataset.ants
  seeds   = range(%d)
  matrix {
    lr = range(1, %d)
  }
  run {
    arch = "resnet18"
    mode = "scratch"
    optimizer {
      kind = "sgd"
      lr   = matrix.lr / 1000
    }
  }
}
gate "g" {
  sweep = sweep.s
  %s
}
`, seeds, configs+1, attributes)
	return plan(t, w, src, Options{})
}

func TestWeighGates(t *testing.T) {
	calm, noisy := Noise{spread(6, 0.8, 0.002), nil, 0.02}, Noise{spread(6, 0.8, 0.02), nil, 0.2}
	drop := func(more string) string { return "max_drop = 0.01\n baseline = \"base.json\"\n" + more }
	for _, test := range []struct {
		name             string
		baselines        Baselines
		configs, seeds   int
		attributes, want string
	}{
		{"enough seeds as far as is known", nil, 1, 5, drop(""), ""},
		{"too few seeds", nil, 1, 3, drop(""),
			`The gate "g" can't tell a change from chance, however large it is: with 3 seeds the p value is 0.125 at best, and alpha is 0.05. ` +
				`5 seeds on each side would do, or test = "mcnemar", which asks whether these very models are worse, not whether training again would be.`},
		{"one seed", nil, 1, 1, drop("alpha = 0.1"),
			`The gate "g" can't tell a change from chance, however large it is: with 1 seed the p value is 0.5 at best, and alpha is 0.1. ` +
				`4 seeds on each side would do, or test = "mcnemar", which asks whether these very models are worse, not whether training again would be.`},
		{"exactly enough", nil, 1, 4, drop("alpha = 0.0625"), ""},
		{"Holm counts configurations", nil, 18, 6, drop(""),
			`The gate "g" can't tell a change from chance, however large it is: with 6 seeds the p value is 0.0156 at best, and alpha is 0.05/18 = 0.00278 (Holm, 18 configurations). ` +
				`9 seeds on each side would do, or test = "mcnemar", which asks whether these very models are worse, not whether training again would be.`},
		{"only those that are judged", nil, 18, 6, drop("when = matrix.lr < 3"), ""},
		{"without Holm", nil, 18, 6, drop(`correction = "none"`), ""},
		{"a relative margin has no test of pictures", nil, 1, 3, drop("relative = true"),
			`The gate "g" can't tell a change from chance, however large it is: with 3 seeds the p value is 0.125 at best, and alpha is 0.05. 5 seeds on each side would do.`},
		{"against a figure", nil, 1, 3, "min = 0.5\n test = \"paired_permutation\"",
			`The gate "g" can't tell a change from chance, however large it is: with 3 seeds the p value is 0.125 at best, and alpha is 0.05. 5 seeds would do.`},
		{"no test needs nothing", nil, 1, 1, drop(`test = "none"`), ""},
		{"one seed is enough for pictures", nil, 1, 1, drop(`test = "mcnemar"`), ""},
		{"the bootstrap has no lower p value than sign flips", nil, 1, 4, drop(`test = "bootstrap"`),
			`The gate "g" can't tell a change from chance, however large it is: with 4 seeds the p value is 0.0625 at best, and alpha is 0.05. ` +
				`5 seeds on each side would do, or test = "mcnemar", which asks whether these very models are worse, not whether training again would be.`},
		{"the bootstrap needs seeds that meet", fakeBaselines{noise: Noise{map[int64]float64{10: 0.8, 11: 0.9}, nil, -1}}, 1, 6, drop(`test = "bootstrap"`),
			`The gate "g" can't tell a change from chance, however large it is: the bootstrap needs seeds that both sides have, and there are none. ` +
				`Make the baseline anew with the sweep's seeds.`},
		{"the bootstrap of a few seeds", nil, 1, 6, drop(`test = "bootstrap"`),
			`The gate "g" tests 6 seeds by the bootstrap, which don't show how far seeds spread: it will take chance for a change more often than alpha = 0.05 says. ` +
				`From 20 seeds on it hardly does; test = "paired_permutation" never does.`},
		{"the bootstrap of many seeds", nil, 1, 20, drop(`test = "bootstrap"`), ""},
		{"fewer seeds in the baseline than are wanted", fakeBaselines{noise: Noise{spread(5, 0.8, 0.0001), nil, -1}}, 1, 6, drop("min_seeds = 6"),
			`The gate "g" can never come to a verdict: min_seeds is 6, and 5 seeds of 6 that base.json has can be compared. ` +
				`Make the baseline anew with the sweep's seeds, or lower min_seeds.`},
		{"the same without a test", fakeBaselines{noise: Noise{spread(5, 0.8, 0.0001), nil, -1}}, 1, 6, drop("min_seeds = 6\n test = \"none\""),
			`The gate "g" can never come to a verdict: min_seeds is 6, and 5 seeds of 6 that base.json has can be compared. ` +
				`Make the baseline anew with the sweep's seeds, or lower min_seeds.`},
		{"as many as are wanted", fakeBaselines{noise: Noise{spread(5, 0.8, 0.0001), nil, -1}}, 1, 6, drop("min_seeds = 5"), ""},
		{"seeds that differ by more than pictures tell", fakeBaselines{noise: Noise{spread(6, 0.8, 0.04), nil, 0.001}}, 1, 1, "max_drop = 0.2\n alpha = 0.2\n test = \"mcnemar\"\n baseline = \"base.json\"", ""},
		{"seeds that differ by more than is borne", fakeBaselines{noise: Noise{spread(6, 0.8, 0.1), nil, 0.01}}, 1, 1, "max_drop = 0.1\n test = \"mcnemar\"\n baseline = \"base.json\"",
			`The gate "g" asks whether these very models are worse, not whether training again would be: seeds of s[lr=1] have a standard deviation of 0.1 in base.json, ` +
				`so that another seed alone is found to be worse in about 21% of the cases. Give test = "paired_permutation", or bear more.`},
		{"a baseline that isn't there is no noise", fakeBaselines{noise: noisy}, 1, 6, "max_drop = 0.01\n baseline = \"absent.json\"", ""},
		{"a baseline that can't be read", fakeBaselines{noise: noisy}, 1, 6, "max_drop = 0.01\n baseline = \"edited.json\"",
			`The gate "g" can't be evaluated: the baseline was edited.`},
		{"little noise", fakeBaselines{noise: calm}, 1, 6, drop(""), ""},
		{"much noise", fakeBaselines{noise: noisy}, 1, 6, drop(""),
			`The gate "g" will often be inconclusive. With 6 seeds and alpha = 0.05 it finds a drop of 0.02, twice what it bears, in less than 4 of 5 cases; ` +
				`the smallest that it finds so often is 0.0442: seeds of s[lr=1] have a standard deviation of 0.02 in base.json. 51 seeds on each side would do.`},
		{"a rise", fakeBaselines{noise: noisy}, 1, 6, "metric = \"val_loss\"\n max_rise = 0.01\n relative = true\n baseline = \"base.json\"",
			`The gate "g" will often be inconclusive. With 6 seeds and alpha = 0.05 it finds a rise of 2%, twice what it bears, in less than 4 of 5 cases; ` +
				`the smallest that it finds so often is 5.27%: seeds of s[lr=1] have a standard deviation of 2.5% in base.json. 79 seeds on each side would do.`},
		{"no drop is borne, so none is to be found", fakeBaselines{noise: noisy}, 1, 6, "max_drop = 0\n baseline = \"base.json\"", ""},
		{"what the baseline lacks", fakeBaselines{noisy, "s[lr=1]"}, 2, 6, drop(""),
			`The gate "g" will often be inconclusive. With 6 seeds and alpha = 0.05 it finds a drop of 0.02, twice what it bears, in less than 4 of 5 cases; ` +
				`the smallest that it finds so often is 0.0442: seeds of s[lr=2] have a standard deviation of 0.02 in base.json. 51 seeds on each side would do.`},
		{"seeds that the baseline lacks", fakeBaselines{noise: Noise{spread(3, 0.8, 0.02), nil, -1}}, 1, 6, drop(""),
			`The gate "g" can't tell a change from chance, however large it is: with 3 seeds of 6 that base.json has the p value is 0.125 at best, and alpha is 0.05. ` +
				`51 seeds on each side would do, or test = "mcnemar", which asks whether these very models are worse, not whether training again would be.`},
		{"seeds that don't meet", fakeBaselines{noise: Noise{map[int64]float64{10: 0.8, 11: 0.9}, nil, -1}}, 1, 3, drop(""),
			`The gate "g" can't tell a change from chance, however large it is: with 3 seeds that base.json doesn't have the p value is 0.1 at best, and alpha is 0.05. ` +
				`5 seeds on each side would do, or test = "mcnemar", which asks whether these very models are worse, not whether training again would be.`},
		{"seeds that don't meet can do", fakeBaselines{noise: Noise{map[int64]float64{10: 0.8, 11: 0.9, 12: 0.7}, nil, -1}}, 1, 3, drop(""), ""},
		{"pictures", fakeBaselines{noise: noisy}, 1, 1, drop(`test = "mcnemar"`),
			`The gate "g" will often be inconclusive. With 1 seed and alpha = 0.05 it finds a drop of 0.02, twice what it bears, in less than 4 of 5 cases; ` +
				`the smallest that it finds so often is 0.122: two seeds of s[lr=1] differ on 20% of 153 pictures in base.json. 13568 pictures would do with the seeds there are; more seeds alone would not.`},
		{"pictures of which two seeds tell nothing", fakeBaselines{noise: Noise{spread(2, 0.8, 0), nil, -1}}, 1, 1, drop(`test = "mcnemar"`), ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := weighed(t, test.baselines, test.configs, test.seeds, 153, test.attributes); got != test.want {
				t.Errorf("got\n%s\nwant\n%s", got, test.want)
			}
		})
	}
}

// growingNoise is a baseline whose configurations vary the more, the later they come.
type growingNoise struct{ of int }

func (g growingNoise) Noise(string, string, bool) (func(*Config) (Noise, bool), error) {
	return func(c *Config) (Noise, bool) {
		share, err := strconv.ParseFloat(c.Labels[0].Text(), 64)
		share /= float64(g.of)
		return Noise{spread(6, 0.8, 0.02*share), nil, 0.2 * share}, err == nil
	}, nil
}

// Of many configurations the weak ones are counted, and the worst is told.
func TestWeighManyConfigurations(t *testing.T) {
	for _, test := range []struct {
		attributes, want string
	}{
		{`max_drop = 0.01`, ` on (\d+) of 500 configurations, such as s\[lr=\d+\]\. With 6 seeds .* is 0\.044\d: seeds of s\[lr=500\] have a standard deviation of 0\.02 `},
		{"max_drop = 0.01\n test = \"mcnemar\"", ` on (\d+) of 500 configurations, such as s\[lr=\d+\]\. .* two seeds of s\[lr=500\] differ on 20% `},
	} {
		start := time.Now()
		warning := weighed(t, growingNoise{500}, 500, 6, 2500, test.attributes+"\n correction = \"none\"\n baseline = \"base.json\"")
		if n := figureIn(t, warning, test.want); n < 10 || n > 490 {
			t.Errorf("%g configurations are weak: %s", n, warning)
		}
		if d := time.Since(start); d > 10*time.Second {
			t.Errorf("%s took %v", test.attributes, d)
		}
	}
}

// What hasn't changed since the baseline was made is not compared, and so is no part of Holm's family.
func TestWeighOnlyWhatChanged(t *testing.T) {
	const configs, seeds, attributes = 18, 6, "max_drop = 0.1\n baseline = \"base.json\""
	p := gatedPlan(t, nil, configs, seeds, 153, attributes)
	for _, test := range []struct {
		name  string
		same  int // configurations whose runs are those of the baseline
		warns bool
	}{{"all have changed", 0, true}, {"one has", 17, false}, {"two have", 16, false}, {"ten have", 8, true}, {"none has", 18, true}} {
		t.Run(test.name, func(t *testing.T) {
			b := runsOf{}
			for _, r := range p.Runs {
				if r.Config < test.same {
					b[p.Name(&r)] = r.ID
				}
			}
			warning := weighed(t, b, configs, seeds, 153, attributes)
			if strings.Contains(warning, "can't tell a change from chance") != test.warns {
				t.Errorf("warning: %q", warning)
			}
		})
	}
}

// runsOf is a baseline of calm results, with some of the runs of a plan by name.
type runsOf map[string]string

func (b runsOf) Noise(string, string, bool) (func(*Config) (Noise, bool), error) {
	return func(c *Config) (Noise, bool) {
		n := Noise{spread(6, 0.8, 0.001), map[int64]string{}, -1}
		for seed := range n.Values {
			n.Runs[seed] = b[fmt.Sprintf("%s seed %d", c.Name(), seed)]
		}
		return n, true
	}, nil
}

// figureIn reads a number out of a warning.
func figureIn(t *testing.T, warning, pattern string) float64 {
	t.Helper()
	m := regexp.MustCompile(pattern).FindStringSubmatch(warning)
	if m == nil {
		t.Fatalf("no %q in %q", pattern, warning)
	}
	x, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// within is 5 points and twice the standard error of a simulated share.
func within(share float64, comparisons int) float64 {
	return 0.05 + 2*math.Sqrt(share*(1-share)/float64(comparisons))
}

const (
	smallest       = `so often is ([0-9.]+)`
	enoughSeeds    = `([0-9]+) seeds? on each side would do`
	enoughPictures = `([0-9]+) pictures (?:would do )?with the seeds there are`
)

// What a warning says of a gate that compares seeds, is so: the smallest drop is found in 4 of 5 simulated comparisons, and
// with the seeds that would do twice the margin is.
func TestPowerOfSeedsIsAsTheWarningSays(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 5))
	const comparisons = 1000
	found := func(seeds int, std, drop, margin, alpha float64) float64 {
		n := 0
		for range comparisons {
			d := make([]float64, seeds)
			for i := range d { // old minus new, of independent trainings
				d[i] = std*random.NormFloat64() - (std*random.NormFloat64() - drop)
			}
			test, err := stats.SignFlip(d, 1)
			if err != nil {
				t.Fatal(err)
			}
			if test.At(margin).Greater <= alpha {
				n++
			}
		}
		return float64(n) / comparisons
	}
	for _, c := range []struct {
		configs, seeds int
		std, margin    float64
	}{{1, 5, 0.02, 0.02}, {1, 6, 0.02, 0.02}, {1, 8, 0.01, 0.008}, {3, 8, 0.02, 0.02}, {6, 9, 0.015, 0.015}, {1, 12, 0.03, 0.025}} {
		t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) {
			alpha := 0.05 / float64(c.configs)
			warning := weighed(t, fakeBaselines{noise: Noise{spread(c.seeds, 0.8, c.std), nil, -1}}, c.configs, c.seeds, 153, fmt.Sprintf("max_drop = %g\n baseline = \"b.json\"", c.margin))
			if p := found(c.seeds, c.std, figureIn(t, warning, smallest), c.margin, alpha); math.Abs(p-wantedPower) > within(p, comparisons) {
				t.Errorf("the smallest drop is found in %.3f of the cases: %s", p, warning)
			}
			enough := int(figureIn(t, warning, enoughSeeds))
			if enough > 24 {
				t.Fatalf("%d seeds are too many to be simulated", enough)
			}
			with, without := found(enough, c.std, 2*c.margin, c.margin, alpha), found(enough-1, c.std, 2*c.margin, c.margin, alpha)
			if with < wantedPower-within(with, comparisons) || without > wantedPower+within(without, comparisons) {
				t.Errorf("%d seeds find it in %.3f of the cases, one less in %.3f", enough, with, without)
			}
			if p := found(c.seeds, c.std, 2*c.margin, c.margin, alpha); p > wantedPower+within(p, comparisons) {
				t.Errorf("it warns, and %d seeds find twice the margin in %.3f of the cases", c.seeds, p)
			}
		})
	}
}

// The same for a gate that compares pictures, some of which are hard, over one seed and several. The drop hits the same
// pictures with every seed.
func TestPowerOfPicturesIsAsTheWarningSays(t *testing.T) {
	random := rand.New(rand.NewPCG(6, 6))
	const comparisons, accuracy = 500, 0.85
	right := func(i, n int) float64 { return 1 - 0.3*float64(i)/float64(n-1) } // chance of picture i of n
	found := func(pictures, seeds int, drop, margin, alpha float64) float64 {
		n := 0
		for range comparisons {
			d := make([]stats.Discordance, pictures)
			for i := range d {
				p, hit := right(i, pictures), random.Float64() < drop/accuracy
				for range seeds {
					old, new := random.Float64() < p, random.Float64() < p && !hit
					if old && !new {
						d[i].First++
					} else if new && !old {
						d[i].Second++
					}
				}
			}
			test, err := stats.Pictures(d, seeds)
			if err != nil {
				t.Fatal(err)
			}
			if test.At(margin).Greater <= alpha {
				n++
			}
		}
		return float64(n) / comparisons
	}
	for _, c := range []struct {
		configs, seeds, pictures int
		margin                   float64
	}{{1, 1, 200, 0.02}, {1, 3, 200, 0.02}, {1, 5, 153, 0.02}, {4, 2, 500, 0.02}} {
		t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) {
			discordant := 0.0
			for i := range c.pictures {
				p := right(i, c.pictures)
				discordant += 2 * p * (1 - p) / float64(c.pictures)
			}
			alpha := 0.05 / float64(c.configs)
			warning := weighed(t, fakeBaselines{noise: Noise{spread(max(c.seeds, 2), accuracy, 0.01), nil, discordant}}, c.configs, c.seeds, c.pictures,
				fmt.Sprintf("max_drop = %g\n baseline = \"b.json\"\n test = \"mcnemar\"", c.margin))
			if p := found(c.pictures, c.seeds, figureIn(t, warning, smallest), c.margin, alpha); math.Abs(p-wantedPower) > within(p, comparisons) {
				t.Errorf("the smallest drop is found in %.3f of the cases: %s", p, warning)
			}
			if enough := int(figureIn(t, warning, enoughPictures)); enough*c.seeds < 8000 {
				if p := found(enough, c.seeds, 2*c.margin, c.margin, alpha); math.Abs(p-wantedPower) > within(p, comparisons) {
					t.Errorf("%d pictures find it in %.3f of the cases", enough, p)
				}
			}
		})
	}
}
