package cli

import (
	"bufio"
	"context"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/term"

	"github.com/ftrun/ftrun/executor"
	"github.com/ftrun/ftrun/internal/launch"
	"github.com/ftrun/ftrun/internal/runlog"
	"github.com/ftrun/ftrun/internal/slurm"
	"github.com/ftrun/ftrun/internal/weights"
	"github.com/ftrun/ftrun/planner"
	"github.com/ftrun/ftrun/reports"
)

// checkForSlurm refuses flags that say something of this machine.
func (r *running) checkForSlurm(l *planner.Launch) error {
	for _, f := range [][2]string{{"parallelism", "max_parallel"}, {"threads", "cpus"}, {"memory-mib", "memory"}} {
		if r.given(f[0]) {
			return fmt.Errorf("-%s is about this machine, and %s trains these runs: its block says %s", f[0], l, f[1])
		}
	}
	if _, gpu := gpuIndex(r.device); !gpu && r.device != "auto" && r.device != "cpu" {
		return fmt.Errorf("-device %s names nothing that a node could have: auto, cpu or cuda:N", r.device)
	}
	return nil
}

// applyBySlurm submits what is to be trained to Slurm, and watches it.
func (a *app) applyBySlurm(ctx context.Context, p *planner.Plan, store *runlog.Store, again string, r *running) error {
	client, err := slurm.Find()
	if err != nil {
		return err
	}
	if store, err = absoluteStore(store); err != nil {
		return err
	}
	if err := executor.CheckDisk(p, store); err != nil {
		return err
	}
	worker, err := newWorker(store, r)
	if err != nil {
		return err
	}
	a.saves.Store(true)
	sink, _, finish := a.progress(p, r.json)
	out := &relay{sink: sink}
	done, todo := tally(p)
	start := time.Now()
	sink.Emit(runlog.ApplyStarted{Runs: todo, Done: done, Device: "Slurm"})
	if err := a.pinAll(ctx, p, sink); err != nil {
		finish()
		return err
	}
	client.OnWait = func(err error, wait time.Duration) {
		out.Emit(runlog.Note{Text: fmt.Sprintf("%v: trying again in %v", err, wait.Round(time.Second))})
	}
	session, err := launch.Begin(ctx, launch.Options{
		Plan: p, Store: store, Slurm: client, Events: out, Worker: *worker, NoShare: r.noShare, Version: Version(), FailFast: r.failFast,
	})
	if err != nil {
		finish()
		if ctx.Err() != nil {
			fmt.Fprintf(a.err, "What was submitted so far is left to Slurm; `%s` takes it up and submits the others.\n", again)
		}
		return err
	}
	if r.detach {
		finish()
		a.leave(session, again)
		if session.Summary().Failed > 0 {
			return exit(exitRunsFailed)
		}
		return nil
	}
	interrupts := a.interrupts(ctx)
	answers := a.answers()
	var counts launch.Summary
	for {
		watching, stop := context.WithCancel(context.Background())
		over := make(chan struct{})
		go func() {
			counts = session.Watch(watching)
			close(over)
		}()
		select {
		case <-over:
			stop()
			sink.Emit(runlog.ApplyFinished{Finished: counts.Finished, Failed: counts.Failed, Skipped: counts.Skipped, Seconds: time.Since(start).Seconds()})
			finish()
			return a.tell(p, store, executor.Summary{Finished: counts.Finished, Done: done, Failed: counts.Failed, Skipped: counts.Skipped}, sink, again, r)
		case sig := <-interrupts:
			stop()
			<-over
			finish()
			answer := leaveThem
			if sig == os.Interrupt {
				answer = a.askAboutJobs(session.Jobs(), answers, interrupts)
			}
			switch answer {
			case leaveThem:
				a.leave(session, again)
				return exit(exitInterrupted)
			case cancelThem:
				if !r.json {
					out.to(a.endsOf(p))
				}
				return a.cancel(session, again)
			}
			sink, _, finish = a.progress(p, r.json)
			out.to(sink)
			session.Retell()
			sink.Emit(runlog.ApplyStarted{Runs: counts.Left, Done: done + todo - counts.Left, Device: "Slurm"})
		}
	}
}

// tally counts the distinct runs of a plan that are done, and those that are to be trained.
func tally(p *planner.Plan) (done, todo int) {
	s := p.Summarize()
	return s.Done, s.Trainings - s.Done
}

// relay passes events on to whatever shows them now.
type relay struct {
	mu   sync.Mutex
	sink runlog.Sink
}

func (r *relay) to(sink runlog.Sink) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sink = sink
}

// Emit passes an event on.
func (r *relay) Emit(e runlog.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sink.Emit(e)
}

// absoluteStore is a store as the nodes see it.
func absoluteStore(store *runlog.Store) (*runlog.Store, error) {
	dir, err := filepath.Abs(store.Dir)
	if err != nil {
		return nil, err
	}
	return runlog.Open(dir), nil
}

// newWorker says how tasks call this program.
func newWorker(store *runlog.Store, r *running) (*launch.Worker, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	dir, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	w := &launch.Worker{Program: program, Chdir: dir, Store: store.Dir, Device: r.device}
	if r.noShare {
		w.Flags = append(w.Flags, "-no-share")
	}
	if r.given("cache-mib") {
		w.Flags = append(w.Flags, fmt.Sprintf("-cache-mib=%d", r.cacheMiB))
	}
	if r.given("checkpoint-every") {
		w.Flags = append(w.Flags, fmt.Sprintf("-checkpoint-every=%v", r.checkpointEvery))
	}
	return w, nil
}

// pinAll fetches the weights that the runs start from, for nodes often have no network, and writes data sets and weights to
// the lock file, which the tasks only read.
func (a *app) pinAll(ctx context.Context, p *planner.Plan, events runlog.Sink) error {
	lock, err := readLock(lockPath)
	if err != nil {
		return err
	}
	if err := lock.pinDatasets(p.Datasets, false); err != nil {
		return err
	}
	return fetchWeights(ctx, lock, catalogueFiles(p), false, func(file string, done, total int64) {
		events.Emit(runlog.Fetching{File: file, Bytes: done, Total: total})
	})
}

// fetchWeights fetches files of the catalogue, and pins them.
func fetchWeights(ctx context.Context, l *lock, entries map[string]weights.Entry, renew bool, progress func(file string, done, total int64)) error {
	for _, file := range slices.Sorted(maps.Keys(entries)) {
		path, err := weightsCache().Fetch(ctx, entries[file], func(done, total int64) { progress(file, done, total) })
		if err != nil {
			return err
		}
		sum, err := weights.SHA256(path)
		if err != nil {
			return err
		}
		if err := l.pin(file, sum, renew); err != nil {
			return err
		}
	}
	return nil
}

// catalogueFiles are the files of torchvision's catalogue that a plan's settings name.
func catalogueFiles(p *planner.Plan) map[string]weights.Entry {
	entries := map[string]weights.Entry{}
	for _, s := range p.Settings {
		if s.Weights.Kind != "catalogue" {
			continue
		}
		if e, ok := weights.Find(s.Arch, s.Weights.Name); ok {
			entries[e.File] = e
		}
	}
	return entries
}

// interrupts gives Ctrl-C and SIGTERM one by one, the one that has ended ctx included.
func (a *app) interrupts(ctx context.Context) <-chan os.Signal {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	a.listenElsewhere()
	context.AfterFunc(ctx, func() {
		select {
		case signals <- os.Interrupt:
		default:
		}
	})
	return signals
}

// What is to become of the jobs when the watching ends.
type fate int

const (
	leaveThem fate = iota
	cancelThem
	watchThem
)

// answers gives the lines that a person types at the terminal, from when they are first asked for; nil where there is none.
func (a *app) answers() func() <-chan string {
	f, ok := a.in.(*os.File)
	if _, person := a.out.terminal(); !person || !ok || !term.IsTerminal(int(f.Fd())) {
		return nil
	}
	return sync.OnceValue(func() <-chan string {
		lines := make(chan string)
		go func() {
			defer close(lines)
			for in := bufio.NewScanner(a.in); in.Scan(); {
				lines <- strings.ToLower(strings.TrimSpace(in.Text()))
			}
		}()
		return lines
	})
}

// askAboutJobs asks a person what is to become of the jobs. Where there is none to ask they are left, and so they are after
// another Ctrl-C.
func (a *app) askAboutJobs(jobs []string, answers func() <-chan string, interrupts <-chan os.Signal) fate {
	if answers == nil || len(jobs) == 0 {
		return leaveThem
	}
	for {
		fmt.Fprintf(a.out, "\r%s: \"leave\" to Slurm, \"cancel\", or go on to \"watch\"? ", jobsText(jobs))
		select {
		case <-interrupts:
			fmt.Fprintln(a.out)
			return leaveThem
		case answer, more := <-answers():
			switch {
			case !more || answer == "leave":
				return leaveThem
			case answer == "cancel":
				return cancelThem
			case answer == "watch":
				return watchThem
			}
		}
	}
}

func jobsText(ids []string) string {
	const most = 8
	jobs := make([]string, len(ids))
	for i, id := range ids {
		jobs[i] = slurm.InWords(id)
	}
	if len(jobs) > most {
		return fmt.Sprintf("Jobs %s and %d others", strings.Join(jobs[:most], ", "), len(jobs)-most)
	}
	if len(jobs) == 1 {
		return "Job " + jobs[0]
	}
	return "Jobs " + strings.Join(jobs, ", ")
}

// leave says how to come back to the jobs.
func (a *app) leave(s *launch.Session, again string) {
	jobs := s.Jobs()
	if n := s.Unsubmitted(); n > 0 {
		fmt.Fprintf(a.err, "%s: Slurm has not taken them yet; `%s` tries again.\n", reports.Plural(n, "run", "runs"), again)
	}
	if len(jobs) == 0 {
		return
	}
	fmt.Fprintf(a.err, "%s: left to Slurm. `%s` watches on, `%s` ends them.\n", jobsText(jobs), again, slurm.CancelLine(jobs))
}

// ends tells of runs that have been told of only how they end.
type ends struct{ *lines }

// Emit leaves out what goes on meanwhile.
func (e ends) Emit(event runlog.Event) {
	switch event.(type) {
	case runlog.RunStarted, runlog.EpochDone:
	default:
		e.lines.Emit(event)
	}
}

// endsOf tells how the runs of a plan end, in lines.
func (a *app) endsOf(p *planner.Plan) ends {
	l := newLines(a.out)
	for i := range p.Runs {
		l.names[p.Runs[i].ID] = p.Name(&p.Runs[i])
	}
	return ends{l}
}

// cancelPatience is how long cancelled tasks may take to save what is under way: Slurm's KillWait is 30 s unless a cluster
// says otherwise.
const cancelPatience = 90 * time.Second

// cancel ends the jobs and sees them off.
func (a *app) cancel(s *launch.Session, again string) error {
	ctx, stop := context.WithTimeout(context.Background(), cancelPatience)
	defer stop()
	if err := s.Cancel(ctx); err != nil {
		return err
	}
	fmt.Fprintln(a.out, "Cancelled: what is under way is being saved.")
	s.Watch(ctx)
	fmt.Fprintf(a.err, "The jobs were cancelled; `%s` goes on from what is saved.\n", again)
	return exit(exitInterrupted)
}
