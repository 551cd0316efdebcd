package cli

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/ftrun/ftrun/planner"
	"github.com/ftrun/ftrun/reports"
)

// complain tells on standard error what kept gates from being evaluated and, where no comparison that is printed does, what
// makes their verdicts doubtful: the same of several gates once.
func (a *app) complain(outcomes []reports.Outcome, doubts bool) {
	var said []string
	gates := map[string][]string{}
	failed := map[string]bool{}
	say := func(o *reports.Outcome, text string, fails bool) {
		if gates[text] == nil {
			said = append(said, text)
		}
		gates[text] = append(gates[text], strconv.Quote(o.Criterion.Name))
		failed[text] = failed[text] || fails
	}
	for i := range outcomes {
		o := &outcomes[i]
		c := o.Comparison
		switch {
		case o.Err != nil:
			say(o, "not evaluated: "+o.Err.Error(), true)
			continue
		case o.Skipped != "":
			say(o, "not evaluated: "+o.Skipped, false)
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
			a.fail(fmt.Errorf("%s: %s", names, reports.Printable(text)))
		} else {
			a.warn("%s: %s.", names, reports.Printable(text))
		}
	}
}

// warn tells what need not be an error.
func (a *app) warn(format string, args ...any) {
	fmt.Fprintf(a.err, "%s %s\n", a.paint(a.err, yellow, "Warning:"), reports.PrintableLines(fmt.Sprintf(format, args...)))
}

// shownPerGate is how many configurations are printed for each gate; `ftrun compare` has them all.
const shownPerGate = 10

// showGate prints what came of a gate and, where they are wanted, the configurations that it is about: those that made it fail,
// one by one, and why others are inconclusive.
func (a *app) showGate(o *reports.Outcome, configs bool) {
	w, c := a.out, o.Comparison
	is, reason := o.Passing()
	word := passingWords[is]
	text := o.Title()
	switch {
	case c != nil && is == reports.Fail:
		text += ": " + reason
	case c != nil:
		text += ": " + c.Tally()
	case o.Err != nil:
		text += ": not evaluated"
	default:
		why, _, _ := strings.Cut(o.Skipped, ";") // the warning says how to mend it
		text += ": " + why
	}
	fmt.Fprintf(w, "%s  %s\n", a.paint(w, word.colour, word.text), reports.Wrap(reports.Printable(text), len(word.text)+2, w.width()))
	if c == nil || !configs {
		return
	}
	below := func(text string, indent int) {
		fmt.Fprintf(w, "%*s%s\n", gateIndent, "", reports.Wrap(reports.Printable(text), indent, w.width()))
	}
	shown := 0
	for _, v := range []reports.Verdict{reports.Worse, reports.Inconclusive} {
		for i := range c.Judged {
			j := &c.Judged[i]
			if j.Verdict != v || v == reports.Inconclusive && !c.Criterion.FailInconclusive {
				continue
			}
			if shown++; shown <= shownPerGate {
				below(j.Name()+": "+c.Sentence(j), gateIndent+2)
			}
		}
	}
	if shown > shownPerGate {
		below(fmt.Sprintf("… and %s more: `%s` lists them.", reports.Count(int64(shown-shownPerGate)), a.again("compare", "-gate", o.Criterion.Name)), gateIndent)
	}
	if !c.Criterion.FailInconclusive {
		for _, why := range c.Reasons() {
			below(why, gateIndent+2)
		}
	}
}

const gateIndent = len("PASS  ")

// passingWords are what a gate's line begins with.
var passingWords = map[reports.Passing]struct {
	text   string
	colour colour
}{
	reports.Pass: {"PASS", green}, reports.Fail: {"FAIL", red}, reports.Unknown: {"INCONCLUSIVE", yellow}, reports.Skipped: {"SKIP", yellow},
}

// showGates prints what the gates of a plan ask for.
func (a *app) showGates(p *planner.Plan) {
	for i := range p.Gates {
		g := &p.Gates[i]
		by := criterion(g)
		fmt.Fprintf(a.out, "%s\n", reports.Wrap(reports.Printable(fmt.Sprintf("Gate %s: %s (%s of %s%s).", g.Name, by.Asks(g.Baseline),
			reports.Plural(len(p.Judged(g)), "configuration", "configurations"), g.Sweep, testText(g))), 2, a.out.width()))
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
