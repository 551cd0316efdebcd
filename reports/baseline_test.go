package reports

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ftrun/ftrun/internal/durable"
	"github.com/ftrun/ftrun/internal/runlog"
)

// plainText is a label's value as the tests of this package write it.
func plainText(value json.RawMessage) string {
	var s string
	if json.Unmarshal(value, &s) == nil {
		return s
	}
	return string(value)
}

// kept is what a baseline can be made of: two data sets, an axis that is inactive in one configuration, settings that
// depend on the seed.
func kept() *Results {
	small := seeing(configOf("tutorial", noisy[:2], label("arch", "alexnet"), label("lr", "0.1")), 4, 0)
	other := seeing(configOf("tutorial", noisy[1:3], label("arch", "alexnet")), 4, 0)
	other.Data = small.Data
	pretrain := seeing(configOf("pretrain", noisy[:1]), 3, 100)
	r := baseOf(small, other, pretrain)
	for i := range r.Configs {
		r.Configs[i].Settings = json.RawMessage(`{"arch":"<&>","epochs":3}`)
	}
	r.Configs[0].Seeds[1].Settings = json.RawMessage(`{"arch":"<&>","epochs":4}`)
	acc := 0.5
	r.Configs[2].Seeds[0].Metrics.TestAcc = &acc
	r.Configs[2].Seeds[0].Version = "0.0.9"
	return r
}

func write(t testing.TB, r *Results) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := WriteBaseline(&b, r); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestBaselineComesBack(t *testing.T) {
	got, err := ReadBaseline(write(t, kept()), plainText)
	if err != nil {
		t.Fatal(err)
	}
	want := kept()
	want.Origin = ""
	want.Configs = []ConfigResults{want.Configs[2], want.Configs[1], want.Configs[0]} // by sweep and labels
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	if got.Configs[1].Data != got.Configs[2].Data {
		t.Error("the data set that two configurations share was read twice")
	}
}

func TestBaselineGolden(t *testing.T) { golden(t, "baseline.json", write(t, kept())) }

// The order of a plan's configurations and runs that have not finished leave no trace, so that a file changes with its
// results only.
func TestBaselineHasAStableOrder(t *testing.T) {
	want := write(t, kept())
	r := kept()
	slices.Reverse(r.Configs)
	r.Configs[1].Seeds = append(r.Configs[1].Seeds, SeedResult{Seed: 9, ID: "open", Status: runlog.Running})
	r.Configs = append(r.Configs, ConfigResults{Sweep: "open", Data: r.Configs[0].Data, Seeds: []SeedResult{{ID: "failed", Status: runlog.Failed}}})
	if d := cmp.Diff(string(want), string(write(t, r))); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

// A picture, and a seed, takes a line of its own.
func TestBaselineChangesLineByLine(t *testing.T) {
	before := strings.Split(string(write(t, kept())), "\n")
	r := kept()
	r.Configs[1].Seeds[0].Metrics.ValAcc = 0.25
	r.Configs[1].Seeds[0].Predicted[2] = 0
	after := strings.Split(string(write(t, r)), "\n")
	if len(before) != len(after) {
		t.Fatalf("%d lines became %d", len(before), len(after))
	}
	var changed []string
	for i := range before {
		if before[i] != after[i] {
			changed = append(changed, strings.TrimSpace(after[i]))
		}
	}
	if len(changed) != 2 || !strings.HasPrefix(changed[0], `{"seed":0,`) || !strings.HasPrefix(changed[1], `"checksum": `) {
		t.Errorf("changed lines: %q", changed)
	}
}

// resealed replaces text in a baseline and gives it the checksum that it should have.
func resealed(t *testing.T, raw []byte, old, new string) []byte {
	t.Helper()
	if !bytes.Contains(raw, []byte(old)) {
		t.Fatalf("the baseline does not hold %q", old)
	}
	raw = bytes.Replace(raw, []byte(old), []byte(new), 1)
	body := raw[:bytes.LastIndex(raw, []byte(",\n  \"checksum\""))]
	var sum durable.Sum
	sum.Write(body)
	return append(slices.Clone(body), sum.EndJSON()...)
}

func TestBaselinesThatAreRefused(t *testing.T) {
	whole := write(t, kept())
	conflict := bytes.Replace(whole, []byte("\n      {\"seed\":0"), []byte("\n<<<<<<< ours\n      {\"seed\":0"), 1)
	for _, test := range []struct {
		name string
		raw  []byte
		want string
	}{
		{"an edited figure", bytes.Replace(whole, []byte(`"val_acc":0.904`), []byte(`"val_acc":0.804`), 1), "it is damaged or was edited: its checksum does not fit its content"},
		{"an edited checksum", bytes.Replace(whole, []byte(`"checksum": "`), []byte(`"checksum": "x`), 1), "(it has none at its end)"},
		{"a merge under way", conflict, "it holds the conflict markers of a merge: take one side of it whole"},
		{"cut short", whole[:len(whole)/2], "it is no JSON, or was cut short"},
		{"a merge from the first line on", append([]byte("<<<<<<< ours\n"), whole...), "it holds the conflict markers of a merge"},
		{"a wrong type", resealed(t, whole, `"seed":1,`, `"seed":"1",`), "what stands as configurations.seeds.seed is of the wrong kind: string"},
		{"empty", nil, "it is no JSON, or was cut short"},
		{"a report", []byte(`{"runs": []}`), "it is no baseline: it has no baseline_format"},
		{"of a later ftrun", resealed(t, whole, `"baseline_format": 1`, `"baseline_format": 2`), "it has format 2, by ftrun 0.1.0, and this ftrun reads format 1"},
		{"an unknown member", resealed(t, whole, `"sweep":"pretrain"`, `"sweeep":"pretrain"`), `unknown field "sweeep"`},
		{"a data set that is not there", resealed(t, whole, `"dataset":1`, `"dataset":7`), "tutorial[arch=alexnet] has data set 7 of 2"},
		{"a class that is not there", resealed(t, whole, `"class":2}`, `"class":3}`), "picture val/0101.jpg of data set \"d\" has the class 3 of 3"},
		{"a predicted class that is not there", resealed(t, whole, `"predicted":"120"`, `"predicted":"12z"`), "seed 0 of pretrain: it predicts class 61 of 3"},
		{"predictions of other pictures", resealed(t, whole, `"predicted":"120"`, `"predicted":"12"`), "seed 0 of pretrain: it predicts 2 pictures of 3"},
		{"predictions that are none", resealed(t, whole, `"predicted":"120"`, `"predicted":"1-0"`), "seed 0 of pretrain: what it predicts is no text of letters and digits"},
		{"a seed twice", resealed(t, whole, `{"seed":1,`, `{"seed":0,`), "the seeds of tutorial[arch=alexnet] are not in order"},
		{"a seed without metrics", resealed(t, whole, `"metrics":{`, `"metrics":null,"timing":{},"metrics":null,"x":{`), "unknown field"},
		{"no epochs", resealed(t, whole, `"epochs":5,"last`, `"epochs":0,"last`), "of pretrain has no metrics"},
		{"a configuration twice", resealed(t, whole, `"labels":{"arch":"alexnet","lr":0.1}`, `"labels":{"arch":"alexnet"}`), "tutorial[arch=alexnet] stands there twice"},
		{"an axis twice", resealed(t, whole, `"labels":{"arch":"alexnet","lr":0.1}`, `"labels":{"arch":"alexnet","arch":1}`), `the axis "arch" stands twice among the labels`},
		{"labels that are none", resealed(t, whole, `"labels":{"arch":"alexnet","lr":0.1}`, `"labels":[]`), "labels are no object of axes and their values"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := ReadBaseline(test.raw, plainText)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v", err)
			}
		})
	}
	if _, err := ReadBaseline(bytes.Replace(whole, []byte("0.904"), []byte("0.905"), 1), plainText); !errors.Is(err, durable.ErrAltered) {
		t.Errorf("an edit is no ErrAltered but %v", err)
	}
	if _, err := ReadBaseline(bytes.ReplaceAll(whole, []byte("\n"), []byte("\r\n")), plainText); err != nil {
		t.Errorf("with the line ends of another system: %v", err)
	}
}

func TestClassCode(t *testing.T) {
	for _, test := range []struct{ classes, digits int }{{1, 1}, {2, 1}, {62, 1}, {63, 2}, {3844, 2}, {3845, 3}, {1 << 20, 4}} {
		code := newClassCode(test.classes)
		want := []int32{0, int32(test.classes - 1), int32(test.classes / 2)}
		text := code.encode(want)
		if len(text) != 3*test.digits {
			t.Errorf("%d classes take %q", test.classes, text)
		}
		if got, err := code.decode(text, 3); err != nil || !slices.Equal(got, want) {
			t.Errorf("of %d classes %v came back as %v, %v", test.classes, want, got, err)
		}
		if _, err := code.decode(code.encode([]int32{int32(test.classes)}), 1); err == nil && test.classes != 62 && test.classes != 3844 {
			t.Errorf("class %d of %d was taken", test.classes, test.classes)
		}
	}
}

func TestReportComesBack(t *testing.T) {
	var b bytes.Buffer
	if err := Write(&b, "json", &Report{Runs: several()}); err != nil {
		t.Fatal(err)
	}
	if !IsReport(b.Bytes()) || IsBaseline(b.Bytes()) {
		t.Error("a report is not known by its beginning")
	}
	r, err := ReadReport(b.Bytes(), plainText)
	if err != nil {
		t.Fatal(err)
	}
	runs := 0
	for _, c := range r.Configs {
		for _, s := range c.Seeds {
			at := slices.IndexFunc(several(), func(x Run) bool { return x.Sweep == c.Sweep && x.Labels.key() == c.Labels.key() && x.Seed == s.Seed })
			want := several()[at]
			if d := cmp.Diff(want, Run{
				ID: s.ID, Sweep: c.Sweep, Labels: c.Labels, Seed: s.Seed, Status: s.Status, Error: s.Error, Params: c.Params,
				Metrics: s.Metrics, Timing: s.Timing, Device: s.Device, Path: s.Path,
			}); d != "" {
				t.Errorf("%s seed %d: -want +got:\n%s", c.Name(), s.Seed, d)
			}
			runs++
		}
	}
	if runs != len(several()) {
		t.Errorf("%d runs of %d came back", runs, len(several()))
	}
	if _, err := ReadReport([]byte(`{"runs": [{"sweep": "s", "labels": {}, "seed": 1}, {"sweep": "s", "labels": {}, "seed": 1}]}`), plainText); err == nil || err.Error() != "it has seed 1 of s twice" {
		t.Errorf("a seed twice: %v", err)
	}
}

// FuzzBaseline reads baselines whose seal is whole and which hold anything. One that can be read is written and read again
// with the same content, and compares with itself as the same.
func FuzzBaseline(f *testing.F) {
	whole := write(f, kept())
	f.Add(whole[:bytes.LastIndex(whole, []byte(",\n  \"checksum\""))])
	f.Add([]byte(`{"baseline_format":1,"datasets":[{}],"configurations":[{"sweep":"s","labels":{},"dataset":0,"seeds":[{"seed":1,"metrics":{}}]}]`))
	f.Add([]byte(`{"baseline_format":1,"datasets":[{"classes":["a"],"pictures":[{"path":"p","class":0}]}],"configurations":[{"sweep":"s","labels":{"a":{"b": [1]}},"dataset":0,"seeds":[{"seed":1,"metrics":{"val_acc":1e300},"predicted":"0"},{"seed":2,"metrics":{"val_acc":-1e300}}]}]`))
	f.Fuzz(func(t *testing.T, body []byte) {
		var sum durable.Sum
		sum.Write(body)
		r, err := ReadBaseline(append(slices.Clone(body), sum.EndJSON()...), plainText)
		if err != nil {
			return
		}
		again, err := ReadBaseline(write(t, r), plainText)
		if err != nil {
			t.Fatal(err)
		}
		slices.SortStableFunc(r.Configs, func(x, y ConfigResults) int {
			return strings.Compare(configKey(x.Sweep, x.Labels), configKey(y.Sweep, y.Labels))
		})
		if len(again.Configs) > len(r.Configs) {
			t.Errorf("%d configurations became %d", len(r.Configs), len(again.Configs))
		}
		for _, test := range Tests {
			by := criterionOf(t, "val_acc", func(c *Criterion) { c.Test = test })
			c, err := Compare(r, again, by)
			if err != nil {
				continue
			}
			for _, j := range c.Judged {
				if j.Verdict == Worse || j.Verdict == Better {
					t.Errorf("%s of a baseline against itself: %s", j.Name(), j.Verdict)
				}
			}
			if err := WriteComparisons(&bytes.Buffer{}, "text", Compared(c)); err != nil {
				t.Error(err)
			}
		}
	})
}

// FuzzReport reads reports that hold anything.
func FuzzReport(f *testing.F) {
	var b bytes.Buffer
	if err := Write(&b, "json", &Report{Runs: several()}); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add([]byte(`{"runs":[{"status":"finished","metrics":{"val_acc":1e308}},{"seed":1,"status":"finished","metrics":{"val_acc":-1e308}}]}`))
	f.Add([]byte(`{"runs":[{"status":"finished","metrics":{"val_acc":1e308},"labels":{"a":null}},{"seed":1,"status":"finished","metrics":{"val_acc":-1e308}}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := ReadReport(raw, plainText)
		if err != nil {
			return
		}
		for _, m := range []string{"val_acc", "seconds", "params_total"} {
			c, err := Compare(r, r, criterionOf(t, m, nil))
			if err != nil {
				continue
			}
			for _, format := range ComparisonFormats() {
				if err := WriteComparisons(&bytes.Buffer{}, format, Compared(c)); err != nil {
					t.Errorf("as %s: %v", format, err)
				}
			}
		}
	})
}
