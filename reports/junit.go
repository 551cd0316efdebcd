package reports

import (
	"encoding/xml"
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
		Error   *junitFailure `xml:"error"`
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
// What is inconclusive, or not in the baseline, is a failure where the criterion says so, and skipped otherwise. The suite of
// a gate that was skipped, or could not be evaluated, has one case, which is skipped, or an error.
func writeComparisonsJUnit(w io.Writer, all []Outcome) error {
	suites := junitSuites{Name: "ftrun"}
	for i := range all {
		s := all[i].junit()
		s.ID = i
		suites.Tests += s.Tests
		suites.Failures += s.Failures
		suites.Errors += s.Errors
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

func (o *Outcome) junit() junitSuite {
	class := o.Criterion.Metric
	if o.Criterion.Name != "" {
		class = o.Criterion.Name + "." + class
	}
	if o.Comparison != nil {
		return o.Comparison.junit(class)
	}
	s := junitSuite{Name: Printable(o.Title()), Tests: 1}
	one := junitCase{Name: Printable(o.Criterion.Name), Class: Printable(class)}
	if o.Err != nil {
		one.Error = &junitFailure{Type: "not evaluated", Message: Printable(o.Err.Error())}
		s.Errors++
	} else {
		one.Skipped = &junitSkipped{Printable(o.Skipped)}
		s.Skipped++
	}
	s.Cases = []junitCase{one}
	return s
}

// junit is the suite of a comparison; class is what the classes of its cases begin with.
func (c *Comparison) junit(class string) junitSuite {
	s := junitSuite{Name: Printable(c.Title())}
	add := func(name, sweep, verdict, message string, fails, skips bool, text string) {
		one := junitCase{Name: Printable(name), Class: Printable(class + "." + sweep)}
		switch message = Printable(message); {
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
				more = append(more, Printable("changed: "+setting))
			}
			add(j.Name(), j.Sweep, string(j.Verdict), c.Sentence(j), j.Verdict == Worse || undecided && c.Criterion.FailInconclusive, undecided, strings.Join(more, "\n"))
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
		out = append(out, Printable(n))
	}
	for _, warning := range c.Warnings {
		out = append(out, Printable("Warning: "+warning))
	}
	s.Out = strings.Join(out, "\n")
	return s
}
