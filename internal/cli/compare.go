package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ftrun/ftrun/planner"
	"github.com/ftrun/ftrun/reports"
	"github.com/ftrun/ftrun/spec"
)

// comparison are the flags of compare that say what is asked for.
type comparison struct {
	metrics               []string
	maxDrop, maxRise      string
	test, correction      string
	alpha                 float64
	minSeeds              int
	inconclusive, missing string
	gates                 []string
	format, output        string
}

// askedFlags say what is asked for; gates say it themselves.
var askedFlags = []string{"metric", "max-drop", "max-rise", "test", "alpha", "correction", "min-seeds", "inconclusive", "missing"}

const defaultBaseline = "baseline.json"

func (a *app) compareCommand() *cobra.Command {
	var o comparison
	cmd := &cobra.Command{
		Use:   "compare [BASE] [OTHER]",
		Short: "Hold results against a baseline",
		Long: `compare holds the results of OTHER, which are those of the last plan where nothing is named, against those of BASE,
which is baseline.json where nothing is named. Each may be a baseline, a saved plan or the folder of a store, whose runs
are looked up, or a report as JSON. Configurations are paired by sweep and labels, runs by seed.

A configuration is worse where it is shown that it lies below the baseline by more than what is borne (-max-drop, 0.01
of an accuracy), same or better where it is shown that it does not, and inconclusive otherwise: more seeds would tell.

Where the last plan has gates and nothing is asked for or named, they are evaluated, each with its own baseline; -gate picks
some of them. BASE then takes the place of their baselines, and OTHER is a saved plan.

Exit codes: 0 fine, 1 error, 4 something is worse, 5 something is inconclusive, with -inconclusive fail.`,
		Example: "  ftrun compare\n  ftrun compare -gate no_worse\n  ftrun compare -max-drop 0.02 -test mcnemar\n  ftrun compare -metric val_acc -metric seconds old.plan new.plan\n  ftrun compare -o comparison.html\n  ftrun compare -format junit -o gates.xml",
		Args:    arguments(0, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.compare(cmd, args, &o)
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&o.metrics, "metric", []string{"val_acc"}, "compare the metric `NAME`; may be given again")
	f.StringVar(&o.maxDrop, "max-drop", "", "a drop of `X` is borne, or of X% of the baseline, of metrics of which more is better")
	f.StringVar(&o.maxRise, "max-rise", "", "a rise of `X` is borne, or of X% of the baseline, of metrics of which less is better")
	f.StringVar(&o.test, "test", string(reports.PairedPermutation), "`TEST`: "+list(reports.Tests))
	f.Float64Var(&o.alpha, "alpha", 0.05, "call something worse wrongly with a probability of at most `P`")
	f.StringVar(&o.correction, "correction", string(reports.Holm), "correct for many configurations at once by `METHOD`: "+list(reports.Corrections))
	f.IntVar(&o.minSeeds, "min-seeds", 1, "a configuration with fewer is inconclusive")
	f.StringVar(&o.inconclusive, "inconclusive", "pass", "`HOW` an inconclusive configuration counts: pass or fail")
	f.StringVar(&o.missing, "missing", "warn", "`HOW` a configuration that BASE lacks counts: warn or fail")
	f.StringArrayVar(&o.gates, "gate", nil, "evaluate the gate `NAME` of the plan; may be given again")
	f.StringVar(&o.format, "format", "text", "`FORMAT`: "+list(reports.ComparisonFormats())+"; unless given what -o's ending names")
	f.StringVarP(&o.output, "output", "o", "", "write `FILE` instead of standard output")
	return cmd
}

// list joins names for a flag's help: "text, md or json".
func list[T ~string](names []T) string {
	all := make([]string, len(names))
	for i, n := range names {
		all[i] = string(n)
	}
	if len(all) == 1 {
		return all[0]
	}
	return strings.Join(all[:len(all)-1], ", ") + " or " + all[len(all)-1]
}

func (a *app) compare(cmd *cobra.Command, args []string, o *comparison) error {
	if !cmd.Flags().Changed("format") {
		var err error
		if o.format, err = formatOf(o.output, reports.ComparisonFormats()); err != nil {
			return err
		}
	}
	if !slices.Contains(reports.ComparisonFormats(), o.format) {
		return reports.WriteComparisons(a.out, o.format, nil) // says which there are
	}
	if done, err := a.compareGates(cmd, args, o); done || err != nil {
		return err
	}
	criteria, err := o.criteria(cmd.Flags().Changed)
	if err != nil {
		return err
	}
	predictions := slices.ContainsFunc(criteria, func(c reports.Criterion) bool { return c.NeedsPredictions() })
	base, newer, err := a.sides(args, predictions)
	if err != nil {
		return err
	}
	all := make([]*reports.Comparison, len(criteria))
	for i, by := range criteria {
		if all[i], err = reports.Compare(base, newer, by); err != nil {
			return err
		}
	}
	if err := a.writeComparisons(args, o, reports.Compared(all...)); err != nil {
		return err
	}
	return askedFor(all)
}

// writeComparisons writes what came of comparisons as asked for. On a page the runs that were compared follow, where OTHER is a plan.
func (a *app) writeComparisons(args []string, o *comparison, all []reports.Outcome) error {
	return a.writeTo(o.output, func(w io.Writer) error {
		if o.format != "html" {
			return reports.WriteComparisons(w, o.format, all)
		}
		store, err := a.runs()
		if err != nil {
			return err
		}
		source, err := a.planSource(store, args[min(1, len(args)):])
		if err != nil { // OTHER is a baseline or a report: nothing is known of how its runs went
			return reports.WriteComparisons(w, o.format, all)
		}
		page := a.report(store, source)
		page.Comparisons = all
		return reports.Write(w, o.format, page)
	})
}

// askedFor is the error, or the exit code, that comparisons ask for; nil where all is well.
func askedFor(all []*reports.Comparison) error {
	switch {
	case slices.ContainsFunc(all, (*reports.Comparison).Lacks):
		c := all[0] // all have the same sides
		return fmt.Errorf("%s lacks %s, such as %s: make it anew with `ftrun baseline set`, or leave -missing fail out",
			c.Base.Origin, reports.Plural(len(c.OnlyNew), "configuration", "configurations"), c.OnlyNew[0].Name())
	case slices.ContainsFunc(all, (*reports.Comparison).Regressed):
		return exit(exitRegression)
	case slices.ContainsFunc(all, (*reports.Comparison).Undecided):
		return exit(exitInconclusive)
	}
	return nil
}

// sides reads what is compared.
func (a *app) sides(args []string, predictions bool) (base, newer *reports.Results, err error) {
	store, err := a.runs()
	if err != nil {
		return nil, nil, err
	}
	path := defaultBaseline
	if len(args) > 0 {
		path = args[0]
	}
	base, err = a.readResults(store, path, predictions)
	if errors.Is(err, fs.ErrNotExist) && len(args) == 0 {
		return nil, nil, fmt.Errorf("there is no %s here: make one of the last plan's results with `%s`, or name what to compare with", path, a.again("baseline", "set"))
	}
	if err != nil {
		return nil, nil, err
	}
	if len(args) == 2 {
		newer, err = a.readResults(store, args[1], predictions)
		return base, newer, err
	}
	p, err := planner.Load(store.PlanPath())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, a.noPlan("name what to compare")
	}
	if err != nil {
		return nil, nil, err
	}
	newer, err = a.planResults(store, p, "the last plan", predictions)
	return base, newer, err
}

// criteria are one for each metric. given tells whether a flag was given.
func (o *comparison) criteria(given func(flag string) bool) ([]reports.Criterion, error) {
	test, err := oneOf("test", o.test, reports.Tests)
	if err != nil {
		return nil, err
	}
	correction, err := oneOf("correction", o.correction, reports.Corrections)
	if err != nil {
		return nil, err
	}
	inconclusive, err := oneOf("inconclusive", o.inconclusive, []string{"pass", "fail"})
	if err != nil {
		return nil, err
	}
	missing, err := oneOf("missing", o.missing, []string{"warn", "fail"})
	if err != nil {
		return nil, err
	}
	if !spec.Significant(o.alpha) {
		return nil, fmt.Errorf("-alpha must be at least %g and less than 0.5, not %v", spec.LeastAlpha, o.alpha)
	}
	if o.minSeeds < 1 {
		return nil, errors.New("-min-seeds must be at least 1")
	}
	idle := map[string]bool{"max-drop": true, "max-rise": true, "test": true, "alpha": true, "correction": true} // of no effect
	var all []reports.Criterion
	for i, name := range o.metrics {
		m, ok := reports.LookupMetric(name)
		if !ok {
			return nil, unknownMetric(name)
		}
		if slices.Contains(o.metrics[:i], name) {
			return nil, fmt.Errorf("-metric %s is given twice", name)
		}
		c := reports.DefaultCriterion(m)
		flag, limit := "max-rise", o.maxRise
		if m.MoreIsBetter {
			flag, limit = "max-drop", o.maxDrop
		}
		idle[flag] = false
		if given(flag) {
			if c.Limit, c.Relative, err = parseLimit(limit); err != nil {
				return nil, fmt.Errorf("-%s: %w", flag, err)
			}
		}
		if !m.Exact {
			idle["test"] = false
			if c.Test = test; test == reports.NoTest {
				c.Alpha, c.Correction = 0, ""
			} else {
				c.Alpha, c.Correction = o.alpha, correction
				idle["alpha"], idle["correction"] = false, false
			}
			if test == reports.McNemar && name != "val_acc" {
				return nil, fmt.Errorf("-test mcnemar counts which validation pictures are right, which is val_acc, and says nothing of %s: compare that by itself", name)
			}
		}
		c.MinSeeds, c.FailInconclusive, c.FailMissing = o.minSeeds, inconclusive == "fail", missing == "fail"
		all = append(all, c)
	}
	for _, flag := range slices.Sorted(maps.Keys(idle)) {
		if idle[flag] && given(flag) && (flag == "alpha" || flag == "correction") && !idle["test"] {
			return nil, fmt.Errorf("-%s has no effect with -test none: leave one of the two out", flag)
		}
		if idle[flag] && given(flag) {
			return nil, fmt.Errorf("-%s has no effect on what is compared (%s): leave it out", flag, strings.Join(o.metrics, ", "))
		}
	}
	return all, nil
}

// oneOf takes a flag's value from those that there are.
func oneOf[T ~string](flag, value string, known []T) (T, error) {
	if slices.Contains(known, T(value)) {
		return T(value), nil
	}
	return "", fmt.Errorf("-%s must be %s, not %q", flag, list(known), value)
}

func unknownMetric(name string) error {
	known := make([]string, len(reports.Metrics))
	for i, m := range reports.Metrics {
		known[i] = m.Name
	}
	if near := spec.Nearest(name, known); near != "" {
		return fmt.Errorf("there is no metric %q; did you mean %q?", name, near)
	}
	return fmt.Errorf("there is no metric %q: there are %s", name, strings.Join(known, ", "))
}

// mostBorne is more than any metric.
const mostBorne = 1e18

// parseLimit reads how much of a change is borne: 0.01, or 1% of the baseline.
func parseLimit(text string) (limit float64, relative bool, err error) {
	number, relative := strings.CutSuffix(text, "%")
	limit, err = strconv.ParseFloat(number, 64)
	if err != nil || !(limit >= 0 && limit <= mostBorne) {
		return 0, false, fmt.Errorf("what is borne is a number from 0 to %g, or one with %%, not %q", mostBorne, text)
	}
	if relative {
		limit /= 100
	}
	return limit, relative, nil
}
