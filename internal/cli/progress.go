package cli

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/ftrun/ftrun/internal/runlog"
	"github.com/ftrun/ftrun/internal/slurm"
	"github.com/ftrun/ftrun/planner"
	"github.com/ftrun/ftrun/reports"
)

// lines tells a person of an apply in whole lines, for logs and wherever there is no terminal.
type lines struct {
	mu    sync.Mutex
	w     io.Writer
	names map[string]string
	files map[string]bool // that are fetched, and features that are computed
}

func newLines(w io.Writer) *lines {
	return &lines{w: w, names: map[string]string{}, files: map[string]bool{}}
}

// Emit writes the event's line, if it has one.
func (l *lines) Emit(e runlog.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch e := e.(type) {
	case runlog.RunStarted:
		l.names[e.Run] = e.Name
		from := ""
		if e.Epoch > 0 || e.Step > 0 {
			from = fmt.Sprintf(", going on after epoch %d", e.Epoch)
		}
		if e.Job != "" {
			if e.Node != "" {
				from += ", on " + e.Node
			}
			from += fmt.Sprintf(" (job %s)", slurm.InWords(e.Job))
		}
		l.say("%s: started (%s of %s parameters)%s", e.Name, reports.Count(e.Params.Trainable), reports.Count(e.Params.Total), from)
	case runlog.EpochDone:
		m := e.Metrics
		l.say("%s: epoch %d: loss %.3f acc %.3f, val %.3f acc %.3f%s (%s)", l.names[e.Run], m.Epoch,
			m.TrainLoss, m.TrainAcc, m.ValLoss, m.ValAcc, bestMark(e.Best), reports.Duration(m.TrainSeconds+m.ValSeconds))
	case runlog.Fetching:
		if !l.files[e.File] {
			l.files[e.File] = true
			l.say("fetching %s (%s)", e.File, reports.Bytes(e.Total))
		}
	case runlog.ComputingFeatures:
		if !l.files[e.Of] {
			l.files[e.Of] = true
			l.say("computing the features of %s (%s)", reports.Plural(e.Total, "picture", "pictures"), e.Of)
		}
	default:
		if s := sentence(e, l.names); s != "" {
			l.say("%s", s)
		}
	}
}

func (l *lines) say(format string, args ...any) {
	fmt.Fprintln(l.w, reports.Printable(fmt.Sprintf(format, args...)))
}

// stopping is said at once where Ctrl-C is heard: a step may take a while.
const stopping = "Interrupted: finishing the step and saving. Ctrl-C again stops at once."

func (l *lines) interrupted() {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintln(l.w, stopping)
}

func bestMark(best bool) string {
	if best {
		return " *"
	}
	return ""
}

// sentence says in one line what both views say alike.
func sentence(e runlog.Event, names map[string]string) string {
	switch e := e.(type) {
	case runlog.Note:
		return e.Text
	case runlog.Warning:
		return fmt.Sprintf("%s: warning: %s", names[e.Run], e.Text)
	case runlog.RunFinished:
		m := e.Result.Metrics
		return fmt.Sprintf("%s: finished: val acc %.3f at epoch %d (%s)", names[e.Run], m.ValAcc, m.BestEpoch, reports.Duration(e.Result.Timing.Seconds))
	case runlog.RunFailed:
		return fmt.Sprintf("%s: failed: %s", cmp.Or(names[e.Run], e.Name), e.Error)
	case runlog.RunInterrupted:
		return fmt.Sprintf("%s: interrupted in epoch %d after %s, and saved", names[e.Run], e.Epoch+1, reports.Plural(e.Step, "step", "steps"))
	case runlog.JobSubmitted:
		what := reports.Plural(e.Tasks, "run", "runs")
		if e.Features {
			what = "features of " + reports.Plural(e.Tasks, "frozen part", "frozen parts")
		}
		if e.Before != nil {
			return fmt.Sprintf("job %s: %s, submitted before (%s)", slurm.InWords(e.Job), what, e.Before.Local().Format("2 January 15:04"))
		}
		text := fmt.Sprintf("job %s: %s, submitted", slurm.InWords(e.Job), what)
		if len(e.After) > 0 {
			text += "; it waits for j" + jobsText(e.After)[1:] // names of clusters stay as they are
		}
		return text
	case runlog.RunsWaiting:
		if len(e.Runs) < 2 {
			return fmt.Sprintf("%s: its job %s %s", e.Name, slurm.InWords(e.Job), e.Text)
		}
		return fmt.Sprintf("%d runs: job %s %s", len(e.Runs), slurm.InWords(e.Job), e.Text)
	case runlog.RunRequeued:
		return fmt.Sprintf("%s: back in the queue (job %s): %s", e.Name, slurm.InWords(e.Job), e.Reason)
	case runlog.RunSkipped:
		return fmt.Sprintf("%s: skipped: %s", cmp.Or(names[e.Run], e.Name), e.Reason)
	}
	return ""
}

// shortNames tells the runs of a plan apart in a few words, for bars: by the values of the axes that vary in their sweep,
// by the seed and by the sweep where there are several.
func shortNames(p *planner.Plan) map[string]string {
	first := map[string]*planner.Run{} // of each sweep
	varies := map[[2]string]bool{}     // sweep and axis
	for i := range p.Runs {
		r := &p.Runs[i]
		c := &p.Configs[r.Config]
		f := first[c.Sweep]
		if f == nil {
			first[c.Sweep], f = r, r
		}
		other := &p.Configs[f.Config]
		for _, l := range slices.Concat(c.Labels, other.Labels) {
			if labelText(c, l.Axis) != labelText(other, l.Axis) {
				varies[[2]string{c.Sweep, l.Axis}] = true
			}
		}
		if r.Seed != f.Seed {
			varies[[2]string{c.Sweep, "seed"}] = true
		}
	}
	names := map[string]string{}
	for _, r := range p.Runs {
		c := &p.Configs[r.Config]
		var parts []string
		if len(first) > 1 {
			parts = append(parts, c.Sweep)
		}
		for _, l := range c.Labels {
			if varies[[2]string{c.Sweep, l.Axis}] {
				parts = append(parts, l.Text())
			}
		}
		if varies[[2]string{c.Sweep, "seed"}] {
			parts = append(parts, fmt.Sprintf("seed %d", r.Seed))
		}
		names[r.ID] = reports.Printable(cmp.Or(strings.Join(parts, ", "), c.Sweep))
	}
	return names
}

// bars shows one bar a run on a terminal, over a bar of the whole.
type bars struct {
	mu       sync.Mutex
	progress *mpb.Progress
	all      *mpb.Bar
	of       map[string]*runBar
	files    map[string]*mpb.Bar
	names    map[string]string // short ones
	width    int               // columns
}

// runBar is the bar of a run. Its text is read while bars are drawn, when Emit may be waiting for just that with mu held:
// so it has no part in mu.
type runBar struct {
	bar     *mpb.Bar
	text    atomic.Pointer[string] // epoch, loss, accuracy, time left
	epochs  int
	first   int64 // the step from which this attempt goes on
	started time.Time
}

// state is the text after a bar: of even width, so that bars stay in line, and up to 99 epochs at most stateWidth wide.
func (r *runBar) state(e runlog.Step, done int64) string {
	left := ""
	if taken := done - r.first; taken > 1 {
		total := int64(r.epochs * e.Of)
		left = reports.Duration(time.Since(r.started).Seconds() / float64(taken) * float64(total-done))
	}
	digits := len(strconv.Itoa(r.epochs))
	return fmt.Sprintf(" epoch %*d/%d loss %.3f acc %.3f %6s", digits, e.Epoch, r.epochs, e.Loss, e.Acc, left)
}

const stateWidth = 41

func newBars(w io.Writer, width int, names map[string]string) *bars {
	return &bars{
		progress: mpb.New(mpb.WithOutput(w), mpb.WithWidth(min(width, 120)), mpb.WithRefreshRate(150*time.Millisecond)),
		of:       map[string]*runBar{}, files: map[string]*mpb.Bar{}, names: names, width: width,
	}
}

func (b *bars) interrupted() { fmt.Fprintln(b.progress, home+stopping) }

// home begins every line. A terminal echoes Ctrl-C as ^C, and what is drawn next would stand behind it.
const home = "\r"

// Emit moves the bars.
func (b *bars) Emit(e runlog.Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := e.(type) {
	case runlog.ApplyStarted:
		if e.Runs > 1 {
			b.all = b.progress.AddBar(int64(e.Runs), mpb.BarPriority(1<<20),
				mpb.PrependDecorators(decor.Name(home+"runs "), decor.CountersNoUnit("%d/%d ")),
				mpb.AppendDecorators(decor.Elapsed(decor.ET_STYLE_GO)))
		}
	case runlog.RunStarted:
		if b.names[e.Run] == "" {
			b.names[e.Run] = reports.Printable(e.Name)
		}
		r := &runBar{epochs: e.Epochs, first: int64(e.Epoch*e.Steps + e.Step), started: time.Now()}
		starting := " starting"
		r.text.Store(&starting)
		name := reports.Shorten(b.names[e.Run], max(12, min(40, b.width-stateWidth-10)))
		r.bar = b.progress.AddBar(int64(e.Epochs*e.Steps), mpb.BarRemoveOnComplete(),
			mpb.PrependDecorators(decor.Name(home+name+" ", decor.WC{C: decor.DindentRight | decor.DSyncWidth})),
			mpb.AppendDecorators(decor.Any(func(decor.Statistics) string { return *r.text.Load() })))
		r.bar.SetCurrent(r.first)
		r.bar.SetRefill(r.first)
		b.of[e.Run] = r
	case runlog.Step:
		if r := b.of[e.Run]; r != nil {
			done := int64((e.Epoch-1)*e.Of + e.Step)
			text := r.state(e, done)
			r.text.Store(&text)
			r.bar.SetCurrent(done)
		}
	case runlog.Fetching:
		bar := b.files[e.File]
		if bar == nil {
			bar = b.progress.AddBar(e.Total, mpb.BarRemoveOnComplete(),
				mpb.PrependDecorators(decor.Name(home+reports.Printable(e.File)+" ")), mpb.AppendDecorators(decor.CountersKibiByte("% .1f / % .1f")))
			b.files[e.File] = bar
		}
		bar.SetCurrent(e.Bytes)
	case runlog.ComputingFeatures:
		bar := b.files[e.Of]
		if bar == nil {
			bar = b.progress.AddBar(int64(e.Total), mpb.BarRemoveOnComplete(),
				mpb.PrependDecorators(decor.Name(home+"features of "+reports.Printable(e.Of)+" ")), mpb.AppendDecorators(decor.CountersNoUnit("%d/%d pictures")))
			b.files[e.Of] = bar
		}
		bar.SetCurrent(int64(e.Done))
	case runlog.RunFinished, runlog.RunFailed, runlog.RunInterrupted:
		id := runOf(e)
		if r := b.of[id]; r != nil {
			r.bar.Abort(true)
		}
		b.tell(e)
		if b.all != nil {
			b.all.Increment()
		}
	case runlog.RunRequeued:
		if r := b.of[e.Run]; r != nil {
			r.bar.Abort(true)
			delete(b.of, e.Run)
		}
		b.tell(e)
	default:
		b.tell(e)
	}
}

func (b *bars) tell(e runlog.Event) {
	if s := sentence(e, b.names); s != "" {
		fmt.Fprintln(b.progress, home+reports.Printable(s))
	}
}

func runOf(e runlog.Event) string {
	switch e := e.(type) {
	case runlog.RunFinished:
		return e.Run
	case runlog.RunFailed:
		return e.Run
	case runlog.RunInterrupted:
		return e.Run
	}
	return ""
}

// wait ends the bars and leaves the terminal clean.
func (b *bars) wait() {
	b.mu.Lock()
	if b.all != nil {
		b.all.Abort(true)
	}
	for _, r := range b.of {
		r.bar.Abort(true)
	}
	for _, f := range b.files {
		f.Abort(true)
	}
	b.mu.Unlock()
	b.progress.Wait()
}
