// Package runlog is the memory of runs: the events that a run emits while it goes on, the results that it leaves, and
// the store that keeps both as plain files.
//
// Everything that a person or a program sees of a run is an Event. Progress bars, JSON lines and the run's own files are
// sinks of one stream (Sink).
package runlog

import (
	"encoding/json"
	"io"
	"sync"
	"time"
)

// Event is something that happened in an apply. The concrete types are below.
type Event interface{ kind() string }

// Head is what all events of a run carry.
type Head struct {
	Run string `json:"run"` // the run's id
}

type (
	// ApplyStarted opens the stream.
	ApplyStarted struct {
		Runs    int    `json:"runs"` // to be trained now
		Done    int    `json:"done"` // finished before
		Device  string `json:"device"`
		Path    string `json:"path"` // instruction path
		Threads int    `json:"threads"`
	}
	// Note tells of something that is no run's own: a download, a lock file written.
	Note struct {
		Text string `json:"text"`
	}
	// Fetching reports the progress of a download, in bytes; Total is 0 where the server does not say.
	Fetching struct {
		File  string `json:"file"`
		Bytes int64  `json:"bytes"`
		Total int64  `json:"total"`
	}
	// ComputingFeatures reports the progress of a computation that several runs, or epochs, share, in pictures.
	ComputingFeatures struct {
		Of    string `json:"of"` // architecture and split, for people
		Done  int    `json:"done"`
		Total int    `json:"total"`
	}
	// RunStarted begins a run, or goes on with it from Epoch and Step.
	RunStarted struct {
		Head
		Name   string `json:"name"` // sweep and labels, for people
		Seed   int64  `json:"seed"`
		Epochs int    `json:"epochs"`
		Steps  int    `json:"steps_per_epoch"`
		Epoch  int    `json:"from_epoch,omitempty"` // epochs already done, where resumed
		Step   int    `json:"from_step,omitempty"`
		Params Params `json:"params"`
		Job    string `json:"job,omitempty"`  // the task that carries it out, where a scheduler started it
		Node   string `json:"node,omitempty"` // and where
	}
	// Step is one optimizer step of an epoch; Epoch and Step count from 1.
	Step struct {
		Head
		Epoch int     `json:"epoch"`
		Step  int     `json:"step"`
		Of    int     `json:"of"`
		Loss  float64 `json:"loss"` // mean over the epoch so far
		Acc   float64 `json:"acc"`
	}
	// EpochDone ends an epoch, validation included.
	EpochDone struct {
		Head
		Metrics Epoch `json:"metrics"`
		Best    bool  `json:"best"` // the monitored metric is the best so far
	}
	// Warning is told once where it happens.
	Warning struct {
		Head
		Text string `json:"text"`
	}
	// RunFinished ends a run well.
	RunFinished struct {
		Head
		Result Result `json:"result"`
	}
	// RunFailed ends a run badly; the others go on.
	RunFailed struct {
		Head
		Name  string `json:"name"`
		Error string `json:"error"`
	}
	// RunInterrupted says that a run was saved and can go on.
	RunInterrupted struct {
		Head
		Epoch int `json:"epoch"` // epochs done
		Step  int `json:"step"`  // steps done of the next
	}
	// RunSkipped says that a run was not started, and why: one that it needs failed, or another process has it.
	RunSkipped struct {
		Head
		Name   string `json:"name"`
		Reason string `json:"reason"`
	}
	// JobSubmitted tells of a scheduler's job array that carries out runs, or computes features.
	JobSubmitted struct {
		Job      string     `json:"job"`
		Name     string     `json:"name"`
		Launcher string     `json:"launcher,omitempty"`
		Tasks    int        `json:"tasks"`
		Features bool       `json:"features,omitempty"`
		After    []string   `json:"after,omitempty"`            // jobs that it waits for
		Before   *time.Time `json:"submitted_before,omitempty"` // it was found, and submitted then
	}
	// RunsWaiting says why runs of a job have not been started yet.
	RunsWaiting struct {
		Job    string   `json:"job"`
		Runs   []string `json:"runs"`
		Name   string   `json:"name"`   // of the first
		Reason string   `json:"reason"` // the scheduler's word
		Text   string   `json:"text"`   // ours
	}
	// RunRequeued says that a run's job ended, and that the scheduler will start it again.
	RunRequeued struct {
		Head
		Name   string `json:"name"`
		Job    string `json:"job"`
		Reason string `json:"reason"`
	}
	// ApplyFinished ends the training. The gates, where there are some, follow.
	ApplyFinished struct {
		Finished int     `json:"finished"`
		Failed   int     `json:"failed"`
		Skipped  int     `json:"skipped"`
		Seconds  float64 `json:"seconds"`
	}
	// GateJudged says what came of a gate.
	GateJudged struct {
		Name       string `json:"name"`
		Verdict    string `json:"verdict"` // "pass", "fail", "skipped"
		Reason     string `json:"reason,omitempty"`
		Comparison any    `json:"comparison,omitempty"` // left out where it was skipped
	}
)

func (ApplyStarted) kind() string      { return "apply_started" }
func (Note) kind() string              { return "note" }
func (Fetching) kind() string          { return "fetching" }
func (ComputingFeatures) kind() string { return "computing_features" }
func (RunStarted) kind() string        { return "run_started" }
func (Step) kind() string              { return "step" }
func (EpochDone) kind() string         { return "epoch" }
func (Warning) kind() string           { return "warning" }
func (RunFinished) kind() string       { return "run_finished" }
func (RunFailed) kind() string         { return "run_failed" }
func (RunInterrupted) kind() string    { return "run_interrupted" }
func (RunSkipped) kind() string        { return "run_skipped" }
func (JobSubmitted) kind() string      { return "job_submitted" }
func (RunsWaiting) kind() string       { return "runs_waiting" }
func (RunRequeued) kind() string       { return "run_requeued" }
func (ApplyFinished) kind() string     { return "apply_finished" }
func (GateJudged) kind() string        { return "gate" }

// Sink receives events. Emit may be called by several goroutines and must not block for long.
type Sink interface{ Emit(Event) }

// JSONLines writes one event a line: {"time":…,"event":"epoch",…}. It leaves the single steps out.
type JSONLines struct {
	mu  sync.Mutex
	w   io.Writer
	now func() time.Time
}

// NewJSONLines returns a sink that writes to w.
func NewJSONLines(w io.Writer) *JSONLines { return &JSONLines{w: w, now: time.Now} }

// Emit writes the event's line. What the writer refuses is lost: a broken pipe does not stop a training.
func (j *JSONLines) Emit(e Event) {
	if _, ok := e.(Step); ok {
		return
	}
	line, err := MarshalEvent(e, j.now())
	if err != nil {
		panic("runlog: event without JSON: " + err.Error())
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	_, _ = j.w.Write(append(line, '\n'))
}

// MarshalEvent gives the event's JSON with its time and name in front.
func MarshalEvent(e Event, at time.Time) ([]byte, error) {
	body, err := json.Marshal(e)
	if err != nil {
		return nil, err
	}
	head, err := json.Marshal(struct {
		Time  string `json:"time"`
		Event string `json:"event"`
	}{at.UTC().Format(time.RFC3339Nano), e.kind()})
	if err != nil {
		return nil, err
	}
	if len(body) > 2 {
		head = append(append(head[:len(head)-1], ','), body[1:]...)
	}
	return head, nil
}
