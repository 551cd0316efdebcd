package reports

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Each format is read here by a parser of it, with names that would break it.

// spiteful are comparisons of which all names are hostile, one with each verdict, and one by gates that fail.
func spiteful(t *testing.T) []Outcome {
	name := func(i int) []Label {
		return []Label{label("path", hostile[i%len(hostile)]), label("cell", fmt.Sprintf("a|b,c:d%%%d", i))}
	}
	var base, newer []ConfigResults
	for i, shift := range []float64{-0.2, 0, 0.06, 0.1} {
		seeds := noisy
		if i == 3 {
			seeds = noisy[:3]
		}
		base = append(base, configOf("s", seeds, name(i)...))
		newer = append(newer, configOf("s", plus(seeds, shift), name(i)...))
	}
	base = append(base, configOf("s", noisy, name(5)...))
	newer = append(newer, configOf("s", noisy, name(6)...))
	b, n := baseOf(base...), newerOf(newer...)
	b.Origin, n.Origin = "base|line\n\x1b[2J.json", "::error::the last plan"
	lenient := mustCompare(t, b, n, criterionOf(t, "val_acc", nil))
	strict := mustCompare(t, b, n, criterionOf(t, "val_acc", func(c *Criterion) {
		c.Name, c.FailInconclusive, c.FailMissing = "strict", true, true
	}))
	return Compared(lenient, strict)
}

// unjudged are a gate that was skipped and one that could not be evaluated, both hostile.
func unjudged(t *testing.T) []Outcome {
	by := func(name string) Criterion {
		return criterionOf(t, "val_acc", func(c *Criterion) { c.Name = name })
	}
	return []Outcome{
		{Criterion: by("early"), Baseline: "base|line\n\x1b[2J.json", Skipped: "2 runs <have> not ended\nyet"},
		{Criterion: by("strange"), Baseline: "::error::.json", Err: errors.New("no | configuration,\x1b[2J in common")},
	}
}

func written(t *testing.T, format string, all []Outcome) string {
	t.Helper()
	var b bytes.Buffer
	if err := WriteComparisons(&b, format, all); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestComparisonGolden(t *testing.T) {
	all := Compared(mixed(t), mustCompare(t, nil, newerOf(configOf("s", noisy)), criterionOf(t, "val_loss", bound(Max, 0.4))))
	for _, format := range []string{"md", "csv", "junit", "github"} {
		t.Run(format, func(t *testing.T) { golden(t, "comparison."+format, []byte(written(t, format, all))) })
	}
}

func TestComparisonOfNothing(t *testing.T) {
	for format, want := range map[string]string{
		"text": "", "json": "{\n  \"comparisons\": []\n}\n", "md": "### Nothing was compared\n", "github": "",
		"junit": xml.Header + `<testsuites name="ftrun" tests="0" failures="0" errors="0"></testsuites>` + "\n",
	} {
		if got := written(t, format, nil); got != want {
			t.Errorf("%s: %q, want %q", format, got, want)
		}
	}
}

func TestComparisonWritingFails(t *testing.T) {
	for _, format := range ComparisonFormats() {
		n := len(written(t, format, spiteful(t)))
		for room := 0; room < n; room += max(7, n/50) {
			if err := WriteComparisons(&fullDisk{room}, format, spiteful(t)); !errors.Is(err, errFull) {
				t.Errorf("%s, cut at byte %d of %d: %v", format, room, n, err)
				break
			}
		}
	}
}

// Every line of text is one of ours: no name ends it, and none moves the cursor.
func TestTextKeepsItsLines(t *testing.T) {
	outputs := map[string]string{}
	for _, format := range []string{"text", "md", "github"} {
		outputs["comparison."+format] = written(t, format, append(spiteful(t), unjudged(t)...))
	}
	for _, format := range []string{"text", "md"} {
		var b bytes.Buffer
		if err := Write(&b, format, swept(9, 2, 1, 2)); err != nil {
			t.Fatal(err)
		}
		outputs["report."+format] = b.String()
	}
	for name, got := range outputs {
		if i := strings.IndexFunc(got, func(r rune) bool { return r != '\n' && unprintable(r) }); i >= 0 {
			t.Errorf("%s has the character %q", name, got[i:i+1])
		}
		for line := range strings.Lines(got) {
			if strings.HasPrefix(line, "lines") {
				t.Errorf("%s has the line %q", name, line)
			}
		}
	}
}

// tableRow is a line of a table in GitHub's Markdown; a bar in a cell has a backslash before it.
var tableRow = regexp.MustCompile(`^\|((?:[^|\\]|\\.)*\|)+$`)

func TestMarkdownTables(t *testing.T) {
	var report bytes.Buffer
	if err := Write(&report, "md", swept(9, 2, 1, 2)); err != nil {
		t.Fatal(err)
	}
	for name, got := range map[string]string{"report": report.String(), "comparison": written(t, "md", spiteful(t))} {
		columns, tables, open := 0, 0, 0
		before := ""
		for line := range strings.Lines(got) {
			line = strings.TrimSuffix(line, "\n")
			open += strings.Count(line, "<details>") - strings.Count(line, "</details>")
			for _, tag := range regexp.MustCompile(`(^|[^\\])<[^>]*`).FindAllString(line, -1) {
				tag = tag[strings.IndexByte(tag, '<'):]
				if !slices.Contains([]string{"<details", "<summary", "</summary", "</details"}, tag) {
					t.Errorf("%s has the HTML %s>", name, tag)
				}
			}
			if !strings.HasPrefix(line, "|") {
				columns, before = 0, line
				continue
			}
			if !tableRow.MatchString(line) {
				t.Errorf("%s: no row of a table: %s", name, line)
			}
			n := len(regexp.MustCompile(`\\.`).ReplaceAllString(line, "")) - len(strings.ReplaceAll(regexp.MustCompile(`\\.`).ReplaceAllString(line, ""), "|", "")) - 1
			if columns == 0 {
				columns = n
				tables++
				if before != "" {
					t.Errorf("%s: the line %q stands before a table, which needs an empty one", name, before)
				}
			}
			if n != columns {
				t.Errorf("%s: %d cells instead of %d: %s", name, n, columns, line)
			}
		}
		if tables == 0 || open != 0 {
			t.Errorf("%s has %d tables, %d details stay open", name, tables, open)
		}
	}
	long := written(t, "md", Compared(mustCompare(t, thousand("base", 1000, 0), thousand("new", 1000, -0.5), criterionOf(t, "val_acc", untested))))
	if len(long) > 65_536 || !strings.Contains(long, "… and 800 more configurations: `-format json` lists them all.") {
		t.Errorf("a comment of %d bytes", len(long))
	}
}

func TestMarkdownText(t *testing.T) {
	for in, want := range map[string]string{
		"resnet18": "resnet18", "batch_size": "batch_size", "_x_": `\_x\_`, "a|b": `a\|b`, "*a* `b`": "\\*a\\* \\`b\\`", "a\nb": `a\\nb`,
		"<img src=x>": `\<img src=x\>`, "[a](b)": `\[a\](b)`, "ä & #1": `ä \& \#1`,
	} {
		if got := markdownText(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestComparisonCSV(t *testing.T) {
	lines, err := csv.NewReader(strings.NewReader(written(t, "csv", spiteful(t)))).ReadAll() // as many fields in each line
	if err != nil {
		t.Fatal(err)
	}
	column := func(name string) int {
		i := slices.Index(lines[0], name)
		if i < 0 {
			t.Fatalf("no column %s in %q", name, lines[0])
		}
		return i
	}
	var verdicts []string
	for i, line := range lines[1:] {
		verdicts = append(verdicts, line[column("verdict")])
		if want := hostile[[]int{0, 1, 2, 3, 5, 6}[i%6]]; line[column("path")] != want {
			t.Errorf("line %d: %q, want %q", i, line[column("path")], want)
		}
		for _, name := range []string{"base_mean", "new_mean", "difference", "p_worse", "margin"} {
			_, err := strconv.ParseFloat(line[column(name)], 64)
			if only := strings.HasPrefix(verdicts[i], "only_"); (err != nil) != only {
				t.Errorf("line %d, %s: %q", i, name, line[column(name)])
			}
		}
	}
	want := []string{"worse", "same", "better", "inconclusive", "only_base", "only_new"}
	if d := cmp.Diff(append(slices.Clone(want), want...), verdicts); d != "" {
		t.Error(d)
	}
}

func TestComparisonJSON(t *testing.T) {
	dec := json.NewDecoder(strings.NewReader(written(t, "json", append(spiteful(t), unjudged(t)...))))
	dec.DisallowUnknownFields()
	var got struct {
		Comparisons []*Comparison `json:"comparisons"`
		Gates       []gateJSON    `json:"gates"`
	}
	if err := dec.Decode(&got); err != nil {
		t.Fatal(err)
	}
	if _, err := dec.Token(); err != io.EOF {
		t.Errorf("more after the end: %v", err)
	}
	if got.Comparisons[1].Criterion.Name != "strict" || len(got.Comparisons[0].Judged) != 4 {
		t.Errorf("%+v", got.Comparisons[0])
	}
	want := []gateJSON{
		{"strict", "val_acc", Fail, "1 of 4 configurations is worse"},
		{"early", "val_acc", Skipped, "2 runs <have> not ended\nyet"},
		{"strange", "val_acc", Fail, "no | configuration,\x1b[2J in common"},
	}
	if d := cmp.Diff(want, got.Gates); d != "" {
		t.Error(d)
	}
}

// A gate that was not evaluated is no pass, in whatever format a program or a person reads.
func TestGatesThatWereNotEvaluated(t *testing.T) {
	passing := Compared(mustCompare(t, baseOf(configOf("s", noisy)), newerOf(configOf("s", noisy)), criterionOf(t, "val_acc", nil)))
	early, strange := unjudged(t)[0], unjudged(t)[1]
	for _, test := range []struct {
		format string
		all    []Outcome
		wants  []string
	}{
		{"text", unjudged(t), []string{"early: val_acc may drop by 0.01 from base|line\\n\\x1b[2J.json: skipped: 2 runs\n<have>", "not evaluated: no |"}},
		{"md", unjudged(t), []string{"### Not evaluated: 1 gate\n", "skipped: 2 runs \\<have\\> not ended", "not evaluated: no \\| configuration"}},
		{"md", []Outcome{early}, []string{"### Skipped: 1 gate\n"}},
		{"md", append(passing, early), []string{"### Nothing is worse, but skipped: 1 gate\n"}},
		{"md", append(passing, strange), []string{"### Not evaluated: 1 gate\n"}},
		{"csv", unjudged(t), []string{"early,val_acc,,skipped,", "strange,val_acc,,error,"}},
		{"junit", unjudged(t), []string{`<testsuites name="ftrun" tests="2" failures="0" errors="1">`, `<testcase name="early" classname="early.val_acc">`,
			`<skipped message="2 runs &lt;have&gt; not ended\nyet">`, `<error type="not evaluated" message="no | configuration,`}},
		{"github", unjudged(t), []string{"::warning title=early::skipped: 2 runs", "::error title=strange::not evaluated: no |"}},
		{"html", unjudged(t), []string{`<h2 id="outcome">Not evaluated: 1 gate</h2>`, "skipped: 2 runs &lt;have&gt; not ended", "not evaluated: no | configuration"}},
	} {
		got := written(t, test.format, test.all)
		for _, want := range test.wants {
			if !strings.Contains(got, want) {
				t.Errorf("%s lacks %q:\n%s", test.format, want, got)
			}
		}
	}
}

// junitSchema is what Jenkins's junit-10.xsd has of the elements that are used here: their attributes, those that must be
// there with a mark, and the elements in them.
var junitSchema = map[string]struct{ attributes, children []string }{
	"testsuites": {[]string{"name", "time", "tests", "failures", "errors"}, []string{"testsuite"}},
	"testsuite": {[]string{"name!", "tests!", "failures!", "errors!", "group", "time", "skipped", "timestamp", "hostname", "id", "package", "file", "log", "url"},
		[]string{"testsuite", "properties", "testcase", "system-out", "system-err"}},
	"testcase":   {[]string{"name!", "time", "classname", "group"}, []string{"skipped", "error", "failure", "system-out", "system-err"}},
	"skipped":    {[]string{"type", "message"}, nil},
	"failure":    {[]string{"type", "message"}, nil},
	"error":      {[]string{"type", "message"}, nil},
	"system-out": {nil, nil},
}

func TestComparisonJUnit(t *testing.T) {
	dec := xml.NewDecoder(strings.NewReader(written(t, "junit", append(spiteful(t), unjudged(t)...))))
	type counts struct{ Tests, Failures, Errors, Skipped int }
	var told, found []counts
	path := []string{""}
	for {
		token, err := dec.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		switch e := token.(type) {
		case xml.StartElement:
			name, parent := e.Name.Local, path[len(path)-1]
			rule, ok := junitSchema[name]
			if !ok || parent != "" && !slices.Contains(junitSchema[parent].children, name) || parent == "" && name != "testsuites" {
				t.Errorf("<%s> in <%s>", name, parent)
			}
			values := map[string]string{}
			for _, a := range e.Attr {
				values[a.Name.Local] = a.Value
				if !slices.Contains(rule.attributes, a.Name.Local) && !slices.Contains(rule.attributes, a.Name.Local+"!") {
					t.Errorf("<%s> has the attribute %s", name, a.Name.Local)
				}
			}
			for _, a := range rule.attributes {
				if must, ok := strings.CutSuffix(a, "!"); ok && values[must] == "" {
					t.Errorf("<%s> lacks %s", name, must)
				}
			}
			number := func(name string) int {
				n, err := strconv.Atoi(values[name])
				if err != nil {
					t.Errorf("%s: %v", name, err)
				}
				return n
			}
			switch name {
			case "testsuite":
				told, found = append(told, counts{number("tests"), number("failures"), number("errors"), number("skipped")}), append(found, counts{})
			case "testcase":
				found[len(found)-1].Tests++
			case "failure":
				found[len(found)-1].Failures++
			case "error":
				found[len(found)-1].Errors++
			case "skipped":
				found[len(found)-1].Skipped++
			}
			path = append(path, name)
		case xml.EndElement:
			path = path[:len(path)-1]
		}
	}
	// Worse, same, better, inconclusive, and one that each side lacks; the second fails what is inconclusive or missing. Then what was not evaluated.
	if d := cmp.Diff([]counts{{6, 1, 0, 3}, {6, 3, 0, 1}, {1, 0, 0, 1}, {1, 0, 1, 0}}, told); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(told, found); d != "" {
		t.Errorf("the suites count wrongly: %s", d)
	}
}

// workflowCommand is how GitHub's runner reads a line,
// https://docs.github.com/en/actions/reference/workflow-commands-for-github-actions: name, properties, message.
var workflowCommand = regexp.MustCompile(`^::(error|warning|notice) title=([^:,]*)::(.*)$`)

func TestComparisonGitHub(t *testing.T) {
	unescape := strings.NewReplacer("%3A", ":", "%2C", ",", "%0A", "\n", "%0D", "\r", "%25", "%")
	levels := map[string]int{}
	var titles []string
	for line := range strings.Lines(written(t, "github", spiteful(t))) {
		m := workflowCommand.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
		if m == nil {
			t.Fatalf("no command: %q", line)
		}
		levels[m[1]]++
		titles = append(titles, unescape.Replace(m[2]))
		for _, part := range m[2:] {
			if rest := regexp.MustCompile(`%(25|0A|0D|3A|2C)`).ReplaceAllString(part, ""); strings.Contains(rest, "%") {
				t.Errorf("a %% that is not escaped: %q", part)
			}
		}
	}
	if d := cmp.Diff(map[string]int{"error": 4, "warning": 2, "notice": 2}, levels); d != "" {
		t.Error(d)
	}
	if want := "ftrun: s[path=" + hostile[0] + ", cell=a|b,c:d%0]"; titles[0] != want {
		t.Errorf("title %q, want %q", titles[0], want)
	}
	// GitHub shows ten of a kind.
	many := written(t, "github", Compared(mustCompare(t, thousand("base", 1000, 0), thousand("new", 1000, -0.5), criterionOf(t, "val_acc", untested))))
	if n := strings.Count(many, "::error "); n != mostAnnotations || !strings.Contains(many, "::error title=ftrun::… and 991 more; `ftrun compare` lists them\n") {
		t.Errorf("%d errors of 1000: %s", n, many)
	}
}

func TestComparisonPage(t *testing.T) {
	r := twoModes()
	r.Comparisons = spiteful(t)
	for name, report := range map[string]*Report{"with runs": r, "alone": {Comparisons: r.Comparisons}} {
		text := page(t, report)
		got := elements(t, text)
		classes := map[string]int{}
		for _, e := range got["td"] {
			if class, ok := strings.CutPrefix(attribute(e, "class"), "verdict "); ok {
				classes[class]++
			}
		}
		if d := cmp.Diff(map[string]int{"worse": 2, "same": 2, "better": 2, "inconclusive": 2}, classes); d != "" {
			t.Errorf("%s: %s", name, d)
		}
		if !strings.Contains(text, `<h2 id="outcome">Worse: 2 verdicts of 8</h2>`) {
			t.Errorf("%s: no outcome", name)
		}
		if runs := strings.Contains(text, "There are no runs"); runs {
			t.Errorf("%s: speaks of runs where there are none", name)
		}
	}
	many := Compared(mustCompare(t, thousand("base", 1000, 0), thousand("new", 1000, -0.5), criterionOf(t, "val_acc", untested)))
	if text := written(t, "html", many); !strings.Contains(text, "500 more configurations are left out: <code>ftrun compare -format csv</code> has them all.") {
		t.Error("the page does not say what it leaves out")
	}
}

func TestForest(t *testing.T) {
	c := mixed(t)
	rows := c.Tables()[1].Rows
	scale := c.forestScale(rows)
	if scale.low > -0.2 || scale.high < 0.1 {
		t.Fatalf("from %g to %g", scale.low, scale.high)
	}
	byArch := map[string]*forest{}
	for _, j := range rows {
		byArch[j.Labels.Text("arch")] = scale.forest(c, j)
	}
	if n := len(slices.Collect(maps.Keys(byArch))); n != 5 {
		t.Fatalf("%d rows", n)
	}
	zero := strconv.FormatFloat(scale.at(0), 'f', -1, 64)
	if got := byArch["resnet18"]; got.Zero != "M"+zero+" 0v16" || got.Mean != scale.at(0) || got.Margin != "M"+strconv.FormatFloat(scale.at(-0.01), 'f', -1, 64)+" 0v16" {
		t.Errorf("of no difference: %+v, zero at %s", got, zero)
	}
	if got := byArch["inception_v3"]; got.Bar != "M0 8H180" {
		t.Errorf("an interval that is open at both ends: %+v", got)
	}
	if got := byArch["densenet121"]; got.Bar != "" {
		t.Errorf("no interval: %+v", got)
	}
	if m := byArch["alexnet"]; !(m.Mean < scale.at(-0.01)) {
		t.Errorf("worse is on the left of what is borne: %+v", m)
	}
}
