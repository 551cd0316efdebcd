package reports

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ftrun/ftrun/internal/runlog"
)

var update = flag.Bool("update", false, "write the golden files anew")

// label makes a label of a string, or of a number by its digits.
func label(axis, text string) Label {
	value := json.RawMessage(text)
	if !json.Valid(value) {
		value = json.RawMessage(mustJSON(text))
	}
	return Label{Axis: axis, Text: text, Value: value}
}

// finished is a run with a result.
func finished(sweep string, seed int64, acc float64, labels ...Label) Run {
	return Run{
		ID: sweep + strconv.FormatInt(seed, 10), Sweep: sweep, Labels: labels, Seed: seed, Status: runlog.Finished,
		Params: runlog.Params{Total: 1_000_000, Trainable: 1026},
		Metrics: &runlog.Metrics{ValAcc: acc, ValLoss: 0.5, TrainAcc: 0.75, TrainLoss: 0.25, BestEpoch: 3, Epochs: 5,
			LastValAcc: acc / 2, LastValLoss: 0.625},
		Timing: &runlog.Timing{Seconds: 90, TrainSeconds: 60, ValSeconds: 25, ImagesPerSecond: 40.25, PeakMemory: 1 << 20},
		Device: "cpu", Path: "avx2",
	}
}

func unfinished(sweep string, seed int64, state runlog.State, labels ...Label) Run {
	r := finished(sweep, seed, 0, labels...)
	r.Status, r.Metrics, r.Timing, r.Device, r.Path = state, nil, nil, "", ""
	if state == runlog.Failed {
		r.Error = "the loss is NaN at epoch 1, step 2"
	}
	return r
}

// several is a bit of everything: two sweeps, an axis that doesn't vary, one that is inactive for a configuration, seeds
// of which one is open, a configuration that failed as a whole, a tie, an awkward text.
func several() []Run {
	arch := label("arch", "resnet18")
	row := func(mode, lr string) []Label { return []Label{arch, label("mode", mode), label("lr", lr)} }
	return []Run{
		finished("pretrain", 0, 0.875),
		finished("compare", 0, 0.75, row("finetune", "0.1")...),
		finished("compare", 1, 0.85, row("finetune", "0.1")...),
		unfinished("compare", 0, runlog.Failed, row("finetune", "10")...),
		unfinished("compare", 1, runlog.Failed, row("finetune", "10")...),
		finished("compare", 0, 0.9, arch, label("mode", "extract")),
		unfinished("compare", 1, runlog.Interrupted, arch, label("mode", "extract")),
		finished("compare", 0, 0.9, row("a|b, \"c\"", "0.1")...),
		unfinished("compare", 1, runlog.Failed, row("a|b, \"c\"", "0.1")...),
		unfinished("compare", 0, runlog.Pending, row("scratch", "0.1")...),
	}
}

func TestGolden(t *testing.T) {
	for _, format := range Formats() {
		if format == "html" {
			continue // the page's own tests look at what it says
		}
		t.Run(format, func(t *testing.T) {
			var got bytes.Buffer
			if err := Write(&got, format, &Report{Runs: several()}); err != nil {
				t.Fatal(err)
			}
			golden(t, "several."+format, got.Bytes())
		})
	}
}

// golden holds what was written against a file of testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(got)); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

func TestTabulate(t *testing.T) {
	mode, lr := func(v string) Label { return label("mode", v) }, func(v string) Label { return label("lr", v) }
	type row struct {
		Labels                 string
		Finished, Failed, Open int
		Best                   bool
	}
	for _, c := range []struct {
		name  string
		runs  []Run
		axes  []string
		fixed []string
		rows  []row
		mixed []string
	}{
		{"best first, with its mark", []Run{finished("s", 0, 0.5, mode("a")), finished("s", 0, 0.7, mode("b"))},
			[]string{"mode"}, nil, []row{{"b", 1, 0, 0, true}, {"a", 1, 0, 0, false}}, nil},
		{"all of equals are marked, in their order", []Run{finished("s", 0, 0.5, mode("b")), finished("s", 0, 0.5, mode("a"))},
			[]string{"mode"}, nil, []row{{"b", 1, 0, 0, true}, {"a", 1, 0, 0, true}}, nil},
		{"one row is not the best of anything", []Run{finished("s", 0, 0.5, mode("a"))},
			nil, []string{"mode=a"}, []row{{"a", 1, 0, 0, false}}, nil},
		{"the mean over seeds counts", []Run{
			finished("s", 0, 0.9, mode("a")), finished("s", 1, 0.1, mode("a")), finished("s", 0, 0.6, mode("b")), finished("s", 1, 0.6, mode("b")),
		}, []string{"mode"}, nil, []row{{"b", 2, 0, 0, true}, {"a", 2, 0, 0, false}}, nil},
		{"without a finished run last, unmarked", []Run{unfinished("s", 0, runlog.Failed, mode("a")), unfinished("s", 0, runlog.Running, mode("b")), finished("s", 0, 0, mode("c"))},
			[]string{"mode"}, nil, []row{{"c", 1, 0, 0, true}, {"a", 0, 1, 0, false}, {"b", 0, 0, 1, false}}, nil},
		{"nothing finished", []Run{unfinished("s", 0, runlog.Pending, mode("a")), unfinished("s", 0, runlog.Pending, mode("b"))},
			[]string{"mode"}, nil, []row{{"a", 0, 0, 1, false}, {"b", 0, 0, 1, false}}, nil},
		{"an inactive axis varies", []Run{finished("s", 0, 0.5, mode("a"), lr("1")), finished("s", 0, 0.4, mode("a"))},
			[]string{"lr"}, []string{"mode=a"}, []row{{"a 1", 1, 0, 0, true}, {"a", 1, 0, 0, false}}, nil},
		{"a number is not the text of its digits, nor nothing the empty text", []Run{
			finished("s", 0, 0.5, Label{"x", "1", json.RawMessage(`1`)}), finished("s", 0, 0.4, Label{"x", "1", json.RawMessage(`"1"`)}),
			finished("s", 0, 0.3, Label{"x", "", json.RawMessage(`""`)}), finished("s", 0, 0.2),
		}, []string{"x"}, nil, []row{{"1", 1, 0, 0, true}, {"1", 1, 0, 0, false}, {"", 1, 0, 0, false}, {"", 1, 0, 0, false}}, nil},
		{"mixed arithmetic is told", []Run{
			finished("s", 0, 0.5, mode("a")), func() Run { r := finished("s", 1, 0.5, mode("a")); r.Path = "avx512"; return r }(), unfinished("s", 2, runlog.Pending, mode("a")),
		}, nil, []string{"mode=a"}, []row{{"a", 2, 0, 1, false}}, []string{"avx2", "avx512"}},
		{"open runs do not mix", []Run{finished("s", 0, 0.5, mode("a")), unfinished("s", 1, runlog.Pending, mode("a"))},
			nil, []string{"mode=a"}, []row{{"a", 1, 0, 1, false}}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			tables := Tabulate(c.runs)
			if len(tables) != 1 {
				t.Fatalf("%d tables", len(tables))
			}
			got := tables[0]
			var rows []row
			for _, r := range got.Rows {
				var texts []string
				for _, l := range r.Labels {
					texts = append(texts, l.Text)
				}
				rows = append(rows, row{strings.Join(texts, " "), r.Finished, r.Failed, r.Open, r.Best})
			}
			if d := cmp.Diff([]any{c.axes, c.fixed, c.rows, c.mixed}, []any{got.Axes, got.Fixed, rows, got.Mixed}); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
		})
	}
}

func TestSweepsKeepTheirOrder(t *testing.T) {
	tables := Tabulate([]Run{finished("z", 0, 0.1), finished("a", 0, 0.9), finished("z", 1, 0.3)})
	if len(tables) != 2 || tables[0].Sweep != "z" || tables[1].Sweep != "a" {
		t.Fatalf("tables %+v", tables)
	}
	if s := tables[0].Rows[0].Acc; s.N != 2 || s.Mean != 0.2 {
		t.Errorf("accuracy of both seeds %+v", s)
	}
}

// However long the cells, a table's rows can be told apart.
func TestLongCellsStayDistinct(t *testing.T) {
	long := "weights/experiments/2024/backbones/of/a/certain/kind"
	for name, cells := range map[string][]string{
		"short ones stay":         {"a", "b", "a"},
		"differing at the ends":   {"first/" + long + "/x.pth", "second/" + long + "/y.pth"},
		"differing in the middle": {long + "/run-17/" + long, long + "/run-18/" + long},
		"differing far apart":     {"a" + long + "1" + long + "x", "a" + long + "1" + long + "y", "b" + long + "1" + long + "x"},
		"one the other's start":   {long + "/a", long + "/a" + strings.Repeat("b", 40)},
		"the same twice":          {long + "/a", long + "/a"},
		"many bytes a character":  {strings.Repeat("é", 40) + "1" + strings.Repeat("é", 40), strings.Repeat("é", 40) + "2" + strings.Repeat("é", 40)},
	} {
		t.Run(name, func(t *testing.T) {
			var rows [][]string
			for _, c := range cells {
				rows = append(rows, []string{c})
			}
			shortenColumn(rows, 0, widest)
			for i := range rows {
				for j := range i {
					if (rows[i][0] == rows[j][0]) != (cells[i] == cells[j]) {
						t.Errorf("%q and %q are shown as %q and %q", cells[i], cells[j], rows[i][0], rows[j][0])
					}
				}
			}
		})
	}
	rows := [][]string{{long + "/run-17/" + long}, {long + "/run-18/" + long}}
	shortenColumn(rows, 0, widest)
	if n := len([]rune(rows[0][0])); n > widest {
		t.Errorf("%q has %d characters", rows[0][0], n)
	}
}

func TestNothingToCompare(t *testing.T) {
	want := map[string]string{
		"text": "There are no runs to compare.\n", "md": "There are no runs to compare.\n", "json": "{\n  \"runs\": []\n}\n",
		"csv":  "sweep,val_acc_mean,val_acc_std,seeds,failed,params_trainable,params_total,best_epoch_mean,seconds_mean,images_per_second_mean\n",
		"html": `<p class="summary">There are no runs to compare.</p>`,
	}
	for _, format := range Formats() {
		var got bytes.Buffer
		err := Write(&got, format, &Report{})
		if same := got.String() == want[format]; err != nil || !same && format != "html" || !strings.Contains(got.String(), want[format]) {
			t.Errorf("%s: %v, %q", format, err, &got)
		}
	}
	if err := Write(new(bytes.Buffer), "yaml", &Report{}); err == nil || !strings.Contains(err.Error(), "use one of text, md, csv, json, html") {
		t.Errorf("an unknown format gives %v", err)
	}
}

type fullDisk struct{ room int }

var errFull = errors.New("no space left")

func (f *fullDisk) Write(p []byte) (int, error) {
	if f.room -= len(p); f.room < 0 {
		return 0, errFull
	}
	return len(p), nil
}

// What can't be written is an error, wherever the disk gets full.
func TestWritingFails(t *testing.T) {
	for _, format := range Formats() {
		var all bytes.Buffer
		if err := Write(&all, format, &Report{Runs: several()}); err != nil {
			t.Fatal(err)
		}
		for room := 0; room < all.Len(); room += max(7, all.Len()/100) {
			if err := Write(&fullDisk{room}, format, &Report{Runs: several()}); !errors.Is(err, errFull) {
				t.Errorf("%s, cut at byte %d of %d: %v", format, room, all.Len(), err)
				break
			}
		}
	}
}

func TestFigures(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{Count(0), "0"}, {Count(999), "999"}, {Count(1000), "1,000"}, {Count(11177538), "11,177,538"}, {Count(-1234567), "-1,234,567"},
		{Duration(0), "0.0s"}, {Duration(9.94), "9.9s"}, {Duration(9.96), "10s"}, {Duration(59.4), "59s"}, {Duration(59.6), "1m00s"},
		{Duration(185), "3m05s"}, {Duration(3599.6), "1h00m"}, {Duration(7620), "2h07m"},
		{Duration(99.99 * 3600), "99h59m"}, {Duration(101 * 3600), "4d05h"}, {Duration(3e9), "34,722d05h"},
		{Bytes(0), "0 B"}, {Bytes(1023), "1023 B"}, {Bytes(1024), "1.0 KiB"}, {Bytes(5 << 20), "5.0 MiB"}, {Bytes(3 << 40), "3.0 TiB"},
		{Plural(1, "run", "runs"), "1 run"}, {Plural(0, "run", "runs"), "0 runs"}, {Plural(1200, "run", "runs"), "1,200 runs"},
		{Shorten("abcdef", 6), "abcdef"}, {Shorten("abcdefg", 6), "abc…fg"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

func TestRanges(t *testing.T) {
	for want, in := range map[string][]int64{"0": {0}, "0, 1": {0, 1}, "0-2": {0, 1, 2}, "0-2, 5, 7, 8": {0, 1, 2, 5, 7, 8}, "": nil} {
		if got := Ranges(in); got != want {
			t.Errorf("Ranges(%v) = %q, want %q", in, got, want)
		}
	}
}

func TestWrap(t *testing.T) {
	got := Wrap("one two three\nfour\n\n  as  it is, however long\nfive six", 0, 9)
	want := "one two\nthree\nfour\n\n  as  it is, however long\nfive six"
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := Wrap("one two three", 4, 9), "one\n    two\n    three"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
