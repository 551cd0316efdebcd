package cli

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/vbauerster/mpb/v8"

	"github.com/ftrun/ftrun/internal/runlog"
)

// Bars are drawn while events come in: neither may wait for the other for ever.
func TestBarsAreDrawnWhileEventsComeIn(t *testing.T) {
	b := newBars(io.Discard, 80, map[string]string{})
	b.progress = mpb.New(mpb.WithOutput(io.Discard), mpb.WithAutoRefresh(), mpb.WithRefreshRate(50*time.Microsecond))
	done := make(chan struct{})
	go func() {
		defer close(done)
		head := runlog.Head{Run: "a"}
		b.Emit(runlog.RunStarted{Head: head, Name: "sweep seed 0", Epochs: 40, Steps: 500})
		for epoch := range 40 {
			for step := range 500 {
				b.Emit(runlog.Step{Head: head, Epoch: epoch + 1, Step: step + 1, Of: 500})
			}
		}
		b.wait()
	}()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatal("the bars and the events wait for each other")
	}
}

// What an axis is called, and what an error quotes, stays on its line.
func TestLinesAreOfWhatCanBePrinted(t *testing.T) {
	var out strings.Builder
	l := newLines(&out)
	head, name := runlog.Head{Run: "a"}, "s[x=a\x1b[31mred\nb] seed 0"
	l.Emit(runlog.RunStarted{Head: head, Name: name})
	l.Emit(runlog.EpochDone{Head: head})
	l.Emit(runlog.Fetching{File: "a\x1b[31m\n"})
	l.Emit(runlog.RunFailed{Head: head, Name: name, Error: "no \x1b[31m\n"})
	if got := out.String(); strings.Contains(got, "\x1b") || strings.Count(got, "\n") != 4 || !strings.Contains(got, `s[x=a\x1b[31mred\nb] seed 0: started`) {
		t.Errorf("%q", got)
	}
}

// A bar's text has one width over a run, and leaves room for name and bar on 80 columns.
func TestBarText(t *testing.T) {
	r := &runBar{epochs: 12, started: time.Now().Add(-time.Minute)}
	first := r.state(runlog.Step{Epoch: 1, Of: 100, Step: 1, Loss: 1.5, Acc: 0.25}, 1)
	later := r.state(runlog.Step{Epoch: 7, Of: 100, Step: 0, Loss: 0.5, Acc: 0.75}, 600)
	if want := " epoch  7/12 loss 0.500 acc 0.750  1m00s"; later != want {
		t.Errorf("text %q, want %q", later, want)
	}
	if len(first) != len(later) || len(later) > stateWidth {
		t.Errorf("%q and %q are not of one width, at most %d", first, later, stateWidth)
	}
	if !strings.HasSuffix(first, "      ") {
		t.Errorf("%q tells a time left after one step", first)
	}
}
