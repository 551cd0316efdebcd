package reports

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ftrun/ftrun/internal/runlog"
)

// Course is how a run went and what it was asked for.
type Course struct {
	Epochs      []runlog.Epoch
	Predictions []runlog.Prediction // of a finished run
	Classes     []string            // their names, in the order of the predictions' probabilities
	Settings    json.RawMessage     // an object; those in it give names with a dot: optimizer.lr
	Version     string              // of ftrun, of a finished run
	Threads     int                 // of a finished run
	Started     time.Time
	Ended       time.Time // of a finished run
}

// What a page holds at most, so that a sweep of thousands makes a file that a browser opens and a mail carries: some 10 MB
// where all is full, less than 1 MB for what people sweep over by hand. What is left out is told where it would stand.
const (
	mostSweeps  = 50  // with a section
	mostRows    = 500 // of tables, over all sweeps
	mostDetails = 48  // configurations with curves, confusions and missed pictures, over all sweeps
	mostSeeds   = 10  // of a configuration, with a line and a row each
	mostPoints  = 150 // of a line
	mostLegend  = 6   // configurations with a colour
	mostMissed  = 12  // pictures of a sweep
	mostOfOne   = 10  // pictures, and pairs of classes, of a configuration
	mostClasses = 12  // of a confusion matrix with names and figures
	mostText    = 400 // characters of a setting or an error
)

//go:embed page/page.html
var pageHTML string

//go:embed page/page.css
var pageCSS string

//go:embed page/page.js
var pageJS string

var pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{
	"commands": commands,
	"folders":  func(path string) []string { return strings.SplitAfter(path, "/") },
	"odd":      func(i int) bool { return i%2 == 1 },
}).Parse(pageHTML))

// commands splits a sentence of ours, in which commands stand between backquotes: each second part is one.
func commands(s string) []string { return strings.Split(s, "`") }

// writeReportHTML writes a report for a browser: one file that asks for nothing else, the same bytes for the same runs. All
// that a user may have named is escaped by html/template, and should that fail, the page's policy runs no script but its
// own.
func writeReportHTML(w io.Writer, r *Report) error {
	view, err := r.view()
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := pageTemplate.Execute(&b, view); err != nil {
		return err
	}
	// What a page may not hold, and what turns the direction of reading, stands as in the other formats.
	_, err = io.WriteString(w, PrintableLines(b.String()))
	return err
}

// The types below are what the template shows. Texts are for people; numbers for the script that sorts are in Value.
type (
	pageView struct {
		Title   string
		Policy  string
		CSS     template.CSS
		JS      template.JS
		Summary string
		Made    []setting

		Outcome     string // of the comparisons; "": there are none
		Comparisons []comparisonView

		Sweeps  []sweepView
		LeftOut string
	}
	sweepView struct {
		ID, Name string
		Fixed    []string
		Lead     string
		Header   []headView
		Rows     []rowView
		Strip    bool
		Notes    []string
		Legend   []legendView
		Figures  []figure
		NoPlot   string // why accuracy is not set against parameters
		Common   []setting
		Missed   missedView
		Configs  []configView
		LeftOut  []string
	}
	headView struct {
		Text    string
		Numeric bool
	}
	rowView struct {
		Rank   int
		Link   string // to the details; "": none
		Series int    // from 1; 0: none
		Names  []string
		Cells  []cellView
		Strip  *strip
		Wide   bool // the table has a column of strips
		Best   bool
	}
	cellView struct{ Text, Value string }

	legendView struct {
		Series int    // 0: all the others
		Place  string // in the table
		Text   string
	}
	configView struct {
		ID        string
		Rank      int
		Series    int
		Name      string
		Acc       string
		Settings  []setting
		Figures   []figure
		Confusion *confusion
		Missed    missedView
		Runs      []runView
		MoreRuns  string
		Troubles  []string
		Open      bool
	}
	runView struct {
		Seed   int64
		ID     string
		Status string
		Error  string
		Cells  []string // figures; none of a run that has not finished
	}
)

// Class names the series for the stylesheet.
func (l legendView) Class() string { return seriesClass(l.Series) }

func seriesClass(series int) string {
	if series == 0 {
		return "rest"
	}
	return "s" + strconv.Itoa(series)
}

// Swatch is the mark of the legend's line.
func (l legendView) Swatch() string { return marker(l.Series, 14, 7) }

// Swatch is the mark beside the row's place.
func (r rowView) Swatch() string { return marker(r.Series, 7, 7) }

// Swatch is the mark beside the configuration's name.
func (c configView) Swatch() string { return marker(c.Series, 7, 7) }

// policy allows the page its own style and script, by their hashes, and nothing else: no other script, no network.
func policy() string {
	hash := func(s string) string {
		sum := sha256.Sum256([]byte(s))
		return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	}
	return "default-src 'none'; img-src data:; style-src " + hash(pageCSS) + "; script-src " + hash(pageJS) + "; base-uri 'none'; form-action 'none'"
}

func (r *Report) view() (*pageView, error) {
	tables := Tabulate(r.Runs)
	v := &pageView{Title: cmp.Or(r.Title, "runs"), Policy: policy(), CSS: template.CSS(pageCSS), JS: template.JS(pageJS)}
	if len(r.Comparisons) > 0 {
		v.Outcome = conclusion(r.Comparisons)
	}
	if len(r.Runs) > 0 || v.Outcome == "" {
		v.Summary = countSentence(r.Runs, tables)
	}
	judged := mostRows
	for i := range r.Comparisons {
		v.Comparisons = append(v.Comparisons, r.Comparisons[i].view("v"+strconv.Itoa(i+1), &judged))
	}
	if n := len(tables) - mostSweeps; n > 0 {
		v.LeftOut = fmt.Sprintf("%s left out of this page: `ftrun report -format csv` has them all.", Plural(n, "more sweep is", "more sweeps are"))
		tables = tables[:mostSweeps]
	}
	_, runs := grouped(r.Runs, func(r Run) string { return r.Sweep })
	rows, details := mostRows, mostDetails
	made := newMade()
	for i, t := range tables {
		// What is left is shared between the sweeps that are left.
		share := func(left int) int { return max(1, left/(len(tables)-i)) }
		b := sweepBuilder{report: r, table: t, runs: runs[t.Sweep], id: "s" + strconv.Itoa(i+1), made: made}
		s, err := b.view(share(rows), share(details))
		if err != nil {
			return nil, err
		}
		rows -= len(s.Rows)
		details -= len(s.Configs)
		v.Sweeps = append(v.Sweeps, s)
	}
	v.Made = made.settings()
	return v, nil
}

func (r *Report) course(id string) (Course, error) {
	if r.Course == nil {
		return Course{}, nil
	}
	return r.Course(id)
}

// countSentence counts runs in one sentence.
func countSentence(runs []Run, tables []Table) string {
	if len(runs) == 0 {
		return "There are no runs to compare."
	}
	configs, finished, failed, seconds := 0, 0, 0, 0.0
	for _, t := range tables {
		configs += len(t.Rows)
	}
	for _, r := range runs {
		switch r.Status {
		case runlog.Finished:
			finished++
			if r.Timing != nil {
				seconds += r.Timing.Seconds
			}
		case runlog.Failed:
			failed++
		}
	}
	s := Plural(configs, "configuration", "configurations")
	if len(tables) > 1 {
		s += " in " + Plural(len(tables), "sweep", "sweeps")
	}
	if finished == len(runs) {
		s += ", " + Plural(len(runs), "run", "runs") + ", all finished"
	} else {
		s += fmt.Sprintf(", %s: %s finished", Plural(len(runs), "run", "runs"), Count(int64(finished)))
		if failed > 0 {
			s += fmt.Sprintf(", %s failed", Count(int64(failed)))
		}
		if open := len(runs) - finished - failed; open > 0 {
			s += fmt.Sprintf(", %s not finished", Count(int64(open)))
		}
	}
	if finished > 0 {
		s += "; " + Duration(seconds) + " of run time in all"
	}
	return s + "."
}

// made gathers what the runs were made with.
type made struct {
	devices, versions, threads []string
	first, last                time.Time
}

func newMade() *made { return &made{} }

func (m *made) add(r Run, c Course) {
	if r.Status != runlog.Finished {
		return
	}
	note := func(list *[]string, text string) {
		if text != "" && !slices.Contains(*list, text) {
			*list = append(*list, text)
		}
	}
	note(&m.devices, strings.TrimSuffix(r.Device+" ("+r.Path+")", " ()"))
	note(&m.versions, c.Version)
	if c.Threads > 0 {
		note(&m.threads, strconv.Itoa(c.Threads))
	}
	if !c.Started.IsZero() && (m.first.IsZero() || c.Started.Before(m.first)) {
		m.first = c.Started
	}
	if c.Ended.After(m.last) {
		m.last = c.Ended
	}
}

func (m *made) settings() []setting {
	var out []setting
	add := func(name, text string) {
		if text != "" {
			out = append(out, setting{name, text})
		}
	}
	add("device", strings.Join(m.devices, ", "))
	add("ftrun", strings.Join(m.versions, ", "))
	add("threads of a run", strings.Join(m.threads, ", "))
	if !m.first.IsZero() && !m.last.IsZero() {
		const minute = "2006-01-02 15:04"
		from, to := m.first.UTC().Format(minute), m.last.UTC().Format(minute)
		if from[:10] == to[:10] {
			to = to[11:]
		}
		add("trained", from+" to "+to+" UTC")
	}
	return out
}

// sweepBuilder makes the section of one sweep.
type sweepBuilder struct {
	report *Report
	table  Table
	runs   []Run
	id     string
	made   *made

	missed *missed // over the configurations shown in detail
	curves []curve // of these, in their order
}

func (b *sweepBuilder) view(rows, details int) (sweepView, error) {
	t := b.table
	s := sweepView{ID: b.id, Name: t.Sweep, Fixed: t.Fixed, Lead: lead(t)}
	for _, n := range notes(t) {
		s.Notes = append(s.Notes, strings.Replace(n, "* best", "★ best", 1))
	}
	details = min(details, rows, len(t.Rows))
	b.missed = newMissed()
	settings := make([][]setting, details)
	for i := range details {
		c, all, err := b.config(i)
		if err != nil {
			return s, err
		}
		s.Configs, settings[i] = append(s.Configs, c), all
	}
	s.Common = commonSettings(settings)
	for i := range s.Configs {
		s.Configs[i].Settings = differingSettings(settings[i], s.Common)
	}

	header, right := columns(t)
	for i, h := range header {
		s.Header = append(s.Header, headView{h, i >= right})
	}
	shown := t.Rows[:min(rows, len(t.Rows))]
	scale := stripScale(shown)
	s.Strip = scale != nil
	for i, r := range shown {
		row := rowView{Rank: i + 1, Best: r.Best, Series: b.series(i), Strip: scale.strip(r), Wide: s.Strip}
		texts := cells(t, r)
		row.Names = texts[:right]
		for j, value := range sortValues(r) {
			row.Cells = append(row.Cells, cellView{strings.TrimPrefix(texts[right+j], "* "), value})
		}
		if i < details {
			row.Link = s.Configs[i].ID
		}
		s.Rows = append(s.Rows, row)
	}
	if len(t.Rows) > 1 {
		b.overview(&s)
	} else if len(s.Configs) == 1 {
		s.Configs[0].Open = true
	}
	if b.missed.runs > 1 && len(s.Configs) > 1 {
		s.Missed = b.missed.view(mostMissed)
	}
	if n := len(t.Rows) - len(shown); n > 0 {
		s.LeftOut = append(s.LeftOut, fmt.Sprintf("%s left out of the table: `ftrun report -format csv` has them all.",
			Plural(n, "more configuration is", "more configurations are")))
	}
	if n := len(shown) - details; n > 0 {
		s.LeftOut = append(s.LeftOut, fmt.Sprintf("Curves, confusions and missed pictures are those of the first %s; `ftrun show ID` has them of each run.",
			Plural(details, "configuration", "configurations")))
	}
	return s, nil
}

// lead says what came first.
func lead(t Table) string {
	r := t.Rows[0]
	if r.Finished == 0 || len(t.Rows) == 1 {
		return ""
	}
	over := ""
	if r.Acc.N > 1 {
		over = fmt.Sprintf(" over %d seeds", r.Acc.N)
	}
	var equal []string
	for _, r := range t.Rows {
		if r.Best {
			equal = append(equal, rowName(t, r))
		}
	}
	if len(equal) > 1 {
		return fmt.Sprintf("Best: %s configurations with a validation accuracy of %s: %s.", Count(int64(len(equal))), spread(r.Acc, 3), some(equal))
	}
	return fmt.Sprintf("Best: %s with a validation accuracy of %s%s, training %s of %s parameters.",
		rowName(t, r), spread(r.Acc, 3), over, Count(r.Params.Trainable), Count(r.Params.Total))
}

// rowName is a configuration by the axes that vary: "resnet18, lr 0.003". A word tells what it is of, a number does not.
func rowName(t Table, r Row) string {
	var parts []string
	for _, l := range r.Labels {
		switch {
		case !slices.Contains(t.Axes, l.Axis) || l.Text == "":
		case bytes.HasPrefix(l.Value, []byte{'"'}) && l.Text != "none":
			parts = append(parts, l.Text)
		default:
			parts = append(parts, l.Axis+" "+l.Text)
		}
	}
	if len(parts) == 0 {
		return t.Sweep
	}
	return strings.Join(parts, ", ")
}

// sortValues are the figures of a row by which it is sorted, as cells gives them.
func sortValues(r Row) []string {
	num := func(v float64, n int) string {
		if n == 0 {
			return ""
		}
		return strconv.FormatFloat(v, 'g', -1, 64)
	}
	return []string{
		num(r.Acc.Mean, r.Acc.N), strconv.FormatInt(r.Params.Trainable, 10), strconv.FormatInt(r.Params.Total, 10),
		num(r.BestEpoch.Mean, r.BestEpoch.N), num(r.Seconds.Mean, r.Seconds.N), num(r.Speed.Mean, r.Speed.N),
	}
}

// series is the colour of the configuration in that place of the table; 0 where it has none of its own.
func (b *sweepBuilder) series(i int) int {
	if len(b.table.Rows) > 1 && i < mostLegend && b.table.Rows[i].Finished > 0 {
		return i + 1
	}
	return 0
}

// config makes the details of the configuration in that place of the table, and gives all its settings.
func (b *sweepBuilder) config(i int) (configView, []setting, error) {
	t, r := b.table, b.table.Rows[i]
	v := configView{ID: b.id + "c" + strconv.Itoa(i+1), Rank: i + 1, Series: b.series(i), Name: rowName(t, r)}
	if r.Finished > 0 {
		v.Acc = spread(r.Acc, 3)
	}
	own := newMissed()
	var courses []Course
	var settings []setting
	var classes []string
	var predictions [][]runlog.Prediction
	for _, run := range r.runs {
		c, err := b.report.course(run.ID)
		if err != nil {
			v.Troubles = append(v.Troubles, err.Error())
		}
		b.made.add(run, c)
		if settings == nil && c.Settings != nil {
			if settings, err = listSettings(c.Settings); err != nil {
				return v, nil, fmt.Errorf("the settings of run %s: %w", run.ID, err)
			}
			for i := range settings {
				settings[i].Text = Shorten(settings[i].Text, mostText)
			}
		}
		if run.Status == runlog.Finished && len(c.Predictions) > 0 {
			own.add(c)
			b.missed.add(c)
			if classes == nil || slices.Equal(classes, c.Classes) {
				classes = c.Classes
				predictions = append(predictions, c.Predictions)
			}
		}
		c.Predictions = nil
		courses = append(courses, c)
		if len(v.Runs) < mostSeeds {
			v.Runs = append(v.Runs, runRow(run))
		}
	}
	if n := len(r.runs) - len(v.Runs); n > 0 {
		v.MoreRuns = fmt.Sprintf("and %s: `ftrun runs list` has them all.", Plural(n, "more run", "more runs"))
	}
	v.Missed = own.view(mostOfOne)
	v.Confusion = confusionOf(v.ID, classes, predictions)
	one := curveOf(r.runs, courses)
	v.Figures = one.figures(v.ID, v.Name)
	b.curves = append(b.curves, one)
	return v, settings, nil
}

// runColumns are the figures of runRow.
var runColumns = []string{"val acc", "val loss", "test acc", "best epoch", "epochs", "time"}

// RunColumns heads the table of a configuration's runs.
func (configView) RunColumns() []string { return runColumns }

func runRow(r Run) runView {
	v := runView{Seed: r.Seed, ID: r.ID, Status: string(r.Status), Error: Shorten(r.Error, mostText)}
	if r.Metrics == nil {
		return v
	}
	m := r.Metrics
	fixed := func(x float64, digits int) string { return strconv.FormatFloat(x, 'f', digits, 64) }
	test, seconds := "–", "–"
	if m.TestAcc != nil {
		test = fixed(*m.TestAcc, 3)
	}
	if r.Timing != nil {
		seconds = Duration(r.Timing.Seconds)
	}
	v.Cells = []string{fixed(m.ValAcc, 3), fixed(m.ValLoss, 4), test, strconv.Itoa(m.BestEpoch), strconv.Itoa(m.Epochs), seconds}
	return v
}
