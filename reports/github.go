package reports

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"strings"
)

// mostAnnotations is how many errors, and how many warnings, of a step GitHub shows.
const mostAnnotations = 10

// annotation is a workflow command that has GitHub show a message on a run's page.
type annotation struct {
	level, title, message string // level: error, warning or notice
}

// writeComparisonsGitHub writes workflow commands for a step of GitHub Actions: an error for each configuration that is
// worse, a warning, or an error where the criterion says so, for each that is inconclusive or not in the baseline, and a
// notice with the counts; for a gate that was skipped a warning, and for one that could not be evaluated an error. Where there
// are more than GitHub shows, the last one says how many.
func writeComparisonsGitHub(w io.Writer, all []Outcome) error {
	byLevel := map[string][]annotation{}
	for i := range all {
		for _, a := range all[i].annotations() {
			byLevel[a.level] = append(byLevel[a.level], a)
		}
	}
	var b bytes.Buffer
	for _, level := range []string{"error", "warning", "notice"} {
		list := byLevel[level]
		if n := len(list) - mostAnnotations; n > 0 {
			list = append(list[:mostAnnotations-1:mostAnnotations-1], annotation{level, "ftrun", fmt.Sprintf("… and %d more; `ftrun compare` lists them", n+1)})
		}
		for _, a := range list {
			fmt.Fprintf(&b, "::%s title=%s::%s\n", a.level, escapeProperty(Printable(a.title)), escapeMessage(Printable(a.message)))
		}
	}
	_, err := w.Write(b.Bytes())
	return err
}

func (o *Outcome) annotations() []annotation {
	var all []annotation
	level := func(fails bool) string {
		if fails {
			return "error"
		}
		return "warning"
	}
	gate, c := cmp.Or(o.Criterion.Name, "ftrun"), o.Comparison
	if c == nil {
		return []annotation{{level(o.Err != nil), gate, o.unevaluated()}}
	}
	for _, t := range c.Tables() {
		for _, j := range t.Rows {
			if j.Verdict == Worse || j.Verdict == Inconclusive {
				fails := j.Verdict == Worse || c.Criterion.FailInconclusive
				all = append(all, annotation{level(fails), gate + ": " + j.Name(), c.Sentence(j)})
			}
		}
	}
	for _, u := range c.OnlyNew {
		all = append(all, annotation{level(c.Criterion.FailMissing), gate + ": " + u.Name(), "the baseline does not have it"})
	}
	for _, warning := range c.Warnings {
		all = append(all, annotation{"warning", gate, warning})
	}
	return append(all, annotation{"notice", gate + ": " + c.Criterion.Metric, c.Summary()})
}

// A command ends at its line's end, a property at a comma or colon. What is escaped, and how, is what GitHub's own toolkit
// does: https://github.com/actions/toolkit/blob/main/packages/core/src/command.ts.
var (
	messageEscapes  = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	propertyEscapes = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
)

func escapeMessage(s string) string  { return messageEscapes.Replace(s) }
func escapeProperty(s string) string { return propertyEscapes.Replace(s) }
