package executor

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ftrun/ftrun/internal/kernels"
	"github.com/ftrun/ftrun/planner"
)

// line is a queue of runs that are named by letters, on a clock that a test moves.
type line struct {
	t     *testing.T
	plan  *planner.Plan
	queue *queue
	told  []skip
	clock time.Time
	on    map[string]int32
}

// waitingRun says what a run of a line waits for and wants.
type waitingRun struct {
	name, needs, from string
	seconds           float64
	memory, making    int64
	// device and deviceMaking are of a place's own memory.
	device, deviceMaking int64
	shares               int // 0: nothing; otherwise the number of what it shares
	precision            kernels.Precision
}

func newLine(t *testing.T, r room, has string, runs ...waitingRun) *line {
	l := &line{t: t, clock: time.Unix(0, 0), on: map[string]int32{}, plan: &planner.Plan{}}
	for i, w := range runs {
		l.plan.Estimates = append(l.plan.Estimates, planner.Estimate{Seconds: w.seconds})
		run := planner.Run{ID: w.name, Estimate: i, From: w.from}
		for _, n := range w.needs {
			run.Needs = append(run.Needs, string(n))
		}
		l.plan.Runs = append(l.plan.Runs, run)
	}
	var queued []*planner.Run
	var wants []want
	for i := range l.plan.Runs {
		w := want{memory: runs[i].memory, making: runs[i].making, sharing: runs[i].shares, device: runs[i].device, deviceMaking: runs[i].deviceMaking,
			precision: runs[i].precision}
		if w.sharing == 0 {
			w.sharing = -1
		}
		queued, wants = append(queued, &l.plan.Runs[i]), append(wants, w)
	}
	l.queue, l.told = newQueue(l.plan, queued, wants, r, anywhere(), func(id string) bool { return slices.Contains([]byte(has), id[0]) })
	return l
}

// starts wants the next runs to start to be these, each with its threads, as in "a2 b1".
func (l *line) starts(want string) {
	l.t.Helper()
	got := ""
	for i, s := range l.queue.take(l.clock) {
		l.on[s.run.ID] = s.job
		if i > 0 {
			got += " "
		}
		got += fmt.Sprint(s.run.ID, s.threads)
	}
	if got != want {
		l.t.Errorf("started %q, want %q", got, want)
	}
}

// ends settles runs, and wants these skipped for it.
func (l *line) ends(runs string, result outcome, want string) {
	l.t.Helper()
	got := ""
	for _, r := range runs {
		for _, s := range l.queue.settle(l.on[string(r)], result) {
			got += s.run.ID
		}
	}
	if got != want {
		l.t.Errorf("skipped %q, want %q", got, want)
	}
}

func wide(runs, threads int) room { return room{runs, threads, math.MaxInt64} }

func TestQueueOrder(t *testing.T) {
	t.Run("as in the plan where nothing is known", func(t *testing.T) {
		l := newLine(t, wide(1, 1), "", waitingRun{name: "a"}, waitingRun{name: "b"}, waitingRun{name: "c"})
		l.starts("a1")
		l.starts("")
		l.ends("a", finished, "")
		l.starts("b1")
		l.ends("b", failed, "")
		l.starts("c1")
	})
	t.Run("the longest first", func(t *testing.T) {
		l := newLine(t, wide(2, 2), "", waitingRun{name: "a", seconds: 1}, waitingRun{name: "b", seconds: 3}, waitingRun{name: "c", seconds: 2})
		l.starts("b1 c1")
		l.ends("b", finished, "")
		l.starts("a1")
	})
	t.Run("what others wait for counts with them", func(t *testing.T) {
		l := newLine(t, wide(2, 2), "", waitingRun{name: "a", seconds: 5}, waitingRun{name: "b", seconds: 1},
			waitingRun{name: "c", needs: "b", seconds: 2}, waitingRun{name: "d", from: "c", seconds: 3}, waitingRun{name: "e", seconds: 4})
		l.starts("b1 a1")
		l.ends("b", finished, "")
		l.starts("c1")          // 5 with d, more than e
		l.ends("c", failed, "") // d does not need it
		l.starts("e1")
		l.ends("a", finished, "")
		l.starts("d1")
	})
	t.Run("one at a time as in the plan", func(t *testing.T) {
		l := newLine(t, wide(1, 1), "", waitingRun{name: "a", seconds: 1}, waitingRun{name: "b", seconds: 3})
		l.starts("a1")
		l.ends("a", finished, "")
		l.starts("b1")
	})
	t.Run("with another process: after all others, and not at once", func(t *testing.T) {
		l := newLine(t, wide(1, 1), "", waitingRun{name: "a", seconds: 9}, waitingRun{name: "b"}, waitingRun{name: "c"})
		l.starts("a1")
		l.queue.putBack(l.on["a"], l.clock.Add(time.Second))
		l.starts("b1")
		l.clock = l.clock.Add(time.Second)
		l.ends("b", finished, "")
		l.starts("c1")
		l.ends("c", finished, "")
		l.starts("a1")
	})
}

func TestQueueDependencies(t *testing.T) {
	t.Run("all of them", func(t *testing.T) {
		l := newLine(t, wide(3, 3), "z", waitingRun{name: "a"}, waitingRun{name: "b"}, waitingRun{name: "c", needs: "abz", from: "a"})
		l.starts("a2 b1")
		l.ends("a", finished, "")
		l.starts("")
		l.ends("b", finished, "")
		l.starts("c3")
	})
	t.Run("one that fails", func(t *testing.T) {
		l := newLine(t, wide(1, 1), "", waitingRun{name: "a"}, waitingRun{name: "b", needs: "a"}, waitingRun{name: "c", needs: "ba"},
			waitingRun{name: "d", from: "b"}, waitingRun{name: "e", needs: "d"})
		l.starts("a1")
		l.ends("a", failed, "bc")
		l.starts("d1")
		l.ends("d", finished, "")
		l.starts("e1")
		if l.queue.left != 0 {
			t.Errorf("%d are left", l.queue.left)
		}
	})
	t.Run("one that is not there", func(t *testing.T) {
		l := newLine(t, wide(3, 3), "y", waitingRun{name: "a", needs: "y"}, waitingRun{name: "b", needs: "yz"}, waitingRun{name: "c", needs: "b"},
			waitingRun{name: "d", needs: "zx", from: "b"}, waitingRun{name: "e", from: "b"})
		var got []string
		for _, s := range l.told {
			got = append(got, s.run.ID+" for "+s.missing)
		}
		if d := cmp.Diff([]string{"b for z", "c for b", "d for z"}, got); d != "" {
			t.Error(d)
		}
		l.starts("a2 e1")
	})
	t.Run("one that is interrupted", func(t *testing.T) {
		l := newLine(t, wide(1, 1), "", waitingRun{name: "a"}, waitingRun{name: "b", needs: "a"})
		l.starts("a1")
		l.ends("a", interrupted, "")
		l.starts("")
	})
}

func TestQueueThreads(t *testing.T) {
	l := newLine(t, wide(2, 5), "", waitingRun{name: "a"}, waitingRun{name: "b"}, waitingRun{name: "c"}, waitingRun{name: "d"}, waitingRun{name: "e"})
	l.starts("a3 b2")
	l.ends("b", finished, "")
	l.starts("c2")
	l.ends("ac", finished, "")
	l.starts("d3 e2")
	t.Run("one that is alone has all", func(t *testing.T) {
		l := newLine(t, wide(4, 7), "", waitingRun{name: "a"}, waitingRun{name: "b", needs: "a"}, waitingRun{name: "c", needs: "a"}, waitingRun{name: "d", needs: "b"})
		l.starts("a7")
		l.ends("a", finished, "")
		l.starts("b4 c3")
		l.ends("b", finished, "")
		l.starts("d4")
	})
}

func TestQueueMemory(t *testing.T) {
	l := newLine(t, room{3, 3, 10}, "", waitingRun{name: "a", memory: 6, seconds: 3}, waitingRun{name: "b", memory: 6, seconds: 2}, waitingRun{name: "c", memory: 4, seconds: 1},
		waitingRun{name: "d", memory: 3})
	l.starts("a2 c1") // b does not fit beside a
	l.ends("c", finished, "")
	l.starts("d1")
	l.ends("a", finished, "")
	l.starts("b2")
	l.ends("bd", finished, "")
	if l.queue.room != (room{3, 3, 10}) {
		t.Errorf("there is room for %+v in the end", l.queue.room)
	}
}

func TestQueueMemoryForFeatures(t *testing.T) {
	all := room{3, 3, 10}
	l := newLine(t, all, "", waitingRun{name: "a", memory: 4, making: 5, shares: 1}, waitingRun{name: "b", memory: 4, making: 5, shares: 1},
		waitingRun{name: "c", memory: 2}, waitingRun{name: "d", memory: 1})
	l.starts("a1 d1") // b waits for the features, c has no room beside their computation
	l.queue.shared(l.on["a"])
	l.starts("b1")
	l.ends("d", finished, "")
	l.starts("c1")
	// b finds that they can't be kept.
	l.queue.changeWant(l.on["b"], want{memory: 7, sharing: -1})
	l.starts("")
	l.ends("a", finished, "")
	l.starts("b2")
	l.ends("bc", finished, "")
	if l.queue.room != all || l.queue.left != 0 {
		t.Errorf("there is room for %+v in the end, %d are left", l.queue.room, l.queue.left)
	}
	t.Run("whose maker can't keep them", func(t *testing.T) {
		l := newLine(t, all, "", waitingRun{name: "a", memory: 1, making: 8, shares: 1}, waitingRun{name: "b", memory: 2, making: 8, shares: 1})
		l.starts("a2") // b wants a thread in a moment
		l.queue.changeWant(l.on["a"], want{memory: 9, sharing: -1})
		l.starts("a3")
		l.ends("a", finished, "")
		l.starts("b3")
	})
}

// TestQueuePlaces: a run starts where its memory has room, as many on each place as on any other, and nowhere where a place is
// lost.
func TestQueuePlaces(t *testing.T) {
	// starts wants the next runs to start to be these, each with its place, as in "a0 b1".
	starts := func(l *line, want string) {
		t.Helper()
		var got []string
		for _, s := range l.queue.take(l.clock) {
			l.on[s.run.ID] = s.job
			got = append(got, fmt.Sprint(s.run.ID, s.place))
		}
		if got := strings.Join(got, " "); got != want {
			t.Errorf("started %q, want %q", got, want)
		}
	}
	on := func(places []placeRoom, runs ...waitingRun) *line {
		l := newLine(t, wide(2, 4), "", runs...)
		l.queue.places = places
		return l
	}
	two := func() []placeRoom { return []placeRoom{{runs: 1, memory: 4}, {runs: 1, memory: 10}} }
	t.Run("by memory", func(t *testing.T) {
		l := on(two(), waitingRun{name: "a", device: 3}, waitingRun{name: "b", device: 6}, waitingRun{name: "c", device: 4}, waitingRun{name: "d", device: 2})
		starts(l, "a1 c0") // b fits only where a is
		l.ends("c", finished, "")
		starts(l, "d0")
		l.ends("a", finished, "")
		starts(l, "b1")
		l.ends("bd", finished, "")
		if !slices.Equal(l.queue.places, two()) {
			t.Errorf("the places have %+v in the end", l.queue.places)
		}
	})
	t.Run("one is lost", func(t *testing.T) {
		l := on(two(), waitingRun{name: "a", device: 1}, waitingRun{name: "b", device: 1}, waitingRun{name: "c", device: 1})
		starts(l, "a1 b0")
		if others, first := l.queue.lose(l.on["a"]); !others || !first {
			t.Errorf("others %v, first %v", others, first)
		}
		l.ends("a", failed, "")
		starts(l, "") // the other has its run
		l.ends("b", finished, "")
		starts(l, "c0")
		if others, _ := l.queue.lose(l.on["c"]); others {
			t.Error("another is left")
		}
	})
	t.Run("one lacks a precision", func(t *testing.T) {
		l := on(two(), waitingRun{name: "a", device: 1, precision: kernels.BF16}, waitingRun{name: "b", device: 1, precision: kernels.BF16},
			waitingRun{name: "c", device: 1})
		l.queue.places[1].lacks = 1 << kernels.BF16
		starts(l, "a0 c1") // c passes b by
		l.ends("c", finished, "")
		starts(l, "")
		l.ends("a", finished, "")
		starts(l, "b0")
	})
	t.Run("features of another kind", func(t *testing.T) {
		places := []placeRoom{{runs: 1, memory: 9, kind: 0}, {runs: 1, memory: 9, kind: 1}}
		l := on(places, waitingRun{name: "a", device: 1, deviceMaking: 7, shares: 1}, waitingRun{name: "b", device: 1, deviceMaking: 7, shares: 1},
			waitingRun{name: "c", device: 1, deviceMaking: 7, shares: 1})
		starts(l, "a0")
		l.queue.shared(l.on["a"])
		if got := places[0].memory; got != 8 {
			t.Errorf("%d are free where the features are made, want 8", got)
		}
		starts(l, "b1") // makes them anew: what is there was computed otherwise
		if got := places[1].memory; got != 1 {
			t.Errorf("%d are free where they are made again, want 1", got)
		}
		l.ends("a", finished, "")
		starts(l, "c0")
	})
}

func TestQueueFeatures(t *testing.T) {
	l := newLine(t, wide(3, 4), "", waitingRun{name: "a", shares: 1}, waitingRun{name: "b", shares: 1}, waitingRun{name: "c", shares: 2}, waitingRun{name: "d"})
	l.starts("a2 d1") // b, which wants them in a moment, gets the last thread
	l.starts("")
	l.queue.shared(l.on["a"])
	l.starts("b1")
	l.ends("a", finished, "")
	l.starts("c2") // makes its own
	t.Run("whose maker fails", func(t *testing.T) {
		l := newLine(t, wide(2, 2), "", waitingRun{name: "a", shares: 3}, waitingRun{name: "b", shares: 3}, waitingRun{name: "c", shares: 3})
		l.starts("a1")
		l.ends("a", failed, "")
		l.starts("b1")
		l.queue.putBack(l.on["b"], l.clock) // that another process has
		l.starts("c1")
		l.queue.shared(l.on["c"])
		l.starts("b1")
	})
	t.Run("that nobody shares", func(t *testing.T) {
		l := newLine(t, wide(2, 2), "", waitingRun{name: "a"}, waitingRun{name: "b"})
		l.starts("a1 b1")
		l.queue.shared(l.on["a"])
		if len(l.queue.made) != 0 {
			t.Errorf("made %v", l.queue.made)
		}
	})
}

// BenchmarkQueue takes a million runs through a queue, with four architectures' memory, features for half of them, and
// every second one waiting for the one before.
func BenchmarkQueue(b *testing.B) {
	const n = 1_000_000
	p := &planner.Plan{}
	for i := range 4 {
		p.Estimates = append(p.Estimates, planner.Estimate{Seconds: float64(i)})
	}
	runs, wants := make([]*planner.Run, n), make([]want, n)
	for i := range runs {
		runs[i], wants[i] = &planner.Run{ID: fmt.Sprintf("%016x", i), Estimate: i / 2 % 4}, want{memory: int64(i/2%4 + 1), sharing: i/4%2 - 1}
		if i%2 == 1 {
			runs[i].Needs = []string{runs[i-1].ID}
		}
	}
	for b.Loop() {
		q, _ := newQueue(p, runs, wants, room{4, 4, 10}, anywhere(), nil)
		var on []start
		done := 0
		for now := (time.Time{}); done < n; done++ {
			on = append(on, q.take(now)...)
			q.shared(on[0].job)
			q.settle(on[0].job, finished)
			on = on[1:]
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/run")
}

// anywhere is one place whose memory is the machine's.
func anywhere() []placeRoom { return []placeRoom{{runs: math.MaxInt, memory: math.MaxInt64}} }
