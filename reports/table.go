// Package reports compares runs: it groups them by configuration, sets accuracy against trained parameters, holds results
// against a baseline, and writes what it finds for people and for programs.
package reports

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/ftrun/ftrun/internal/runlog"
	"github.com/ftrun/ftrun/internal/stats"
)

// Run is one run as reports see it: what was asked for and what came of it. Its JSON is that of `ftrun report -format
// json`.
type Run struct {
	ID      string          `json:"id"`
	Sweep   string          `json:"sweep"`
	Labels  Labels          `json:"labels"`
	Seed    int64           `json:"seed"`
	Status  runlog.State    `json:"status"`
	Error   string          `json:"error,omitempty"`
	Params  runlog.Params   `json:"params"`
	Metrics *runlog.Metrics `json:"metrics,omitempty"` // of a finished run
	Timing  *runlog.Timing  `json:"timing,omitempty"`
	Device  string          `json:"device,omitempty"`
	Path    string          `json:"path,omitempty"`
}

// Label is an axis of the matrix and its value.
type Label struct {
	Axis  string
	Text  string          // of the value, for people
	Value json.RawMessage // canonical
}

// Labels are a configuration's labels in the sweep's order. An axis that is inactive is left out. As JSON they are one
// object.
type Labels []Label

// Text is the value of an axis for people; "" where it is inactive.
func (l Labels) Text(axis string) string {
	for _, x := range l {
		if x.Axis == axis {
			return x.Text
		}
	}
	return ""
}

// canonical is the value of an axis as JSON; "" where it is inactive.
func (l Labels) canonical(axis string) string {
	for _, x := range l {
		if x.Axis == axis {
			return string(x.Value)
		}
	}
	return ""
}

// key tells labels apart, whatever their order. Values have no NUL: their JSON escapes it.
func (l Labels) key() string {
	parts := make([]string, len(l))
	for i, x := range l {
		parts[i] = x.Axis + "\x00" + string(x.Value)
	}
	slices.Sort(parts)
	return strings.Join(parts, "\x00")
}

// MarshalJSON writes {"axis": value, …} in the sweep's order.
func (l Labels) MarshalJSON() ([]byte, error) {
	out := []byte{'{'}
	for i, x := range l {
		if i > 0 {
			out = append(out, ',')
		}
		name, err := json.Marshal(x.Axis)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(x.Value)
		if err != nil {
			return nil, err
		}
		out = append(append(append(out, name...), ':'), value...)
	}
	return append(out, '}'), nil
}

// UnmarshalJSON reads what MarshalJSON has written, in the order in which it stands there, without the texts.
func (l *Labels) UnmarshalJSON(raw []byte) error {
	dec := json.NewDecoder(bytes.NewReader(raw))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return errors.New("labels are no object of axes and their values")
	}
	*l = nil
	for dec.More() {
		axis, err := dec.Token()
		if err != nil {
			return err
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return err
		}
		var compact bytes.Buffer // an indented file breaks objects into lines
		if err := json.Compact(&compact, value); err != nil {
			return err
		}
		name := axis.(string)
		if slices.ContainsFunc(*l, func(x Label) bool { return x.Axis == name }) {
			return fmt.Errorf("the axis %q stands twice among the labels", name)
		}
		*l = append(*l, Label{Axis: name, Value: compact.Bytes()})
	}
	return nil
}

// Row is one configuration: its runs over the seeds.
type Row struct {
	Labels    Labels
	Acc       stats.Summary // best validation accuracy of the finished runs
	BestEpoch stats.Summary
	Params    runlog.Params
	Seconds   stats.Summary // of one run
	Speed     stats.Summary // pictures trained a second
	Finished  int
	Failed    int
	Open      int  // not finished and not failed
	Best      bool // the highest mean accuracy of the table

	runs []Run
}

// Table compares the configurations of one sweep.
type Table struct {
	Sweep string
	Axes  []string // that vary, in the sweep's order: the columns
	Fixed []string // that do not: "arch=resnet18"
	All   []string // the names of all axes
	Rows  []Row    // by accuracy, best first; those without a finished run last
	// Mixed names the instruction paths where the runs were not all made with the same one: their bits, though hardly
	// their accuracies, may differ for that reason alone.
	Mixed []string
}

// Tabulate makes a table of each sweep, in the order in which the sweeps first occur.
func Tabulate(runs []Run) []Table {
	var tables []Table
	sweeps, groups := grouped(runs, func(r Run) string { return r.Sweep })
	for _, sweep := range sweeps {
		tables = append(tables, tabulate(sweep, groups[sweep]))
	}
	return tables
}

func tabulate(sweep string, runs []Run) Table {
	t := Table{Sweep: sweep}
	all := make([]Labels, len(runs))
	for i := range runs {
		all[i] = runs[i].Labels
	}
	t.Axes, t.Fixed, t.All = axes(all)
	key := func(r Run) string {
		k := ""
		for _, a := range t.All {
			k += r.Labels.canonical(a) + "\x00"
		}
		return k
	}
	keys, groups := grouped(runs, key)
	for _, k := range keys {
		t.Rows = append(t.Rows, row(groups[k]))
	}
	slices.SortStableFunc(t.Rows, func(a, b Row) int {
		if (a.Finished > 0) != (b.Finished > 0) {
			return cmp.Compare(b.Finished, a.Finished)
		}
		return cmp.Compare(b.Acc.Mean, a.Acc.Mean)
	})
	for i := range t.Rows {
		t.Rows[i].Best = len(t.Rows) > 1 && t.Rows[0].Finished > 0 && t.Rows[i].Finished > 0 && t.Rows[i].Acc.Mean == t.Rows[0].Acc.Mean
	}
	if paths := distinct(runs, func(r Run) string { return r.Path }); len(paths) > 1 {
		for _, p := range paths {
			if p != "" {
				t.Mixed = append(t.Mixed, p)
			}
		}
		if len(t.Mixed) == 1 {
			t.Mixed = nil
		}
	}
	return t
}

// axes tells those that vary among labels, in the order in which they first occur, and those that do not, with their
// values: "arch=resnet18".
func axes(labels []Labels) (vary, fixed, all []string) {
	first := map[string]string{} // canonical value in the first labels, by axis
	varies := map[string]bool{}
	for _, l := range labels {
		for _, x := range l {
			if _, known := first[x.Axis]; !known {
				first[x.Axis] = labels[0].canonical(x.Axis)
				all = append(all, x.Axis)
			}
		}
	}
	for _, l := range labels {
		for _, a := range all {
			varies[a] = varies[a] || l.canonical(a) != first[a]
		}
	}
	for _, a := range all {
		if varies[a] {
			vary = append(vary, a)
		} else {
			fixed = append(fixed, a+"="+labels[0].Text(a))
		}
	}
	return vary, fixed, all
}

func row(runs []Run) Row {
	r := Row{Labels: runs[0].Labels, Params: runs[0].Params, runs: runs}
	var acc, epoch, seconds, speed []float64
	for _, run := range runs {
		switch {
		case run.Status == runlog.Finished && run.Metrics != nil:
			r.Finished++
			acc = append(acc, run.Metrics.ValAcc)
			epoch = append(epoch, float64(run.Metrics.BestEpoch))
			if run.Timing != nil {
				seconds = append(seconds, run.Timing.Seconds)
				speed = append(speed, run.Timing.ImagesPerSecond)
			}
		case run.Status == runlog.Failed:
			r.Failed++
		default:
			r.Open++
		}
	}
	r.Acc, r.BestEpoch = stats.Summarize(acc), stats.Summarize(epoch)
	r.Seconds, r.Speed = stats.Summarize(seconds), stats.Summarize(speed)
	return r
}

// distinct lists the keys of items in the order in which they first occur.
func distinct(runs []Run, key func(Run) string) []string {
	keys, _ := grouped(runs, key)
	return keys
}

// grouped gathers runs by key; keys are in the order in which they first occur.
func grouped(runs []Run, key func(Run) string) (keys []string, groups map[string][]Run) {
	groups = map[string][]Run{}
	for _, r := range runs {
		k := key(r)
		if groups[k] == nil {
			keys = append(keys, k)
		}
		groups[k] = append(groups[k], r)
	}
	return keys, groups
}
