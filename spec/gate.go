package spec

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// GateMetric is what must be known of a metric to bound it.
type GateMetric struct {
	MoreIsBetter bool
	Accuracy     bool // a share of 1
	Exact        bool // it follows from the settings and is the same for all seeds
}

// GateMetrics are the metrics that a gate may bound, by their names in reports.
var GateMetrics = map[string]GateMetric{
	"val_acc": {MoreIsBetter: true, Accuracy: true}, "val_top5": {MoreIsBetter: true, Accuracy: true},
	"test_acc": {MoreIsBetter: true, Accuracy: true}, "train_acc": {MoreIsBetter: true, Accuracy: true},
	"last_val_acc": {MoreIsBetter: true, Accuracy: true},
	"val_loss":     {}, "test_loss": {}, "train_loss": {}, "last_val_loss": {},
	"params_trainable": {Exact: true}, "params_total": {Exact: true},
	"seconds": {}, "train_seconds": {}, "val_seconds": {}, "images_per_second": {MoreIsBetter: true}, "peak_memory_bytes": {},
}

// Bound is the attribute that bounds a gate's metric; a gate has one.
type Bound string

const (
	MaxDrop Bound = "max_drop" // below a baseline, at most
	MaxRise Bound = "max_rise" // above it, at most
	Min     Bound = "min"
	Max     Bound = "max"
)

// Compares tells whether the bound is a difference from a baseline.
func (b Bound) Compares() bool { return b == MaxDrop || b == MaxRise }

// Test is how a gate tells a difference from noise.
type Test string

const (
	PairedPermutation Test = "paired_permutation"
	McNemar           Test = "mcnemar"
	Bootstrap         Test = "bootstrap"
	NoTest            Test = "none"
)

// Correction is what a gate does about the many configurations that it judges at once.
type Correction string

const (
	Holm         Correction = "holm"
	NoCorrection Correction = "none"
)

// Reaction is what a gate does about what it can't judge.
type Reaction string

const (
	Pass Reaction = "pass"
	Warn Reaction = "warn"
	Fail Reaction = "fail"
)

// What the attributes of a gate may say.
var (
	GateBounds        = texts(MaxDrop, MaxRise, Min, Max)
	GateTests         = texts(PairedPermutation, McNemar, Bootstrap, NoTest)
	gateCorrections   = texts(Holm, NoCorrection)
	inconclusiveTaken = texts(Pass, Fail)
	missingTaken      = texts(Warn, Fail)
)

func texts[T ~string](values ...T) []string {
	all := make([]string, len(values))
	for i, v := range values {
		all[i] = string(v)
	}
	return all
}

// The defaults of a gate.
const (
	defaultGateMetric   = "val_acc"
	defaultGateTest     = PairedPermutation
	defaultAlpha        = 0.05
	defaultCorrection   = Holm
	defaultInconclusive = Pass
	defaultMissing      = Warn
)

// gateBlock is what a gate block says beside its condition. A nil pointer is an attribute that is not given.
type gateBlock struct {
	sweep                     string
	baseline                  *string
	metric                    *string
	maxDrop, maxRise          *float64
	least, most               *float64 // min and max
	relative                  *bool
	test, correction          *string
	alpha                     *float64
	minSeeds                  *int
	inconclusive, missingBase *string
}

var gateType = &blockType[gateBlock]{
	name:     "gate",
	required: []string{"sweep"},
	fields: []field[gateBlock]{
		{"sweep", func(m *module, g *gateBlock, v cty.Value) (p *problem) {
			g.sweep, p = m.asSweep(v)
			return p
		}},
		{"baseline", func(m *module, g *gateBlock, v cty.Value) *problem {
			s, p := asString("baseline", v)
			if p == nil && s == "" {
				p = problemf(outOfRange, "baseline is empty. Give the file that `ftrun baseline set` writes, relative to this file's folder.")
			}
			path := m.resolve(s)
			g.baseline = &path
			return p
		}},
		enumField("metric", "metric", mapKeys(GateMetrics), func(g *gateBlock) **string { return &g.metric }),
		floatField("max_drop", notNegative, func(g *gateBlock) **float64 { return &g.maxDrop }),
		floatField("max_rise", notNegative, func(g *gateBlock) **float64 { return &g.maxRise }),
		floatField("min", positive, func(g *gateBlock) **float64 { return &g.least }),
		floatField("max", positive, func(g *gateBlock) **float64 { return &g.most }),
		boolField("relative", func(g *gateBlock) **bool { return &g.relative }),
		enumField("test", "test", GateTests, func(g *gateBlock) **string { return &g.test }),
		floatField("alpha", significance, func(g *gateBlock) **float64 { return &g.alpha }),
		enumField("correction", "correction", gateCorrections, func(g *gateBlock) **string { return &g.correction }),
		intField("min_seeds", 1, func(g *gateBlock) **int { return &g.minSeeds }),
		enumField("inconclusive", "way to take what is inconclusive", inconclusiveTaken, func(g *gateBlock) **string { return &g.inconclusive }),
		enumField("missing", "way to take a missing baseline", missingTaken, func(g *gateBlock) **string { return &g.missingBase }),
	},
	check: checkGate,
}

// LeastAlpha is the least probability of a false alarm that can be asked for. No test here could reject at less, and 1 − 2
// alpha, the level of an interval, is still told from 1.
const LeastAlpha = 1e-9

// Significant tells whether alpha is one: from a half on, chance alone would be taken for a difference.
func Significant(alpha float64) bool { return alpha >= LeastAlpha && alpha < 0.5 }

var significance = interval{fmt.Sprintf("at least %g and less than 0.5", LeastAlpha), Significant}

// bound is an attribute that bounds the metric.
type bound struct {
	attr  Bound
	limit float64
}

// bounds lists those that are given.
func (g *gateBlock) bounds() []bound {
	var given []bound
	add := func(attr Bound, limit *float64) {
		if limit != nil {
			given = append(given, bound{attr, *limit})
		}
	}
	add(MaxDrop, g.maxDrop)
	add(MaxRise, g.maxRise)
	add(Min, g.least)
	add(Max, g.most)
	return given
}

func checkGate(g *gateBlock, report func(string, *problem)) {
	bounds := g.bounds()
	if len(bounds) != 1 {
		if len(bounds) == 0 {
			report("", problemf(missing, "A gate needs a bound: max_drop or max_rise, against a baseline; or min or max, against a figure."))
		} else {
			names := make([]string, len(bounds))
			for i, b := range bounds {
				names[i] = string(b.attr)
			}
			report(names[1], problemf("More than one bound", "A gate has one bound; this one has %s. Make a gate of each.", list(names)))
		}
		return
	}
	attr := bounds[0].attr
	metric, relative := orElse(g.metric, defaultGateMetric), orElse(g.relative, false)
	if p := checkBound(bounds[0], metric, relative); p != nil {
		report(string(attr), p)
	}

	unused := func(name string, given bool, why string) {
		if given {
			report(name, ineffective("%s, so %s would have no effect. Take it out.", why, name))
		}
	}
	if attr.Compares() {
		if g.baseline == nil {
			report("", problemf(missing, "A gate with %s needs baseline, the file that `ftrun baseline set` writes, such as \"baseline.json\".", attr))
		}
	} else {
		why := string(attr) + " is held against no baseline"
		unused("baseline", g.baseline != nil, why)
		unused("missing", g.missingBase != nil, why)
		unused("relative", g.relative != nil, why)
	}
	test := Test(orElse(g.test, string(g.defaultTest())))
	if test == NoTest {
		why := "Without a test the mean alone is held against the bound"
		if g.test == nil && GateMetrics[metric].Exact {
			why = exactly(metric)
		} else if g.test == nil {
			why = "A gate with " + string(attr) + " has no test unless one is given"
		}
		unused("alpha", g.alpha != nil, why)
		unused("correction", g.correction != nil, why)
	} else if at, p := checkTest(test, attr, metric, relative); p != nil {
		report(at, p)
	}
}

// checkTest holds a test against the metric and its bound, and gives the attribute that is at fault.
func checkTest(test Test, b Bound, metric string, relative bool) (attr string, p *problem) {
	switch {
	case test == NoTest:
		return "", nil
	case GateMetrics[metric].Exact:
		return "test", ineffective("%s, so there is nothing to test. Give \"none\", or take test out.", exactly(metric))
	case test != McNemar:
		return "", nil
	case !b.Compares():
		return "test", problemf("Unsuitable test", "McNemar's test compares pictures with those of a baseline, and a gate with %s has none. "+
			"Give \"paired_permutation\", \"bootstrap\" or \"none\".", b)
	case metric != "val_acc":
		return "test", problemf("Unsuitable test", "McNemar's test counts which validation pictures are classified rightly, so its metric is val_acc; "+
			"this is %s. Give another test, or that metric.", metric)
	case relative:
		return "relative", problemf("Unsuitable test", "McNemar's test counts pictures, so its margin is a share of the pictures, not of the "+
			"baseline's accuracy. Take relative out, or give another test.")
	}
	return "", nil
}

// mostLimit is a petabyte, in the unit of the metric with the largest numbers. What is a share of a value stays finite.
const mostLimit = 1e15

// checkBound holds the bound against the metric's direction and range.
func checkBound(b bound, metric string, relative bool) *problem {
	direction, fits := "lower", map[Bound]Bound{MaxDrop: MaxRise, Min: Max}
	if GateMetrics[metric].MoreIsBetter {
		direction, fits = "higher", map[Bound]Bound{MaxRise: MaxDrop, Max: Min}
	}
	if other := fits[b.attr]; other != "" {
		return problemf("Unsuitable bound", "The %s %s is, the better, so %s would not notice that it gets worse. Give %s.",
			direction, metric, b.attr, other)
	}
	accuracy := GateMetrics[metric].Accuracy
	switch {
	case b.attr == MaxDrop && relative && b.limit >= 1:
		return problemf(outOfRange, "max_drop must be less than 1; this is %g. With relative it is a share of the baseline's "+
			"value: for one percent write 0.01.", b.limit)
	case b.attr == MaxDrop && accuracy && b.limit >= 1:
		return problemf(outOfRange, "max_drop must be less than 1; this is %g. Accuracies are shares of 1: for one point write "+
			"0.01.", b.limit)
	case b.limit > mostLimit:
		return problemf(outOfRange, "%s must be at most %g; this is %g, more than any metric.", b.attr, mostLimit, b.limit)
	case b.attr == Min && accuracy && b.limit > 1:
		return problemf(outOfRange, "min must be at most 1; this is %g. Accuracies are shares of 1.", b.limit)
	}
	return nil
}

// Check tells what no gate block could say. It is for gates that come from elsewhere, as of a plan that was read.
func (g *Gate) Check() error {
	for _, one := range []struct {
		attr, value string
		options     []string
	}{
		{"metric", g.Metric, mapKeys(GateMetrics)},
		{"bound", string(g.Bound), GateBounds},
		{"test", string(g.Test), GateTests},
		{"inconclusive", string(g.Inconclusive), inconclusiveTaken},
	} {
		if !slices.Contains(one.options, one.value) {
			return fmt.Errorf("%s is %q, and there is no such %s", one.attr, one.value, one.attr)
		}
	}
	tests, limits := g.Test != NoTest, notNegative
	if !g.Bound.Compares() {
		limits = positive
	}
	_, p := checkTest(g.Test, g.Bound, g.Metric, g.Relative)
	if p == nil {
		p = checkBound(bound{g.Bound, g.Limit}, g.Metric, g.Relative)
	}
	switch {
	case p != nil:
		return errors.New(strings.TrimSuffix(p.detail, "."))
	case !limits.ok(g.Limit):
		return fmt.Errorf("%s is %g, and it must be %s", g.Bound, g.Limit, limits.text)
	case g.Bound.Compares() != (g.Baseline != ""):
		return errors.New("it has a baseline that its bound has no use for, or lacks one")
	case g.Relative && g.Baseline == "":
		return errors.New("it is relative to no baseline")
	case tests != slices.Contains(gateCorrections, string(g.Correction)) || !tests && g.Correction != "":
		return fmt.Errorf("the correction %q does not go with the test %q", g.Correction, g.Test)
	case tests != significance.ok(g.Alpha) || !tests && g.Alpha != 0:
		return fmt.Errorf("alpha %g does not go with the test %q", g.Alpha, g.Test)
	case (g.Baseline != "") != slices.Contains(missingTaken, string(g.Missing)) || g.Baseline == "" && g.Missing != "":
		return fmt.Errorf("missing is %q, which does not go with its baseline", g.Missing)
	case g.MinSeeds < 1:
		return fmt.Errorf("min_seeds is %d, and it must be 1 at least", g.MinSeeds)
	}
	return nil
}

// exactly says of an exact metric what it is.
func exactly(metric string) string {
	return metric + " follows from the settings and is the same for all seeds"
}

// defaultTest is the test of a gate that names none. One with a plain figure, which a single run is to reach, has none.
func (g *gateBlock) defaultTest() Test {
	if g.least != nil || g.most != nil || GateMetrics[orElse(g.metric, defaultGateMetric)].Exact {
		return NoTest
	}
	return defaultGateTest
}

func orElse[T any](p *T, otherwise T) T {
	if p == nil {
		return otherwise
	}
	return *p
}

// decodeGates gives the gate blocks their meaning. Their sweeps have theirs.
func (m *module) decodeGates() Diagnostics {
	var diags Diagnostics
	for _, name := range m.inOrder("gate") {
		g, d := m.decodeGate(m.gates[name])
		m.spec.Gates = append(m.spec.Gates, g)
		diags = append(diags, d...)
	}
	return diags
}

func (m *module) decodeGate(b *hclsyntax.Block) (*Gate, Diagnostics) {
	g := &Gate{Name: b.Labels[0], Range: headerOf(b), Ranges: map[string]hcl.Range{}}
	diags := shape{attributes: append(gateType.names(), "when")}.check(b.Body, "in a gate block")
	rest := &hclsyntax.Body{Attributes: hclsyntax.Attributes{}}
	for name, a := range b.Body.Attributes {
		if name != "when" {
			rest.Attributes[name] = a
		}
	}
	c, d := compileBlock(m, gateType, rest, g.Range, scope{}, "", g.Ranges)
	diags = append(diags, d...)
	g.fill(&c.base)
	sweep := m.sweeps[g.Sweep]
	if sweep == nil {
		return g, diags // which has been told
	}
	g.sweep = sweep.value
	if n := len(g.sweep.Seeds); g.MinSeeds > n {
		diags = append(diags, errorAt(g.Ranges["min_seeds"], outOfRange, "min_seeds must be at most the number of the sweep's seeds, %d; "+
			"this is %d, so the gate could never come to a verdict.", n, g.MinSeeds))
	}
	if when := b.Body.Attributes["when"]; when != nil {
		sc := scope{}
		for _, a := range g.sweep.axes {
			sc.axes = append(sc.axes, a.name)
		}
		on, ok, d := m.compileCondition(g.sweep, when, sc)
		diags = append(diags, d...)
		g.Ranges["when"] = when.Expr.Range()
		if ok {
			g.when = &on
		}
	}
	return g, diags
}

// fill takes over what the block says, with the defaults.
func (g *Gate) fill(b *gateBlock) {
	g.Sweep = b.sweep
	g.Baseline = orElse(b.baseline, "")
	g.Metric = orElse(b.metric, defaultGateMetric)
	for _, given := range b.bounds() {
		g.Bound, g.Limit = given.attr, given.limit
	}
	g.Relative = orElse(b.relative, false)
	g.Test = Test(orElse(b.test, string(b.defaultTest())))
	if g.Test != NoTest {
		g.Alpha, g.Correction = orElse(b.alpha, defaultAlpha), Correction(orElse(b.correction, string(defaultCorrection)))
	}
	g.MinSeeds = orElse(b.minSeeds, 1)
	g.Inconclusive = Reaction(orElse(b.inconclusive, string(defaultInconclusive)))
	if g.Baseline != "" {
		g.Missing = Reaction(orElse(b.missingBase, string(defaultMissing)))
	}
}

// Judges tells whether the gate judges a configuration of its sweep. It panics where Load has reported errors.
func (g *Gate) Judges(c Combination) (bool, Diagnostics) {
	if g.sweep.broken {
		panic("spec: Judges of a gate whose configuration has errors")
	}
	if g.when == nil {
		return true, nil
	}
	return g.when.holds(&evaluation{sweep: g.sweep, values: g.sweep.valuesOf(c), rows: c.rows}, true)
}

// Idle reports a condition on axes that holds for no configuration: a slip, as one in a value is. A condition that is
// false whatever the axes are switches the gate off.
func (g *Gate) Idle() Diagnostics {
	if g.when == nil || g.when.constant != cty.NilVal {
		return nil
	}
	return Diagnostics{errorAt(g.when.rng, noEffect, "This condition holds for no configuration of sweep %s, so the gate would judge nothing. "+
		"Mend the condition, or take the gate out.", quote(g.Sweep))}
}

// asSweep converts a reference to a sweep to its name.
func (m *module) asSweep(v cty.Value) (string, *problem) {
	if v.Type().IsObjectType() && len(v.Type().AttributeTypes()) == 1 && v.Type().HasAttribute("best") {
		if b := v.GetAttr("best"); b.Type() == bestType {
			return b.EncapsulatedValue().(*best).sweep, nil
		}
	}
	hint := ""
	switch {
	case v.Type() == bestType:
		hint = " A gate judges configurations, not the best run: leave .best out."
	case v.Type() == cty.String && m.sweeps[v.AsString()] != nil:
		hint = " Write sweep." + v.AsString() + ", without quotes."
	}
	return "", problemf(wrongType, "sweep must be a reference such as sweep.NAME; this is %s.%s", describe(v), hint)
}

// GatesOf lists the gates of a sweep, as they stand in the files.
func (s *Spec) GatesOf(sweep string) []*Gate {
	return slices.DeleteFunc(slices.Clone(s.Gates), func(g *Gate) bool { return g.Sweep != sweep })
}
