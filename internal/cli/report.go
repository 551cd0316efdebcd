package cli

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ftrun/ftrun/internal/durable"
	"github.com/ftrun/ftrun/internal/runlog"
	"github.com/ftrun/ftrun/planner"
	"github.com/ftrun/ftrun/reports"
)

func (a *app) reportCommand() *cobra.Command {
	var format, out string
	var all bool
	cmd := &cobra.Command{
		Use:   "report [PLAN]",
		Short: "Compare the runs of the last plan",
		Long: `report prints the comparison table of the last plan, or of a plan by its file: a row for each configuration, its best
validation accuracy as mean ± standard deviation over the seeds, the parameters that were trained, and what it cost.

As html it is one file for a browser, which needs no network: the table, accuracy and loss over epochs, accuracy against
trained parameters, confusions, the pictures that are missed most often, and the settings.`,
		Example: "  ftrun report\n  ftrun report -o report.html\n  ftrun report -format md > results.md\n  ftrun report -all -format json",
		Args:    arguments(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !cmd.Flags().Changed("format") {
				var err error
				if format, err = formatOf(out, reports.Formats()); err != nil {
					return err
				}
			}
			if !slices.Contains(reports.Formats(), format) {
				return reports.Write(a.out, format, &reports.Report{}) // says which there are
			}
			store, err := a.runs()
			if err != nil {
				return err
			}
			var source reportSource
			if all {
				if len(args) > 0 {
					return errors.New("-all compares all runs of the store, so a plan has no effect: leave one of them out")
				}
				source, err = wholeStore(store)
			} else {
				source, err = a.planSource(store, args)
			}
			if err != nil {
				return err
			}
			return a.writeTo(out, func(w io.Writer) error {
				return reports.Write(w, format, a.report(store, source))
			})
		},
	}
	cmd.Flags().StringVar(&format, "format", "text", "`FORMAT`: "+list(reports.Formats())+"; unless given what -o's ending names")
	cmd.Flags().StringVarP(&out, "output", "o", "", "write `FILE` instead of standard output")
	cmd.Flags().BoolVar(&all, "all", false, "all runs of the store instead of one plan's")
	return cmd
}

// formatOf is the format that a file's ending names, "text" where there is no ending.
func formatOf(path string, formats []string) (string, error) {
	ext := strings.TrimPrefix(strings.ToLower(filepath.Ext(path)), ".")
	format := ext
	switch ext {
	case "", "txt":
		format = "text"
	case "xml":
		format = "junit"
	}
	if !slices.Contains(formats, format) {
		return "", fmt.Errorf("the ending of %s names no format: give -format %s", path, list(formats))
	}
	return format, nil
}

// writeTo writes a file whole, or to standard output where path is empty.
func (a *app) writeTo(path string, write func(io.Writer) error) error {
	if path == "" {
		return write(a.out)
	}
	if err := hasFolder(path); err != nil {
		return err
	}
	return durable.WriteFile(path, write)
}

// hasFolder refuses a file that a person named in a folder that is not there: it was mistyped.
func hasFolder(path string) error {
	dir := filepath.Dir(path)
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no folder %s to write %s in", dir, filepath.Base(path))
	}
	return nil
}

// reportSource is what a report is made of.
type reportSource struct {
	title    string
	runs     []reports.Run
	describe func(id string) (planner.Description, error)
}

// planSource takes the runs of a plan's file, or of the last plan.
func (a *app) planSource(store *runlog.Store, args []string) (reportSource, error) {
	path := store.PlanPath()
	if len(args) == 1 {
		path = args[0]
	}
	p, err := planner.Load(path)
	if errors.Is(err, fs.ErrNotExist) && len(args) == 0 {
		return reportSource{}, fmt.Errorf("there is no plan in %s: make one with `%s`, or compare all runs of the store with -all", a.store, a.again("plan", "FILE"))
	}
	if err != nil {
		return reportSource{}, err
	}
	rows, err := planned(store, p)
	if err != nil {
		return reportSource{}, err
	}
	byID := make(map[string]*planner.Run, len(p.Runs))
	for i := range p.Runs {
		byID[p.Runs[i].ID] = &p.Runs[i]
	}
	return reportSource{p.Target, rows, func(id string) (planner.Description, error) { return p.Describe(byID[id]), nil }}, nil
}

// wholeStore takes all runs of the store.
func wholeStore(store *runlog.Store) (reportSource, error) {
	runs, err := stored(store)
	if err != nil {
		return reportSource{}, err
	}
	rows := make([]reports.Run, len(runs))
	for i := range runs {
		rows[i] = runs[i].Run
	}
	return reportSource{"all runs of " + store.Dir, rows, func(id string) (d planner.Description, err error) {
		err = store.Run(id).ReadConfig(&d)
		return d, err
	}}, nil
}

// report is what the formats tell of the source. Where they want to know more of a run it is read.
func (a *app) report(store *runlog.Store, source reportSource) *reports.Report {
	return &reports.Report{Title: source.title, Runs: source.runs, Course: func(id string) (reports.Course, error) {
		c, err := courseOf(store.Run(id), source.describe)
		if err != nil {
			fmt.Fprintf(a.err, "%s %s\n", a.paint(a.err, yellow, "Warning:"), a.mend(err))
		}
		return c, err
	}}
}

// courseOf reads what the store has of a run, as far as it can be read.
func courseOf(run *runlog.Run, describe func(id string) (planner.Description, error)) (reports.Course, error) {
	var c reports.Course
	d, err := describe(run.ID)
	if err != nil {
		return c, err
	}
	c.Classes = d.Dataset.Classes
	if c.Settings, err = json.Marshal(reportSettings{datasetSettings(&d.Dataset), d.Settings}); err != nil {
		return c, err
	}
	st, ok, err := run.Status()
	if err != nil || !ok {
		return c, err
	}
	c.Started = st.Started
	finished := st.State == runlog.Finished && st.Result != nil
	var errs [2]error
	if c.Epochs, errs[0] = run.Epochs(st); !finished {
		return c, nil // what an unfinished run has written may be on the way to be whole
	}
	c.Ended, c.Version, c.Threads = st.Updated, st.Result.Version, st.Result.Threads
	c.Predictions, errs[1] = run.Predictions(st)
	return c, errors.Join(errs[:]...)
}

// reportSettings are a run's settings with those of its data set before them.
type reportSettings struct {
	Dataset dataSettings `json:"dataset"`
	planner.Settings
}

type dataSettings struct {
	Name     string         `json:"name"`
	Kind     string         `json:"kind"`
	Path     string         `json:"path,omitempty"`
	Classes  int            `json:"classes"`
	Pictures map[string]int `json:"pictures"`
	Hash     string         `json:"hash"`
}

func datasetSettings(d *planner.Dataset) dataSettings {
	return dataSettings{d.Name, d.Kind, d.Path, len(d.Classes), d.Pictures, d.Hash[:min(16, len(d.Hash))]}
}

// planned joins the runs of a plan with what the store holds of them.
func planned(store *runlog.Store, p *planner.Plan) ([]reports.Run, error) {
	statuses, err := store.Statuses()
	if err != nil {
		return nil, err
	}
	runs := slices.Clone(p.Runs)
	// In the files' order, not in that of execution.
	slices.SortStableFunc(runs, func(a, b planner.Run) int { return cmp.Compare(a.Config, b.Config) })
	rows := make([]reports.Run, 0, len(runs))
	for i := range runs {
		rows = append(rows, reportRow(p.Describe(&runs[i]), statuses[runs[i].ID]))
	}
	return rows, nil
}

// storedRun is a run of the store with what a report does not tell of it.
type storedRun struct {
	reports.Run
	trained, epochs int // of so many, 0 where that can't be read
	damaged         bool
}

// stored lists all runs of the store, under the names by which they were first run.
func stored(store *runlog.Store) ([]storedRun, error) {
	statuses, err := store.Statuses()
	if err != nil {
		return nil, err
	}
	var rows []storedRun
	for id, st := range statuses {
		var d planner.Description
		if err := store.Run(id).ReadConfig(&d); err != nil {
			d = planner.Description{Run: planner.Run{ID: id}, Config: planner.Config{Sweep: "(unreadable)"}}
			st.State, st.Error, st.Damaged = runlog.Failed, err.Error(), true
		}
		r := storedRun{Run: reportRow(d, st), trained: st.Epoch, epochs: d.Settings.Epochs, damaged: st.Damaged}
		if r.Metrics != nil {
			r.trained = r.Metrics.Epochs
		}
		rows = append(rows, r)
	}
	slices.SortFunc(rows, func(a, b storedRun) int { return compareRuns(a.Run, b.Run) })
	return rows, nil
}

func reportRow(d planner.Description, st runlog.Status) reports.Run {
	r := reports.Run{
		ID: d.Run.ID, Sweep: d.Config.Sweep, Labels: labels(&d.Config), Seed: d.Run.Seed, Status: st.State, Error: st.Error,
		Params: runlog.Params{Total: d.Run.Params.Total, Trainable: d.Run.Params.Trainable},
	}
	if r.Status == "" {
		r.Status = runlog.Pending
	}
	if st.State == runlog.Finished && st.Result != nil {
		r.Metrics, r.Timing = &st.Result.Metrics, &st.Result.Timing
		r.Device, r.Path = st.Result.Device, st.Result.Path
	}
	return r
}
