package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"

	"github.com/spf13/cobra"

	"github.com/ftrun/ftrun/internal/durable"
	"github.com/ftrun/ftrun/internal/launch"
	"github.com/ftrun/ftrun/internal/runlog"
	"github.com/ftrun/ftrun/planner"
	"github.com/ftrun/ftrun/reports"
)

// collecting are the flags of gc.
type collecting struct {
	dryRun, checkpoints, runs bool
}

func (a *app) gcCommand() *cobra.Command {
	var o collecting
	cmd := &cobra.Command{
		Use:   "gc [FILE]...",
		Short: "Remove from the store what nothing needs",
		Long: `gc removes what killed processes have left half-written, checkpoints of finished runs from which no longer training could
go on, shared features that no run of the last plan is waiting for, and the plans and logs of jobs that apply has seen end.
What is removed is named with its size.

No run is removed unless -runs is given; then those go that neither the last plan nor one of the FILEs names: saved
plans, reports as JSON, or other files with the ids of runs.`,
		Example: "  ftrun gc -dry-run\n  ftrun gc -runs other.plan baseline.json",
		Args:    arguments(0, -1),
		RunE:    func(_ *cobra.Command, files []string) error { return a.gc(&o, files) },
	}
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "only say what would be removed")
	cmd.Flags().BoolVar(&o.checkpoints, "checkpoints", false, "the checkpoints of all finished runs: longer trainings then start from the start")
	cmd.Flags().BoolVar(&o.runs, "runs", false, "runs that nothing names, too")
	return cmd
}

func (a *app) gc(o *collecting, files []string) error {
	if len(files) > 0 && !o.runs {
		return errors.New("the files say which runs to keep, and have no effect without -runs: add it, or leave them out")
	}
	store, err := a.runs()
	if err != nil {
		return err
	}
	p, err := planner.Load(store.PlanPath())
	if errors.Is(err, fs.ErrNotExist) {
		if o.runs && len(files) == 0 {
			return fmt.Errorf("there is no plan in %s, so nothing says which runs are to stay: name the files that do", a.store)
		}
		p, err = &planner.Plan{}, nil
	}
	if err != nil {
		return err // what it names is not to be told
	}
	if err := a.refresh(p, nil); err != nil { // what has been finished since waits for no features
		return err
	}
	needs := runlog.Needs{
		Checkpoint: func(r *runlog.Run) bool { return !o.checkpoints && goesOn(r) },
		Features:   featuresWanted(p),
		Launch:     func(id string) bool { return !launch.Over(store, id) },
	}
	if o.runs {
		if needs.Run, err = namedRuns(p, files); err != nil {
			return err
		}
	}
	strays, err := store.Strays()
	if err != nil {
		return err
	}
	for _, name := range strays {
		fmt.Fprintf(a.err, "%s is no run, and is left where it is.\n", filepath.Join(store.Dir, "runs", name))
	}
	found, err := store.Garbage(needs)
	if err != nil {
		return err
	}
	return a.discard(store, found, o.dryRun)
}

// discard removes what was found, or only says so, and adds it up.
func (a *app) discard(store *runlog.Store, found []runlog.Garbage, dryRun bool) error {
	var bytes int64
	removed := 0
	for _, g := range found {
		if !dryRun {
			err := store.Discard(g)
			var busy *runlog.BusyError
			if errors.As(err, &busy) {
				continue // begun since it was found
			}
			if err != nil {
				return err
			}
		}
		removed++
		bytes += g.Bytes
		fmt.Fprintf(a.out, "%9s  %s: %s\n", reports.Bytes(g.Bytes), g.Path, g.Why)
	}
	if removed == 0 {
		_, err := fmt.Fprintf(a.out, "There is nothing in %s that could go.\n", a.store)
		return err
	}
	verb := "removed"
	if dryRun {
		verb = "would be removed"
	}
	_, err := fmt.Fprintf(a.out, "%s %s, %s.\n", reports.Plural(removed, "entry", "entries"), verb, reports.Bytes(bytes))
	return err
}

// goesOn tells whether a longer training could go on from a finished run's checkpoint. Where that isn't known, it could.
func goesOn(r *runlog.Run) bool {
	var d planner.Description
	return r.ReadConfig(&d) != nil || !d.Settings.DependsOnEpochs()
}

// featuresWanted tells which shared features runs of a plan are still waiting for, by the name of their entry in the
// store. As long as one run has not finished, all may be.
func featuresWanted(p *planner.Plan) func(name string) bool {
	return func(string) bool { return changes(p) }
}

var runIDs = regexp.MustCompile(`\b[0-9a-f]{16}\b`)

// namedRuns tells which runs a plan and files name, with those that they start or go on from.
func namedRuns(p *planner.Plan, files []string) (func(id string) bool, error) {
	named := map[string]bool{}
	for i := range p.Runs {
		named[p.Runs[i].ID], named[p.Runs[i].From] = true, true
	}
	for i := range p.Settings {
		for _, id := range p.Settings[i].Weights.Runs {
			named[id] = true
		}
	}
	for _, path := range files {
		ids, err := idsIn(path)
		if err != nil {
			return nil, err
		}
		for _, id := range ids {
			named[id] = true
		}
	}
	return func(id string) bool { return named[id] || runIDs.FindString(id) != id }, nil
}

// idsIn lists the ids of runs in a file. Half a file would let the runs go that the other half names, so what is cut short
// is an error as far as that shows.
func idsIn(path string) ([]string, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("there is no file %s: nothing was removed", path)
	case err != nil:
		return nil, err
	case info.IsDir():
		return nil, fmt.Errorf("%s is a folder: name files that hold the ids of runs, such as saved plans or reports as JSON", path)
	case filepath.Ext(path) == ".hcl":
		return nil, fmt.Errorf("%s is a configuration, which holds no ids: save its plan with `%s`, and name keep.plan", path, commandLine("ftrun", "plan", "-out", "keep.plan", path))
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if bytes.HasPrefix(raw, []byte("{")) {
		if err := wholeJSON(raw); err != nil {
			return nil, fmt.Errorf("%s is damaged, and which runs it names is not to be told: %w", path, err)
		}
	}
	ids := runIDs.FindAllString(string(raw), -1)
	if len(ids) == 0 {
		return nil, fmt.Errorf("%s names no run: it holds no id, of 16 hexadecimal digits", path)
	}
	return ids, nil
}

// wholeJSON looks whether a file of JSON documents, one or many, ends where one ends, and holds a plan against its seal.
func wholeJSON(raw []byte) error {
	var head struct {
		Version string `json:"ftrun_version"` // of a plan
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	for first := true; ; first = false {
		var document json.RawMessage
		err := dec.Decode(&document)
		if errors.Is(err, io.EOF) {
			break
		}
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return errors.New("it was cut short")
		}
		if err != nil {
			return err
		}
		if first {
			_ = json.Unmarshal(document, &head) // another document need not have it
		}
	}
	if head.Version != "" {
		return durable.CheckJSON(raw)
	}
	return nil
}
