package reports

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"html"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ftrun/ftrun/internal/runlog"
)

// swept is n configurations of so many seeds, with a course of so many epochs and predictions of so many classes each; the
// last configuration has failed. Names are hostile.
func swept(n, seeds, epochs, classes int) *Report {
	names := make([]string, classes)
	for i := range names {
		names[i] = fmt.Sprintf("class %d %s", i, hostile[i%len(hostile)])
	}
	r := &Report{Title: hostile[0]}
	courses := map[string]Course{}
	for i := range n {
		for seed := range seeds {
			acc := 0.9 - 0.4*float64(i)/float64(n) + 0.01*float64(seed)
			run := finished("s", int64(seed), acc, label("lr", strconv.Itoa(i)), label("weights", hostile[i%len(hostile)]))
			run.ID = fmt.Sprintf("%08d%08d", i, seed)
			run.Params.Trainable = int64(1000 * (i + 1))
			run.Metrics.BestEpoch, run.Metrics.Epochs = epochs, epochs
			c := Course{
				Classes: names, Version: "0.1.0", Threads: 2, Started: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Ended: time.Date(2026, 1, 2, 3, 14, 5, 0, time.UTC),
				Settings: json.RawMessage(fmt.Sprintf(`{"arch":"resnet18","optimizer":{"kind":"sgd","lr":%d},"weights":{"path":%s}}`, i, mustJSON(hostile[i%len(hostile)]))),
			}
			for e := range epochs {
				part := float64(e+1) / float64(epochs)
				c.Epochs = append(c.Epochs, runlog.Epoch{Epoch: e + 1, TrainAcc: acc * part, ValAcc: acc * part * 0.95, TrainLoss: 3 / part, ValLoss: 4 / part})
			}
			for k := range 4 * classes {
				p := runlog.Prediction{Path: fmt.Sprintf("%s/%d.jpg", hostile[k%len(hostile)], k), SHA256: strconv.Itoa(k), Class: k % classes, Probs: make([]float32, classes)}
				p.Probs[(k+k/classes*(i+seed))%classes] = 1
				c.Predictions = append(c.Predictions, p)
			}
			if i == n-1 && n > 1 {
				run.Status, run.Metrics, run.Timing = runlog.Failed, nil, nil
				run.Error = "the loss is NaN: " + hostile[1]
				c.Predictions = nil
			}
			r.Runs = append(r.Runs, run)
			courses[run.ID] = c
		}
	}
	r.Course = func(id string) (Course, error) { return courses[id], nil }
	return r
}

// hostile are names that break a page, or worse, where they are not escaped.
var hostile = []string{
	`</title></style></script><script>document.title="taken"</script>`,
	`"><img src=http://example.com/x onerror=alert(1)>`,
	`' onmouseover='alert(1)`,
	"two\nlines\x00\x1b[31m\u202e",
	`javascript:alert(1)//`,
	`{{.Title}}<!--`,
	strings.Repeat("long", 60),
}

func mustJSON(v any) string {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(raw)
}

func page(t *testing.T, r *Report) string {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, "html", r); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// voidElement are those of HTML that the page uses and that have no end.
var voidElement = regexp.MustCompile(`<(meta|link|wbr)([^>]*)>`)

// elements parses a page, strictly: each tag has its end, each attribute its quotes. It gives the elements by name, and
// the text with that of its parts.
func elements(t *testing.T, page string) map[string][]xml.StartElement {
	t.Helper()
	body := strings.TrimPrefix(page, "<!DOCTYPE html>\n")
	for _, raw := range []string{pageCSS, pageJS} {
		if !strings.Contains(body, raw) {
			t.Fatal("style and script are not as they were hashed")
		}
		body = strings.Replace(body, raw, "", 1)
	}
	body = voidElement.ReplaceAllString(body, "<$1$2/>")
	body = strings.NewReplacer("<details open>", `<details open="">`, `class="alone" open>`, `class="alone" open="">`).Replace(body)
	dec := xml.NewDecoder(strings.NewReader(body))
	dec.Entity = xml.HTMLEntity
	found := map[string][]xml.StartElement{}
	for {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return found
		}
		if err != nil {
			t.Fatalf("the page is not well formed: %v", err)
		}
		if e, ok := token.(xml.StartElement); ok {
			found[e.Name.Local] = append(found[e.Name.Local], e.Copy())
		}
	}
}

func attribute(e xml.StartElement, name string) string {
	for _, a := range e.Attr {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

func TestPageEscapesWhatUsersName(t *testing.T) {
	got := elements(t, page(t, swept(9, 2, 5, 8)))
	for name, want := range map[string]int{"script": 1, "style": 1, "img": 0, "iframe": 0, "link": 1, "title": 1 + 8 + 16} {
		// A title of the page, of each point against parameters, and of each run's best epoch, on two charts.
		if name == "title" {
			want = 1 + 8 + 2*2*8
		}
		if n := len(got[name]); n != want {
			t.Errorf("%d elements %s, want %d", n, name, want)
		}
	}
	for name, all := range got {
		for _, e := range all {
			for _, a := range e.Attr {
				switch {
				case strings.HasPrefix(a.Name.Local, "on") || a.Name.Local == "src" || a.Name.Local == "style":
					t.Errorf("%s has %s=%q", name, a.Name.Local, a.Value)
				case a.Name.Local == "href" && !strings.HasPrefix(a.Value, "#") && a.Value != "data:,":
					t.Errorf("%s leads to %q", name, a.Value)
				}
			}
		}
	}
}

// Each picture has a role, and names and descriptions that are there; each table a caption, each head a scope; ids are
// distinct and links lead to them.
func TestPageIsAccessible(t *testing.T) {
	got := elements(t, page(t, swept(9, 2, 5, 8)))
	ids := map[string]bool{}
	for _, all := range got {
		for _, e := range all {
			if id := attribute(e, "id"); id != "" && ids[id] {
				t.Errorf("the id %s is there twice", id)
			} else {
				ids[id] = true
			}
		}
	}
	charts := 0
	for _, e := range got["svg"] {
		if attribute(e, "aria-hidden") == "true" {
			continue
		}
		charts++
		if attribute(e, "role") != "img" || !ids[attribute(e, "aria-labelledby")] || !ids[attribute(e, "aria-describedby")] {
			t.Errorf("a picture lacks its role, name or description: %v", e.Attr)
		}
	}
	// Three of the sweep, two of each configuration, the one that failed too: it has a course.
	if want := 3 + 2*9; charts != want {
		t.Errorf("%d pictures, want %d", charts, want)
	}
	if tables, captions := len(got["table"]), len(got["caption"]); tables != captions || tables == 0 {
		t.Errorf("%d tables with %d captions", tables, captions)
	}
	for _, e := range got["th"] {
		if s := attribute(e, "scope"); s != "col" && s != "row" {
			t.Errorf("a head has the scope %q", s)
		}
	}
	for _, e := range got["a"] {
		if to := attribute(e, "href"); !ids[strings.TrimPrefix(to, "#")] {
			t.Errorf("a link leads to %s, which is not there", to)
		}
	}
}

// pageColours are those of the stylesheet, by light and by dark.
func pageColours(t *testing.T) map[string]map[string]rgb {
	light, dark, ok := strings.Cut(pageCSS, "prefers-color-scheme: dark")
	if !ok {
		t.Fatal("no dark colours")
	}
	dark, _, _ = strings.Cut(dark, "\n}\n")
	schemes := map[string]map[string]rgb{}
	for scheme, css := range map[string]string{"light": light, "dark": dark} {
		schemes[scheme] = map[string]rgb{}
		for _, m := range regexp.MustCompile(`--(\w+): #([0-9a-f]+)`).FindAllStringSubmatch(css, -1) {
			schemes[scheme][m[1]] = linearRGB(t, m[2])
		}
	}
	return schemes
}

// rgb is a colour as light, linear, from 0 to 1.
type rgb [3]float64

// linearRGB takes back sRGB's curve, IEC 61966-2-1.
func linearRGB(t *testing.T, c string) (out rgb) {
	if len(c) == 3 {
		c = string([]byte{c[0], c[0], c[1], c[1], c[2], c[2]})
	}
	v, err := strconv.ParseUint(c, 16, 32)
	if err != nil || len(c) != 6 {
		t.Fatalf("no colour: %q", c)
	}
	for i := range out {
		x := float64(v>>(16-8*i)&255) / 255
		if x <= 0.04045 {
			out[i] = x / 12.92
		} else {
			out[i] = math.Pow((x+0.055)/1.055, 2.4)
		}
	}
	return out
}

func (c rgb) times(m [3][3]float64) (out rgb) {
	for i, row := range m {
		out[i] = min(max(row[0]*c[0]+row[1]*c[1]+row[2]*c[2], 0), 1)
	}
	return out
}

// Text and marks can be told from what is behind them, by light and by dark: the contrasts that WCAG 2.1 asks for at level
// AA, https://www.w3.org/TR/WCAG21/#contrast-minimum and #non-text-contrast.
func TestPageContrast(t *testing.T) {
	luminance := func(c rgb) float64 { return 0.2126*c[0] + 0.7152*c[1] + 0.0722*c[2] }
	for scheme, colours := range pageColours(t) {
		for name, least := range map[string]float64{
			// better and inconclusive are words in the colours of s3 and s5.
			"ink": 7, "soft": 4.5, "link": 4.5, "bad": 4.5, "s3": 4.5, "s5": 4.5, "s1": 3, "s2": 3, "s4": 3, "s6": 3,
		} {
			for _, ground := range []string{"paper", "wash"} {
				x, y := luminance(colours[name]), luminance(colours[ground])
				if got := (max(x, y) + 0.05) / (min(x, y) + 0.05); got < least {
					t.Errorf("%s: %s on %s has a contrast of %.2f, want %g", scheme, name, ground, got, least)
				}
			}
		}
	}
}

// The colours of lines can be told apart, by those who lack one kind of cone too.
func TestPageColoursDiffer(t *testing.T) {
	// Machado, Oliveira, Fernandes: A Physiologically-based Model for Simulation of Color Vision Deficiency, 2009, table 1,
	// severity 1.
	sights := map[string][3][3]float64{
		"all cones":       {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}},
		"no long waves":   {{0.152286, 1.052583, -0.204868}, {0.114503, 0.786281, 0.099216}, {-0.003882, -0.048116, 1.051998}},
		"no middle waves": {{0.367322, 0.860646, -0.227968}, {0.280085, 0.672501, 0.047413}, {-0.011820, 0.042940, 0.968881}},
		"no short waves":  {{1.255528, -0.076749, -0.178779}, {-0.078411, 0.930809, 0.147602}, {0.004733, 0.691367, 0.303900}},
	}
	names := []string{"s1", "s2", "s3", "s4", "s5", "s6", "rest"}
	for scheme, colours := range pageColours(t) {
		for sight, m := range sights {
			for i, a := range names {
				for _, b := range names[:i] {
					x, y := lab(colours[a].times(m)), lab(colours[b].times(m))
					// A difference of 2.3 is just noticeable; lines are thin and far apart.
					if d := math.Hypot(math.Hypot(x[0]-y[0], x[1]-y[1]), x[2]-y[2]); d < 20 {
						t.Errorf("%s, %s: %s and %s differ by %.1f", scheme, sight, a, b, d)
					}
				}
			}
		}
	}
}

// lab is a colour in CIELAB (CIE 15:2004) under D65, where distances are about as large as they look.
func lab(c rgb) [3]float64 {
	xyz := c.times([3][3]float64{{0.4124564 / 0.95047, 0.3575761 / 0.95047, 0.1804375 / 0.95047}, {0.2126729, 0.7151522, 0.0721750}, {0.0193339 / 1.08883, 0.1191920 / 1.08883, 0.9503041 / 1.08883}})
	for i, v := range xyz {
		if v > 216.0/24389 {
			xyz[i] = math.Cbrt(v)
		} else {
			xyz[i] = (24389.0/27*v + 16) / 116
		}
	}
	return [3]float64{116*xyz[1] - 16, 500 * (xyz[0] - xyz[1]), 200 * (xyz[1] - xyz[2])}
}

func TestPageIsTheSameEachTime(t *testing.T) {
	r := swept(9, 3, 5, 8)
	first := page(t, r)
	for range 5 {
		if page(t, r) != first {
			t.Fatal("the same runs give another page")
		}
	}
}

// However many runs there are, the page stays small, and says what it leaves out.
func TestPageIsBounded(t *testing.T) {
	r := swept(600, 12, 400, runlog.MaxConfusion)
	asked := map[string]int{}
	course := r.Course
	r.Course = func(id string) (Course, error) { asked[id]++; return course(id) }
	got := page(t, r)
	if n := len(got); n > 12<<20 {
		t.Errorf("the page has %d bytes", n)
	}
	if n := len(asked); n != mostDetails*12 {
		t.Errorf("%d runs were read", n)
	}
	for id, n := range asked {
		if n != 1 {
			t.Fatalf("run %s was read %d times", id, n)
		}
	}
	for _, want := range []string{
		"100 more configurations are left out of the table: <code>ftrun report -format csv</code> has them all.",
		"those of the first 48 configurations;", "and 2 more runs: <code>ftrun runs list</code>",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the page doesn't say %q", want)
		}
	}
	sweeps := &Report{}
	for i := range 60 {
		sweeps.Runs = append(sweeps.Runs, finished(fmt.Sprintf("sweep%d", i), 0, 0.5))
	}
	if got := page(t, sweeps); !strings.Contains(got, "10 more sweeps are left out of this page:") || strings.Count(got, "<section") != mostSweeps {
		t.Error("more sweeps than there is room for")
	}
}

// What can't be read of a run is told in its place, with the rest.
func TestPageWithDamage(t *testing.T) {
	r := swept(3, 1, 4, 3)
	course := r.Course
	r.Course = func(id string) (Course, error) {
		c, _ := course(id)
		c.Predictions = nil
		return c, errors.New("predictions.jsonl of run " + id + ": it is <gone>")
	}
	got := page(t, r)
	for _, want := range []string{`<p class="trouble">predictions.jsonl of run 0000000000000000: it is &lt;gone&gt;</p>`, `id="s1c1acc`} {
		if !strings.Contains(got, want) {
			t.Errorf("the page doesn't have %s", want)
		}
	}
}

// Nothing is known of the runs but their rows: a page without courses.
func TestPageOfRowsAlone(t *testing.T) {
	got := elements(t, page(t, &Report{Runs: several()}))
	if n := len(got["section"]); n != 2 {
		t.Errorf("%d sweeps", n)
	}
	if n := len(got["figure"]); n != 0 {
		t.Errorf("%d charts of nothing", n)
	}
}

func TestMissed(t *testing.T) {
	picture := func(path string, class int, probs ...float32) runlog.Prediction {
		return runlog.Prediction{Path: path, SHA256: path, Class: class, Probs: probs}
	}
	m := newMissed()
	m.add(Course{Classes: []string{"ant", "bee", "fly"}, Predictions: []runlog.Prediction{
		picture("always", 0, 0.25, 0.5, 0.25), picture("once", 1, 0.5, 0.25, 0.25), picture("never", 2, 0, 0, 1), picture("tie", 0, 0.125, 0.75, 0.125),
		picture("of no class", 3, 1, 0, 0),
	}})
	m.add(Course{Classes: []string{"ant", "bee", "fly"}, Predictions: []runlog.Prediction{
		picture("always", 0, 0.25, 0.25, 0.5), picture("once", 1, 0.25, 0.5, 0.25), picture("never", 2, 0, 0, 1), picture("tie", 0, 0.125, 0.75, 0.125),
	}})
	want := missedView{Runs: 2, All: 4, Ever: 3, Always: 2, Pictures: []missedPicture{
		{Path: "tie", Class: "ant", Taken: "bee", Missed: 2, Seen: 2, Truth: "0.125"},
		{Path: "always", Class: "ant", Taken: "bee 1×, fly 1×", Missed: 2, Seen: 2, Truth: "0.250"},
		{Path: "once", Class: "bee", Taken: "ant", Missed: 1, Seen: 2, Truth: "0.375"},
	}}
	if d := cmp.Diff(want, m.view(10)); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	if got := m.view(1); len(got.Pictures) != 1 || got.Ever != 3 {
		t.Errorf("of one: %+v", got)
	}
}

func TestConfusion(t *testing.T) {
	of := func(pairs ...[2]int) (out []runlog.Prediction) {
		for _, p := range pairs {
			probs := make([]float32, 60)
			probs[p[1]] = 1
			out = append(out, runlog.Prediction{Class: p[0], Probs: probs})
		}
		return out
	}
	names := make([]string, 60)
	for i := range names {
		names[i] = strconv.Itoa(i)
	}
	runs := [][]runlog.Prediction{of([2]int{0, 0}, [2]int{0, 1}, [2]int{1, 1}, [2]int{2, 0}), of([2]int{0, 0}, [2]int{0, 0}, [2]int{2, 0})}
	few := confusionOf("x", names[:3], runs)
	want := []confusionRow{
		{"0", []confusionCell{{3, "right4"}, {1, "wrong2"}, {0, ""}}, "0.750"},
		{"1", []confusionCell{{0, ""}, {1, "right5"}, {0, ""}}, "1.000"},
		{"2", []confusionCell{{2, "wrong5"}, {0, ""}, {0, ""}}, "0.000"},
	}
	if d := cmp.Diff(want, few.Rows); d != "" || few.Map != nil || few.Seeds != 2 {
		t.Errorf("few classes: -want +got:\n%s", d)
	}
	pairs := []confusionPair{{"2", "0", 2, "1.000"}, {"0", "1", 1, "0.250"}}
	for classes, picture := range map[int]bool{mostClasses + 1: true, runlog.MaxConfusion: true, 60: false} {
		many := confusionOf("x", names[:classes], runs)
		if d := cmp.Diff(pairs, many.Pairs); d != "" || many.Rows != nil || (many.Map != nil) != picture {
			t.Errorf("%d classes: -want +got:\n%s", classes, d)
		}
		if picture {
			shades := []shape{{"right4", "M0 0h1v1h-1z"}, {"right5", "M1 1h1v1h-1z"}, {"wrong2", "M1 0h1v1h-1z"}, {"wrong5", "M0 2h1v1h-1z"}}
			if d := cmp.Diff(shades, many.Map.Shades); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
		}
	}
	if confusionOf("x", names, nil) != nil || confusionOf("x", nil, runs) != nil {
		t.Error("a confusion of nothing")
	}
}

func TestSettingText(t *testing.T) {
	for in, want := range map[string]string{
		"": "not set", `"sgd"`: "sgd", `""`: `""`, "0.10": "0.10", "[1,2]": "1, 2", "[]": "[]", `{"kind":"x","p":1}`: "x (p 1)",
		`[{"kind":"hflip","params":{"p":0.5}},{"kind":"vflip"}]`: "hflip, vflip",
	} {
		var value json.RawMessage
		if in != "" {
			value = json.RawMessage(in)
		}
		if got := SettingText(value); got != want {
			t.Errorf("%s: %q, want %q", in, got, want)
		}
	}
}

// A change has the name that a comparison of plans gives it, an element of a list too.
func TestChangedSettingsOfLists(t *testing.T) {
	side := func(degrees string) *ConfigResults {
		return &ConfigResults{Settings: json.RawMessage(`{"augment": {"ops": [{"kind": "hflip"}, {"kind": "rotation", "params": {"degrees": ` + degrees + `}}]}}`)}
	}
	if d := cmp.Diff([]string{"augment.ops[1].params.degrees: 10 → 20"}, changedSettings(side("10"), side("20"))); d != "" {
		t.Error(d)
	}
}

func TestFlatten(t *testing.T) {
	got, err := listSettings(json.RawMessage(`{"arch": "resnet18", "optimizer": {"kind": "sgd", "lr": 0.10, "inner": {"x": null}}, "list": [1, "two"],
		"augment": {"ops": [{"kind": "hflip", "params": {"p": [0.5]}}, {"kind": "center_crop"}, "vflip", {}]}, "empty": {}, "on": true}`))
	want := []setting{
		{"arch", "resnet18"}, {"optimizer.kind", "sgd"}, {"optimizer.lr", "0.10"}, {"optimizer.inner.x", "null"}, {"list", "1, two"},
		{"augment.ops", "hflip (p 0.5), center_crop, vflip, "}, {"on", "true"},
	}
	if d := cmp.Diff(want, got); d != "" || err != nil {
		t.Errorf("%v, -want +got:\n%s", err, d)
	}
	for _, broken := range []string{``, `[]`, `{"a"`, `{"a": 1`, `{"a": {"b": }}`, `null`} {
		if _, err := listSettings(json.RawMessage(broken)); err == nil {
			t.Errorf("%q is read", broken)
		}
	}
	a, b := []setting{{"x", "1"}, {"y", "2"}, {"z", "3"}}, []setting{{"x", "1"}, {"y", "3"}}
	all := commonSettings([][]setting{nil, a, b})
	if d := cmp.Diff([]setting{{"x", "1"}}, all); d != "" {
		t.Errorf("common: %s", d)
	}
	if d := cmp.Diff([]setting{{"y", "2"}, {"z", "3"}}, differingSettings(a, all)); d != "" {
		t.Errorf("differing: %s", d)
	}
	if len(a) != 3 || a[1].Name != "y" {
		t.Error("common changed what it was given")
	}
}

func TestAxes(t *testing.T) {
	texts := func(ticks []tick) string {
		var all []string
		for _, x := range ticks {
			all = append(all, x.Text)
		}
		return strings.Join(all, " ")
	}
	for _, c := range []struct {
		low, high float64
		want      string
	}{
		{0.31, 0.69, "0.3 0.4 0.5 0.6 0.7"}, {0, 1, "0.0 0.2 0.4 0.6 0.8 1.0"}, {0.5, 0.5, "0.47 0.48 0.49 0.50 0.51 0.52 0.53"}, {0, 0, "-0.0010 -0.0005 0.0000 0.0005 0.0010"},
		{1, 37, "0 10 20 30 40"}, {1500, 9000, "0 2000 4000 6000 8000 10000"},
	} {
		if _, ticks := linear(c.low, c.high, 100, 0); texts(ticks) != c.want {
			t.Errorf("linear from %g to %g: %s, want %s", c.low, c.high, texts(ticks), c.want)
		}
	}
	for _, c := range []struct {
		low, high float64
		want      string
	}{
		{1000, 12e6, "1k 10k 100k 1M 10M"}, {3e6, 12e6, "5M 10M"}, {5, 5, "5"}, {1e-4, 1e30, "1 10M 1e14 1e21 1e28"},
	} {
		_, ticks := logarithmic(c.low, c.high, 0, 100)
		if texts(ticks) != c.want {
			t.Errorf("logarithmic from %g to %g: %s, want %s", c.low, c.high, texts(ticks), c.want)
		}
	}
	for last, want := range map[int]string{1: "1", 2: "1 2", 5: "1 2 3 4 5", 10: "1 2 4 6 8 10", 90: "1 20 40 60 80", 100: "1 20 40 60 80 100"} {
		if _, ticks := epochAxis(last); texts(ticks) != want {
			t.Errorf("%d epochs: %s, want %s", last, texts(ticks), want)
		}
	}
	a := axis{low: 0, high: 1, from: 200, to: 100}
	for v, want := range map[float64]float64{0: 200, 0.5: 150, 1: 100, 2: 100, -1: 200} {
		if got := a.at(v); got != want {
			t.Errorf("%g is at %g, want %g", v, got, want)
		}
	}
}

// The mean over seeds goes on with those that reached an epoch; a long line loses points, but not its last.
func TestSeries(t *testing.T) {
	s := series{seeds: [][]point{{{1, 0.25}, {2, 0.5}, {3, 0.75}}, {{1, 0.75}, {2, 1}}}}
	s.summarize()
	if d := cmp.Diff([]point{{1, 0.5}, {2, 0.75}, {3, 0.75}}, s.mean, cmp.AllowUnexported(point{})); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([][]float64{{0.25, 0.5, 0.75}, {0.75, 1, 0.75}}, [][]float64{s.low, s.high}); d != "" {
		t.Error(d)
	}
	long := series{seeds: make([][]point, 1)}
	for e := range 1000 {
		long.seeds[0] = append(long.seeds[0], point{e + 1, 1})
	}
	long.summarize()
	if n := len(long.mean); n > mostPoints+1 || n < mostPoints/2 || len(long.seeds[0]) != n || long.last() != 1000 {
		t.Errorf("%d points of the mean, %d of the seed, until %d", n, len(long.seeds[0]), long.last())
	}
}

// A point's place in the chart is that of its accuracy and its parameters.
func TestAgainstParams(t *testing.T) {
	r := &Report{}
	for i, acc := range []float64{0.5, 0.75, 0.625} {
		run := finished("s", 0, acc, label("mode", string(rune('a'+i))))
		run.Params.Trainable = []int64{1_000, 1_000_000, 10_000_000}[i]
		r.Runs = append(r.Runs, run)
	}
	b := sweepBuilder{report: r, table: Tabulate(r.Runs)[0]}
	f, why := b.againstParams(b.table.Rows)
	if why != "" || len(f.Chart.Marks) != 3 {
		t.Fatalf("%q, %+v", why, f.Chart.Marks)
	}
	var tips []string
	for _, m := range f.Chart.Marks {
		tips = append(tips, html.UnescapeString(m.Tip))
	}
	want := []string{"3 a: 0.500, 1,000 trained", "2 c: 0.625, 10,000,000 trained", "1 b: 0.750, 1,000,000 trained"}
	if d := cmp.Diff(want, tips); d != "" {
		t.Error(d)
	}
	// The axes go from 10^3 to 10^7 with a margin of 6 % on each side, and from 0.5 to 0.75.
	x := math.Round((frameLeft+(frameRight-frameLeft)*(0.24+3)/4.48)*10) / 10
	if got, want := f.Chart.Marks[2].Path, marker(1, x, frameTop); got != want {
		t.Errorf("the best is at %s, want %s", got, want)
	}
	for _, same := range []struct {
		runs []Run
		want string
	}{
		{[]Run{finished("s", 0, 0.5, label("lr", "1")), finished("s", 0, 0.5, label("lr", "2"))}, "All configurations train 1,026 parameters"},
		{[]Run{unfinished("s", 0, runlog.Failed, label("lr", "1")), unfinished("s", 0, runlog.Failed, label("lr", "2"))}, "No configuration has a finished run"},
		{[]Run{finished("s", 0, 0.5, label("lr", "1")), unfinished("s", 0, runlog.Failed, label("lr", "2"))}, "One configuration alone"},
	} {
		b := sweepBuilder{table: Tabulate(same.runs)[0]}
		if _, why := b.againstParams(b.table.Rows); !strings.HasPrefix(why, same.want) {
			t.Errorf("%q, want %q", why, same.want)
		}
	}
}

// However close the points, each number is nearest to its own, as long as there is room.
func TestNumbersStandByTheirPoints(t *testing.T) {
	var points, texts []chartText
	for i := range 8 {
		p := chartText{X: 200 + 9*float64(i), Y: 100 + 20*float64(i%3), Text: strconv.Itoa(i + 1)}
		points, texts = append(points, p), append(texts, p)
	}
	separate(texts, points)
	for i, text := range texts {
		nearest, least := 0, math.Inf(1)
		for k, p := range points {
			if d := math.Hypot(p.X-(text.X+3.25), p.Y-(text.Y-4)); d < least {
				nearest, least = k, d
			}
		}
		if nearest != i {
			t.Errorf("%s stands by the point of %s", text.Text, points[nearest].Text)
		}
		for k, other := range texts[:i] {
			if math.Abs(other.X-text.X) < 6 && math.Abs(other.Y-text.Y) < 9 {
				t.Errorf("%s lies on %s", text.Text, texts[k].Text)
			}
		}
	}
}
