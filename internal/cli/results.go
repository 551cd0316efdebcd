package cli

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/ftrun/ftrun/internal/durable"
	"github.com/ftrun/ftrun/internal/runlog"
	"github.com/ftrun/ftrun/planner"
	"github.com/ftrun/ftrun/reports"
)

// planResults joins a plan with what the store holds of its runs, as one side of a comparison: a configuration of the plan
// has the same index in both. Where predictions are not asked for, they are read of one run of each data set, which tells
// the pictures.
func (a *app) planResults(store *runlog.Store, p *planner.Plan, origin string, predictions bool) (*reports.Results, error) {
	statuses, err := store.Statuses()
	if err != nil {
		return nil, err
	}
	r := &reports.Results{Origin: origin, Version: Version(), Numerics: p.Numerics, Configs: make([]reports.ConfigResults, len(p.Configs))}
	for i := range p.Configs {
		r.Configs[i] = reports.ConfigResults{Sweep: p.Configs[i].Sweep, Labels: labels(&p.Configs[i])}
	}
	settings := make([]json.RawMessage, len(p.Settings))
	for i := range p.Settings {
		if settings[i], err = canonicalSettings(p.Settings[i]); err != nil {
			return nil, err
		}
	}
	data := make([]*reports.Data, len(p.Datasets))
	for i := range p.Datasets {
		data[i] = &reports.Data{Name: p.Datasets[i].Name, Hash: p.Datasets[i].Hash, Classes: p.Datasets[i].Classes}
	}
	predicted := map[string][]int32{} // by run
	for i := range p.Runs {
		run := &p.Runs[i]
		c := &r.Configs[run.Config]
		if c.Data == nil {
			c.Data, c.Settings = data[run.Dataset], settings[run.Settings]
			c.Params = runlog.Params{Total: run.Params.Total, Trainable: run.Params.Trainable}
		}
		st := statuses[run.ID]
		s := reports.SeedResult{Seed: run.Seed, ID: run.ID, Status: cmp.Or(st.State, runlog.Pending), Error: st.Error, Damaged: st.Damaged}
		if s.Damaged { // it is trained again
			s.Status = runlog.Pending
		}
		if !bytes.Equal(settings[run.Settings], c.Settings) {
			s.Settings = settings[run.Settings]
		}
		if st.State == runlog.Finished && st.Result != nil {
			s.Metrics, s.Timing = &st.Result.Metrics, &st.Result.Timing
			s.Device, s.Path, s.Version = st.Result.Device, st.Result.Path, st.Result.Version
		}
		// The pictures are told by one run of a data set.
		if s.Finished() && (predictions || c.Data.Pictures == nil) {
			if predicted[run.ID] == nil {
				if predicted[run.ID], err = a.predicted(store.Run(run.ID), st, c.Data); err != nil {
					return nil, err
				}
			}
			s.Predicted = predicted[run.ID]
		}
		c.Seeds = append(c.Seeds, s)
	}
	for i := range r.Configs {
		slices.SortFunc(r.Configs[i].Seeds, func(x, y reports.SeedResult) int { return cmp.Compare(x.Seed, y.Seed) })
	}
	return r, nil
}

// predicted reads what a finished run took each validation picture for. The first run of a data set tells its pictures; of
// another the list must be the same.
func (a *app) predicted(run *runlog.Run, st runlog.Status, data *reports.Data) ([]int32, error) {
	predictions, err := run.Predictions(st)
	if err != nil {
		return nil, a.mend(err)
	}
	if data.Pictures == nil {
		data.Pictures = make([]reports.Picture, len(predictions))
		for i, p := range predictions {
			data.Pictures[i] = reports.Picture{Path: filepath.ToSlash(p.Path), SHA256: p.SHA256, Class: p.Class}
		}
	}
	same := len(predictions) == len(data.Pictures)
	classes := make([]int32, len(predictions))
	for i, p := range predictions {
		classes[i] = int32(p.Predicted())
		same = same && data.Pictures[i] == reports.Picture{Path: filepath.ToSlash(p.Path), SHA256: p.SHA256, Class: p.Class}
	}
	if !same {
		return nil, fmt.Errorf("the predictions of run %s are not of the same pictures as those of other runs on data set %q: remove it with `%s`, and apply again",
			run.ID, data.Name, a.again("runs", "rm", run.ID))
	}
	return classes, nil
}

// labels are a configuration's labels as reports have them.
func labels(c *planner.Config) reports.Labels {
	all := make(reports.Labels, len(c.Labels))
	for i, l := range c.Labels {
		all[i] = reports.Label{Axis: l.Axis, Text: l.Text(), Value: l.Value}
	}
	return all
}

// valueText is a label's value for people.
func valueText(value json.RawMessage) string { return (&planner.Label{Value: value}).Text() }

// canonicalSettings are settings as JSON, without the place of a file of weights, whose hash says more.
func canonicalSettings(s planner.Settings) (json.RawMessage, error) {
	s.Weights.Path = ""
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(s); err != nil {
		return nil, err
	}
	return bytes.TrimSpace(b.Bytes()), nil
}

// absent is a file that is not there: fs.ErrNotExist, in words.
type absent string

func (path absent) Error() string   { return "there is no file " + string(path) }
func (absent) Is(target error) bool { return target == fs.ErrNotExist }

// readSide reads a file of results. What is not there is fs.ErrNotExist.
func readSide(path string) ([]byte, error) {
	raw, err := durable.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, absent(path)
	case errors.Is(err, durable.ErrNoFile):
		return nil, fmt.Errorf("%s is no regular file: write what it gives to one, and name that", path)
	case err != nil:
		return nil, err
	case len(bytes.TrimSpace(raw)) == 0:
		return nil, fmt.Errorf("%s is empty", path)
	case reports.Conflicted(raw):
		return nil, fmt.Errorf("%s holds the conflict markers of a merge: take one side of it whole", path)
	}
	return raw, nil
}

// readBaseline reads a file that baseline set writes, and nothing else: what a gate is held against changes when people
// change it. What is not there is fs.ErrNotExist.
func (a *app) readBaseline(path string) (*reports.Results, error) {
	remake := a.again("baseline", "set", "-o", path)
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return nil, fmt.Errorf("%s is a folder, and the baseline of a gate is a file that `%s` writes", path, a.again("baseline", "set", "-o", "FILE"))
	}
	raw, err := readSide(path)
	if err != nil {
		return nil, err
	}
	if !reports.IsBaseline(raw) {
		return nil, fmt.Errorf("%s is no baseline: remove it, and `%s` makes one", path, remake)
	}
	r, err := reports.ReadBaseline(raw, valueText)
	if err != nil {
		return nil, fmt.Errorf("the baseline %s can't be used: %w; take back the file that was committed, or make it anew with `%s`", path, err, remake)
	}
	r.Origin = path
	return r, nil
}

// readResults reads one side of a comparison: a baseline, a saved plan whose runs the store holds, a report as JSON, or the
// last plan of another store by its folder. What is not there is fs.ErrNotExist.
func (a *app) readResults(store *runlog.Store, path string, predictions bool) (*reports.Results, error) {
	if filepath.Ext(path) == ".hcl" {
		return nil, fmt.Errorf("%s is a configuration, not results: save its plan with `%s`, and compare FILE.plan", path, a.again("plan", "-out", "FILE.plan", path))
	}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		other := runlog.Open(path)
		p, err := planner.Load(other.PlanPath())
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%s is a folder and no store of ftrun: it has no plan.json", path)
		}
		if err != nil {
			return nil, err
		}
		return a.planResults(other, p, path, predictions)
	}
	raw, err := readSide(path)
	if err != nil {
		return nil, err
	}
	var r *reports.Results
	switch {
	case planner.IsPlan(raw):
		p, err := planner.Load(path)
		if err != nil {
			return nil, err
		}
		return a.planResults(store, p, path, predictions)
	case reports.IsBaseline(raw):
		if r, err = a.readBaseline(path); err != nil {
			return nil, err
		}
	case reports.IsReport(raw):
		if r, err = reports.ReadReport(raw, valueText); err != nil {
			return nil, fmt.Errorf("the report %s can't be used: %w; make it anew with `%s`", path, err, a.again("report", "-format", "json"))
		}
		r.Origin = path
	default:
		return nil, fmt.Errorf("%s is neither a baseline nor a report as JSON nor a saved plan", path)
	}
	if len(r.Configs) == 0 {
		return nil, fmt.Errorf("%s holds no results", path)
	}
	return r, nil
}
