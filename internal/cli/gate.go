package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ftrun/ftrun/internal/runlog"
	"github.com/ftrun/ftrun/planner"
	"github.com/ftrun/ftrun/reports"
	"github.com/ftrun/ftrun/spec"
)

// gateResult is what came of one gate.
type gateResult struct {
	gate       *planner.Gate
	baseline   string              // that it was held against, or was to be
	comparison *reports.Comparison // nil where the gate was skipped or could not be evaluated
	skipped    string              // why there is nothing to judge: a clause
	err        error               // why it could not be evaluated
}

// The verdicts on a gate.
const (
	gatePass    = "pass"
	gateFail    = "fail"
	gateSkipped = "skipped"
)

// verdict is what is said of the gate as a whole, and the reason, of a gate that did not pass.
func (o *gateResult) verdict() (verdict, reason string) {
	c := o.comparison
	switch {
	case o.err != nil:
		return gateFail, o.err.Error()
	case o.skipped != "":
		return gateSkipped, o.skipped
	case c.Regressed():
		return gateFail, share(c, reports.Worse)
	case c.Lacks():
		return gateFail, fmt.Sprintf("%s lacks %s", o.baseline, reports.Plural(len(c.OnlyNew), "configuration", "configurations"))
	case c.Undecided():
		return gateFail, share(c, reports.Inconclusive)
	}
	return gatePass, ""
}

// share counts the configurations with a verdict: "1 of 3 configurations is worse".
func share(c *reports.Comparison, v reports.Verdict) string {
	if len(c.Judged) == 1 {
		return string(v)
	}
	n, verb := c.Count(v), "are"
	if n == 1 {
		verb = "is"
	}
	return fmt.Sprintf("%s of %s %s %s", reports.Count(int64(n)), reports.Plural(len(c.Judged), "configuration", "configurations"), verb, v)
}

// code is the exit code that the gate asks for.
func (o *gateResult) code() exit {
	switch {
	case o.err != nil || o.comparison != nil && o.comparison.Lacks():
		return exitError
	case o.comparison == nil:
		return exitOK
	case o.comparison.Regressed():
		return exitRegression
	case o.comparison.Undecided():
		return exitInconclusive
	}
	return exitOK
}

// codeOf is the exit code of several gates.
func codeOf(results []gateResult) exit {
	codes := map[exit]bool{}
	for i := range results {
		codes[results[i].code()] = true
	}
	for _, code := range []exit{exitError, exitRegression, exitInconclusive} {
		if codes[code] {
			return code
		}
	}
	return exitOK
}

// evaluateGates holds what the store has of a plan's runs against gates of the plan. saved is the plan's file, "" for the last
// one. base names a file of results that takes the place of the gates' baselines; "" leaves each its own.
func (a *app) evaluateGates(store *runlog.Store, p *planner.Plan, saved string, gates []*planner.Gate, base string) ([]gateResult, error) {
	predictions := false
	for _, g := range gates {
		c := criterion(g)
		predictions = predictions || c.NeedsPredictions()
	}
	runs, err := a.planResults(store, p, cmp.Or(saved, "the last plan"), predictions)
	if err != nil {
		return nil, err
	}
	type read struct {
		results *reports.Results
		err     error
	}
	baselines := map[string]read{}
	results := make([]gateResult, len(gates))
	for i, g := range gates {
		o, by := &results[i], criterion(g)
		o.gate, by.Configs = g, p.Judged(g)
		if by.NeedsBaseline() {
			o.baseline = cmp.Or(base, g.Baseline)
		}
		if o.skipped = unsettled(runs, by.Configs); o.skipped != "" {
			continue
		}
		b, known := baselines[o.baseline]
		if !known && by.NeedsBaseline() {
			b.results, b.err = a.readResults(store, o.baseline, predictions)
			baselines[o.baseline] = b
		}
		switch missing := errors.Is(b.err, fs.ErrNotExist) && base == ""; {
		case missing && by.FailMissing:
			o.err = errors.New(a.noBaseline(o.baseline, saved))
		case missing:
			o.skipped = a.noBaseline(o.baseline, saved)
		case b.err != nil:
			o.err = b.err
		default:
			o.comparison, o.err = reports.Compare(b.results, runs, by)
		}
	}
	return results, nil
}

// noBaseline says that there is no baseline at path, and how one is made of a plan's results.
func (a *app) noBaseline(path, saved string) string {
	of, words := "the last plan", []string{"baseline", "set", "-o", path}
	if saved != "" {
		of, words = saved, append(words, saved)
	}
	return fmt.Sprintf("there is no baseline %s; `%s` makes one of the results of %s", path, a.again(words...), of)
}

// unsettled says what keeps configurations from being judged: runs that may still finish.
func unsettled(r *reports.Results, configs []int) string {
	open := 0
	for _, i := range configs {
		for k := range r.Configs[i].Seeds {
			if s := &r.Configs[i].Seeds[k]; !s.Finished() && s.Status != runlog.Failed {
				open++
			}
		}
	}
	if open == 0 {
		return ""
	}
	verb := "have"
	if open == 1 {
		verb = "has"
	}
	return fmt.Sprintf("%s %s not ended yet", reports.Plural(open, "run", "runs"), verb)
}

// criterion is what a gate asks for, as comparisons know it.
func criterion(g *planner.Gate) reports.Criterion {
	return reports.Criterion{
		Name: g.Name, Metric: g.Metric, Bound: reports.Bound(g.Bound), Limit: g.Limit, Relative: g.Relative,
		Test: reports.Test(g.Test), Alpha: g.Alpha, Correction: reports.Correction(g.Correction), MinSeeds: g.MinSeeds,
		FailInconclusive: g.Inconclusive == "fail", FailMissing: g.Missing == "fail",
	}
}

// pickGates finds gates of a plan by name; without names they are all.
func pickGates(p *planner.Plan, names []string) ([]*planner.Gate, error) {
	byName := map[string]*planner.Gate{}
	known := make([]string, len(p.Gates))
	all := make([]*planner.Gate, len(p.Gates))
	for i := range p.Gates {
		known[i], all[i] = p.Gates[i].Name, &p.Gates[i]
		byName[known[i]] = all[i]
	}
	if len(names) == 0 {
		return all, nil
	}
	var picked []*planner.Gate
	for _, name := range names {
		g := byName[name]
		switch near := spec.Nearest(name, known); {
		case g != nil:
			picked = append(picked, g)
		case len(known) == 0:
			return nil, fmt.Errorf("there is no gate %q: the plan has none", name)
		case near != "":
			return nil, fmt.Errorf("the plan has no gate %q; did you mean %q?", name, near)
		default:
			return nil, fmt.Errorf("the plan has no gate %q; it has %s", name, strings.Join(known, ", "))
		}
	}
	return picked, nil
}

// judge evaluates all gates of a plan after its runs, and tells what came of them to a person, or to events where they are
// wanted. saved is the plan's file, "" for the last one. It gives the exit code that they ask for.
func (a *app) judge(store *runlog.Store, p *planner.Plan, saved string, events runlog.Sink) exit {
	if len(p.Gates) == 0 {
		return exitOK
	}
	gates, _ := pickGates(p, nil)
	results, err := a.evaluateGates(store, p, saved, gates, "")
	if err != nil {
		a.fail(fmt.Errorf("the gates can't be evaluated: %w", err))
		return exitError
	}
	if events == nil {
		fmt.Fprintln(a.out)
	}
	for i := range results {
		if events != nil {
			events.Emit(results[i].event())
		} else {
			a.showGate(&results[i], true)
		}
	}
	a.complain(results, true)
	return codeOf(results)
}

// compareGates evaluates gates where compare is asked to: by -gate, or by nothing else where the last plan has some. done is
// false where it is not.
func (a *app) compareGates(cmd *cobra.Command, args []string, o *comparison) (done bool, err error) {
	asked := slices.IndexFunc(askedFlags, cmd.Flags().Changed)
	if len(o.gates) == 0 && (len(args) > 0 || asked >= 0) {
		return false, nil
	}
	if asked >= 0 {
		return true, fmt.Errorf("-%s has no effect on gates, which say themselves what they ask for: leave it or -gate out", askedFlags[asked])
	}
	store, err := a.runs()
	if err != nil {
		return true, err
	}
	base, saved := "", ""
	if len(args) > 0 {
		base = args[0]
	}
	if len(args) == 2 {
		saved = args[1]
	}
	p, err := planner.Load(cmp.Or(saved, store.PlanPath()))
	switch {
	case errors.Is(err, fs.ErrNotExist) && len(o.gates) == 0:
		return false, nil
	case errors.Is(err, fs.ErrNotExist) && len(args) < 2:
		return true, a.noPlan("name a saved one after the baseline")
	case err != nil:
		return true, err
	}
	gates, err := pickGates(p, o.gates)
	if err != nil {
		return true, err
	}
	if len(gates) == 0 {
		return false, nil
	}
	results, err := a.evaluateGates(store, p, saved, gates, base)
	if err != nil {
		return true, err
	}
	var all []*reports.Comparison
	for i := range results {
		if c := results[i].comparison; c != nil {
			all = append(all, c)
		}
	}
	if o.format != "text" || o.output != "" || len(all) > 0 {
		if err := a.writeComparisons(args, o, all); err != nil {
			return true, err
		}
	}
	if o.format == "text" {
		if len(all) > 0 && o.output == "" {
			fmt.Fprintln(a.out)
		}
		for i := range results {
			a.showGate(&results[i], false)
		}
	}
	a.complain(results, false)
	if code := codeOf(results); code != exitOK {
		return true, code
	}
	return true, nil
}

func (o *gateResult) event() runlog.GateJudged {
	e := runlog.GateJudged{Name: o.gate.Name}
	e.Verdict, e.Reason = o.verdict()
	if o.comparison != nil {
		e.Comparison = o.comparison
	}
	return e
}

// complain tells on standard error what kept gates from being evaluated and, where no comparison that is printed does, what
// makes their verdicts doubtful: the same of several gates once.
func (a *app) complain(results []gateResult, doubts bool) {
	var said []string
	gates := map[string][]string{}
	failed := map[string]bool{}
	say := func(o *gateResult, text string, fails bool) {
		if gates[text] == nil {
			said = append(said, text)
		}
		gates[text] = append(gates[text], strconv.Quote(o.gate.Name))
		failed[text] = failed[text] || fails
	}
	for i := range results {
		o := &results[i]
		c := o.comparison
		switch {
		case o.err != nil:
			say(o, "not evaluated: "+o.err.Error(), true)
			continue
		case o.skipped != "":
			say(o, "not evaluated: "+o.skipped, false)
			continue
		}
		if doubts {
			for _, warning := range c.Warnings {
				say(o, strings.TrimSuffix(warning, "."), false)
			}
		}
		if len(c.OnlyNew) > 0 {
			say(o, fmt.Sprintf("%s lacks %s, such as %s; `%s` makes it anew", c.Base.Origin, reports.Plural(len(c.OnlyNew), "configuration", "configurations"),
				c.OnlyNew[0].Name(), a.again("baseline", "set", "-o", c.Base.Origin)), c.Lacks())
		}
	}
	for _, text := range said {
		names := "gate " + gates[text][0]
		if len(gates[text]) > 1 {
			names = "gates " + strings.Join(gates[text], ", ")
		}
		if failed[text] {
			a.fail(fmt.Errorf("%s: %s", names, text))
		} else {
			a.warn("%s: %s.", names, text)
		}
	}
}

// warn tells what need not be an error.
func (a *app) warn(format string, args ...any) {
	fmt.Fprintf(a.err, "%s %s\n", a.paint(a.err, yellow, "Warning:"), fmt.Sprintf(format, args...))
}

// shownPerGate is how many configurations are printed for each gate; `ftrun compare` has them all.
const shownPerGate = 10

// showGate prints a gate's verdict and, where they are wanted, the configurations that it is about.
func (a *app) showGate(o *gateResult, configs bool) {
	w := a.out
	verdict, reason := o.verdict()
	word := map[string]string{gatePass: a.paint(w, green, "PASS"), gateFail: a.paint(w, red, "FAIL"), gateSkipped: a.paint(w, yellow, "SKIP")}[verdict]
	text := fmt.Sprintf("%s: %s", o.gate.Name, boundText(o.gate, o.baseline))
	switch {
	case o.comparison != nil:
		text += ": " + cmp.Or(reason, tally(o.comparison))
	case o.err != nil:
		text += ": not evaluated"
	}
	fmt.Fprintf(w, "%s  %s\n", word, reports.Wrap(text, gateIndent, w.width()))
	if o.comparison == nil || !configs {
		return
	}
	c := o.comparison
	shown := 0
	for _, v := range []reports.Verdict{reports.Worse, reports.Inconclusive} {
		for i := range c.Judged {
			j := &c.Judged[i]
			if j.Verdict != v || v == reports.Inconclusive && !c.Criterion.FailInconclusive {
				continue
			}
			if shown++; shown <= shownPerGate {
				fmt.Fprintf(w, "%*s%s\n", gateIndent, "", reports.Wrap(judgementText(j, &c.Criterion), gateIndent+2, w.width()))
			}
		}
	}
	if shown > shownPerGate {
		fmt.Fprintf(w, "%*s… and %s more: `%s` lists them.\n", gateIndent, "", reports.Count(int64(shown-shownPerGate)), a.again("compare", "-gate", o.gate.Name))
	}
}

const gateIndent = len("PASS  ")

// boundText says what a gate asks for: "val_acc may drop by 0.01 from baseline.json".
func boundText(g *planner.Gate, baseline string) string {
	metric, ok := reports.LookupMetric(g.Metric)
	limit := strconv.FormatFloat(g.Limit, 'g', -1, 64)
	switch {
	case g.Relative:
		limit = strconv.FormatFloat(100*g.Limit, 'g', 6, 64) + " %"
	case ok && g.Limit >= 1000:
		limit = metric.Text(g.Limit)
	}
	switch g.Bound {
	case "max_drop":
		return fmt.Sprintf("%s may drop by %s from %s", g.Metric, limit, baseline)
	case "max_rise":
		return fmt.Sprintf("%s may rise by %s from %s", g.Metric, limit, baseline)
	case "min":
		return fmt.Sprintf("%s must reach %s", g.Metric, limit)
	}
	return fmt.Sprintf("%s must not exceed %s", g.Metric, limit)
}

// tally counts the configurations by verdict.
func tally(c *reports.Comparison) string {
	var parts []string
	for _, v := range []reports.Verdict{reports.Worse, reports.Inconclusive, reports.Same, reports.Better} {
		word := string(v)
		if v == reports.Better && c.Base == nil {
			word = "within"
		}
		if n := c.Count(v); n > 0 {
			parts = append(parts, reports.Count(int64(n))+" "+word)
		}
	}
	return strings.Join(parts, ", ")
}

// judgementText says what is known of a configuration: "s[mode=scratch]: 0.346 → 0.301 (−0.045; −0.060 to −0.031), p=0.016".
func judgementText(j *reports.Judgement, by *reports.Criterion) string {
	metric, _ := reports.LookupMetric(by.Metric)
	text := j.Name() + ": "
	if j.New.N == 0 || j.Difference == nil {
		return text + j.Why
	}
	if j.Base != nil {
		text += metric.Text(j.Base.Mean) + " → "
	}
	text += fmt.Sprintf("%s (%s", metric.Text(j.New.Mean), metric.Change(*j.Difference))
	if i := j.Interval; i != nil && i.Low != nil && i.High != nil {
		text += fmt.Sprintf("; %s to %s", metric.Change(*i.Low), metric.Change(*i.High))
	}
	text += ")"
	if j.P != nil && j.Verdict == reports.Worse {
		text += fmt.Sprintf(", p=%.2g", j.P.Worse)
	}
	if j.Why != "" {
		text += ": " + j.Why
	}
	return text
}

// showGates prints what the gates of a plan ask for.
func (a *app) showGates(p *planner.Plan) {
	for i := range p.Gates {
		g := &p.Gates[i]
		fmt.Fprintf(a.out, "%s\n", reports.Wrap(fmt.Sprintf("Gate %s: %s (%s of %s%s).", g.Name, boundText(g, g.Baseline),
			reports.Plural(len(p.Judged(g)), "configuration", "configurations"), g.Sweep, testText(g)), 2, a.out.width()))
	}
	if len(p.Gates) > 0 {
		fmt.Fprintln(a.out)
	}
}

// testText says how a gate tells a difference from noise.
func testText(g *planner.Gate) string {
	if g.Test == "none" {
		return ""
	}
	text := fmt.Sprintf("; %s, alpha %g", g.Test, g.Alpha)
	if g.Correction == "holm" {
		text += ", Holm"
	}
	return text
}
