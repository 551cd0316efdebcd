package reports

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
)

// The elements of JUnit's XML as Jenkins, GitLab and GitHub's test reporters read them, in the order of Jenkins's schema,
// https://github.com/jenkinsci/xunit-plugin/blob/master/src/main/resources/org/jenkinsci/plugins/xunit/types/model/xsd/junit-10.xsd.
type (
	junitSuites struct {
		XMLName  xml.Name     `xml:"testsuites"`
		Name     string       `xml:"name,attr"`
		Tests    int          `xml:"tests,attr"`
		Failures int          `xml:"failures,attr"`
		Errors   int          `xml:"errors,attr"`
		Suites   []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name     string      `xml:"name,attr"`
		ID       int         `xml:"id,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Errors   int         `xml:"errors,attr"`
		Skipped  int         `xml:"skipped,attr"`
		Cases    []junitCase `xml:"testcase"`
		Out      string      `xml:"system-out,omitempty"`
	}
	junitCase struct {
		Name    string        `xml:"name,attr"`
		Class   string        `xml:"classname,attr"`
		Skipped *junitSkipped `xml:"skipped"`
		Failure *junitFailure `xml:"failure"`
		Out     string        `xml:"system-out,omitempty"`
	}
	junitSkipped struct {
		Message string `xml:"message,attr"`
	}
	junitFailure struct {
		Type    string `xml:"type,attr"`
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
)

// writeComparisonsJUnit writes a suite for each comparison with a case for each configuration. What is worse is a failure.
// What is inconclusive, or not in the baseline, is a failure where the criterion says so, and skipped otherwise.
func writeComparisonsJUnit(w io.Writer, all []*Comparison) error {
	suites := junitSuites{Name: "ftrun"}
	for i, c := range all {
		s := c.junit()
		s.ID = i
		suites.Tests += s.Tests
		suites.Failures += s.Failures
		suites.Suites = append(suites.Suites, s)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	enc := xml.NewEncoder(w)
	enc.Indent("", "  ")
	if err := enc.Encode(suites); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func (c *Comparison) junit() junitSuite {
	s := junitSuite{Name: printable(c.Title())}
	class := c.Criterion.Metric
	if c.Criterion.Name != "" {
		class = c.Criterion.Name + "." + class
	}
	add := func(name, sweep, verdict, message string, fails, skips bool, text string) {
		one := junitCase{Name: printable(name), Class: printable(class + "." + sweep)}
		switch message = printable(message); {
		case fails:
			one.Failure = &junitFailure{verdict, message, text}
			s.Failures++
		case skips:
			one.Skipped = &junitSkipped{message}
			s.Skipped++
		default:
			one.Out = message
		}
		s.Tests++
		s.Cases = append(s.Cases, one)
	}
	for _, t := range c.Tables() {
		for _, j := range t.Rows {
			undecided := j.Verdict == Inconclusive
			var more []string
			for _, setting := range j.Changed {
				more = append(more, printable("changed: "+setting))
			}
			add(j.Name(), j.Sweep, string(j.Verdict), c.sentence(j), j.Verdict == Worse || undecided && c.Criterion.FailInconclusive, undecided, strings.Join(more, "\n"))
		}
	}
	for _, u := range c.OnlyNew {
		add(u.Name(), u.Sweep, "missing", "the baseline does not have it", c.Criterion.FailMissing, true, "")
	}
	for _, u := range c.OnlyBase {
		add(u.Name(), u.Sweep, "gone", "only the baseline has it", false, true, "")
	}
	var out []string
	for _, n := range c.Notes() {
		out = append(out, printable(n))
	}
	for _, warning := range c.Warnings {
		out = append(out, printable("Warning: "+warning))
	}
	s.Out = strings.Join(out, "\n")
	return s
}

// sentence says of a configuration what a row of the table does: "worse: val_acc 0.901 → 0.701, −0.200 (90% interval −0.201
// to −0.199, p 0.047)".
func (c *Comparison) sentence(j *Judgement) string {
	m := c.metric()
	text := string(j.Verdict) + ": " + m.Name + " "
	if j.Base == nil {
		text += valueText(m, &j.New) + ", " + string(c.Criterion.Bound) + " " + c.reference(m, j)
	} else {
		text += valueText(m, j.Base) + " → " + valueText(m, &j.New)
	}
	if j.Difference != nil {
		text += ", " + m.Change(*j.Difference)
	}
	var figures []string
	if j.Interval != nil {
		figures = append(figures, fmt.Sprintf("%.4g%% interval %s", 100*j.Interval.Level, intervalText(m, j.Interval)))
	}
	if p := j.pText(); p != "" {
		figures = append(figures, "p "+p)
	}
	if figures != nil {
		text += " (" + strings.Join(figures, ", ") + ")"
	}
	if j.Why != "" {
		text += "; " + j.Why
	}
	return text
}
