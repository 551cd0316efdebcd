package cli

import (
	"errors"

	"github.com/ftrun/ftrun/internal/runlog"
	"github.com/ftrun/ftrun/planner"
	"github.com/ftrun/ftrun/reports"
)

// planResults joins a plan with what the store holds of its runs, as one side of a comparison: a configuration of the plan
// has the same index in both. Predictions are read where they are asked for.
func (a *app) planResults(store *runlog.Store, p *planner.Plan, origin string, predictions bool) (*reports.Results, error) {
	return nil, errors.New("not yet")
}

// readResults reads one side of a comparison from a file: a baseline, a saved plan whose runs the store holds, or a report as
// JSON.
func (a *app) readResults(store *runlog.Store, path string, predictions bool) (*reports.Results, error) {
	return nil, errors.New("not yet")
}
