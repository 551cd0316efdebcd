package executor

import (
	"cmp"
	"container/heap"
	"slices"
	"time"

	"github.com/ftrun/ftrun/internal/kernels"
	"github.com/ftrun/ftrun/planner"
)

// queue decides which run starts when, and what it gets of the machine. A run is ready when the runs that it waits for
// are settled. Of those that are ready and that memory has room for, the one starts first with which the longest chain of
// runs begins that wait for each other; where times are not known, or one run goes on at a time, the first in the plan. A
// small run may so pass a large one by; that has its turn at the latest when the small ones are through.
//
// It belongs to one goroutine.
type queue struct {
	jobs  []job
	index map[string]int32 // of jobs, by the run's id
	// shelves hold the jobs that are ready, and whatever else they are, those on one shelf want the same of the machine.
	shelves []*shelf
	byWant  map[want]*shelf
	later   []later // with another process, the next to be looked at first
	left    int     // jobs that have not been started, or came back

	room    room // that is free
	places  []placeRoom
	running int

	// Features are made for one run at a time: making them takes all threads. Runs that would wait for them, or make
	// others meanwhile, are held back. maker is the job that makes some or is about to, -1 where there is none.
	maker int32
	made  map[making]bool
}

// placeRoom is what a place where runs are computed has free.
type placeRoom struct {
	runs   int   // that may be started beside those that go on there
	memory int64 // bytes of its own memory
	kind   int   // places of one kind compute the same bits, and so the same features
	lacks  uint8 // a bit for each kernels.Precision that it has not
	lost   bool
}

// making is the features that runs share, an index in Plan.Sharing, as a kind of place computes them.
type making struct{ sharing, kind int }

// room is what runs divide between them.
type room struct {
	runs    int
	threads int   // at least as many as runs
	memory  int64 // bytes
}

// job is a run in the queue.
type job struct {
	run     *planner.Run
	want    want
	chain   float64 // estimated seconds of it and of the longest chain of jobs that wait for each other after it
	waiters []waiter
	unmet   int32 // jobs that it waits for
	threads int   // while it runs
	place   int   // where it runs, or ran
	memory  int64 // bytes that it holds of the room while it runs
	device  int64 // and of the place's own memory
	tried   bool  // another process had it
	outcome outcome
}

// waiter is a job that waits for another: until that has finished, or, where it only may go on from what the other leaves,
// until that is settled in any way.
type waiter struct {
	job   int32
	needs bool
}

// want is what a job wants of the machine beside time.
type want struct {
	memory  int64 // bytes
	making  int64 // bytes beside that while the features are computed that it works on
	sharing int   // index in Plan.Sharing of these; -1: none
	// device and deviceMaking are the same as memory and making, of the memory that a place has of its own.
	device, deviceMaking int64
	precision            kernels.Precision // that the place has to have
}

// shelf is a heap of the ready jobs that want the same.
type shelf struct {
	want
	queue *queue
	jobs  []int32
}

func (s *shelf) Len() int           { return len(s.jobs) }
func (s *shelf) Less(i, j int) bool { return s.queue.before(s.jobs[i], s.jobs[j]) }
func (s *shelf) Swap(i, j int)      { s.jobs[i], s.jobs[j] = s.jobs[j], s.jobs[i] }
func (s *shelf) Push(x any)         { s.jobs = append(s.jobs, x.(int32)) }
func (s *shelf) Pop() any {
	last := s.jobs[len(s.jobs)-1]
	s.jobs = s.jobs[:len(s.jobs)-1]
	return last
}

// later is when a job that another process has is to be looked at again.
type later struct {
	job int32
	at  time.Time
}

// start is a job that is to be started, at a place and on so many threads.
type start struct {
	job     int32
	run     *planner.Run
	place   int
	threads int
}

// skip is a run that can't start any more, since one that it needs did not finish.
type skip struct {
	run     *planner.Run
	missing string
}

// newQueue queues runs of a plan, which have different ids and stand in its order, with what each wants, to be
// computed at the places. has is asked of runs that are not queued whether they have finished; skips are the queued ones that
// lack one.
func newQueue(p *planner.Plan, runs []*planner.Run, wants []want, r room, places []placeRoom, has func(id string) bool) (q *queue, skips []skip) {
	q = &queue{
		jobs: make([]job, len(runs)), index: make(map[string]int32, len(runs)), byWant: map[want]*shelf{}, left: len(runs),
		room: r, places: places, maker: -1, made: map[making]bool{},
	}
	for i, run := range runs {
		q.index[run.ID] = int32(i)
	}
	elsewhere := map[string]bool{}
	type lack struct {
		job int32
		id  string
	}
	var lacks []lack
	for i, run := range runs {
		j := &q.jobs[i]
		j.run, j.chain, j.want = run, p.Estimate(run).Seconds, wants[i]
		for _, id := range run.Needs {
			if up, ours := q.index[id]; ours {
				q.jobs[up].waiters = append(q.jobs[up].waiters, waiter{int32(i), true})
				j.unmet++
				continue
			}
			if _, known := elsewhere[id]; !known {
				elsewhere[id] = has(id)
			}
			if !elsewhere[id] {
				lacks = append(lacks, lack{int32(i), id})
				j.unmet++ // for good
			}
		}
		if up, ours := q.index[run.From]; ours && !slices.Contains(run.Needs, run.From) {
			q.jobs[up].waiters = append(q.jobs[up].waiters, waiter{int32(i), false})
			j.unmet++
		}
	}
	// Those that wait come later in a plan. One after the other, runs take as long in any order: theirs is the plan's.
	for i := len(q.jobs) - 1; i >= 0; i-- {
		if r.runs == 1 {
			q.jobs[i].chain = 0
			continue
		}
		longest := 0.0
		for _, w := range q.jobs[i].waiters {
			longest = max(longest, q.jobs[w.job].chain)
		}
		q.jobs[i].chain += longest
	}
	for i := range q.jobs {
		if q.jobs[i].unmet == 0 {
			q.shelve(int32(i))
		}
	}
	for _, l := range lacks {
		if q.jobs[l.job].outcome == waiting {
			skips = append(skips, q.skip(l.job, l.id)...)
		}
	}
	return q, skips
}

// before tells which of two jobs that are ready is to be started first.
func (q *queue) before(a, b int32) bool {
	x, y := &q.jobs[a], &q.jobs[b]
	if x.tried != y.tried {
		return y.tried
	}
	return cmp.Or(cmp.Compare(y.chain, x.chain), cmp.Compare(a, b)) < 0
}

// shelve puts a job among those that are ready.
func (q *queue) shelve(i int32) {
	w := q.jobs[i].want
	s := q.byWant[w]
	if s == nil {
		s = &shelf{want: w, queue: q}
		q.byWant[w] = s
		q.shelves = append(q.shelves, s)
	}
	heap.Push(s, i)
}

// held tells whether what lies on a shelf would only wait for features at a place of that kind.
func (q *queue) held(s *shelf, kind int) bool {
	return q.maker >= 0 && s.sharing >= 0 && !q.made[making{s.sharing, kind}]
}

// needs is the memory that a job would hold if it started now at a place of that kind, and what of the place's own.
func (q *queue) needs(w want, kind int) (memory, device int64) {
	if w.sharing >= 0 && !q.made[making{w.sharing, kind}] {
		return w.memory + w.making, w.device + w.deviceMaking
	}
	return w.memory, w.device
}

// placeFor is where what lies on a shelf would start now: of the places with room, the one that may have the most runs
// more, and then with the most memory; -1 where there is none.
func (q *queue) placeFor(s *shelf) int {
	best := -1
	for i := range q.places {
		p := &q.places[i]
		memory, device := q.needs(s.want, p.kind)
		if p.lost || p.lacks&(1<<s.precision) != 0 || p.runs == 0 || memory > q.room.memory || device > p.memory || q.held(s, p.kind) {
			continue
		}
		if best < 0 || cmp.Or(cmp.Compare(p.runs, q.places[best].runs), cmp.Compare(p.memory, q.places[best].memory)) > 0 {
			best = i
		}
	}
	return best
}

// take starts as many jobs as there is room for, and divides the free threads between them.
func (q *queue) take(now time.Time) []start {
	for len(q.later) > 0 && !now.Before(q.later[0].at) {
		q.shelve(q.later[0].job)
		q.later = q.later[1:]
	}
	var starts []start
	for q.room.runs > 0 && q.room.threads > len(starts) {
		best, at := -1, 0
		for i, s := range q.shelves {
			if best >= 0 && !q.before(s.jobs[0], q.shelves[best].jobs[0]) {
				continue
			}
			if place := q.placeFor(s); place >= 0 {
				best, at = i, place
			}
		}
		if best < 0 {
			break
		}
		s := q.shelves[best]
		i := heap.Pop(s).(int32)
		if s.Len() == 0 {
			delete(q.byWant, s.want)
			last := len(q.shelves) - 1
			q.shelves[best], q.shelves = q.shelves[last], q.shelves[:last]
		}
		j := &q.jobs[i]
		p := &q.places[at]
		j.place = at
		j.memory, j.device = q.needs(j.want, p.kind)
		if s.sharing >= 0 && !q.made[making{s.sharing, p.kind}] {
			q.maker = i
		}
		q.left--
		q.running++
		q.room.runs--
		q.room.memory -= j.memory
		p.memory -= j.device
		p.runs--
		starts = append(starts, start{job: i, run: j.run, place: at})
	}
	among := len(starts) + q.soon()
	for i := range starts {
		n := (q.room.threads + among - 1) / among // the first, which take the longest, get what is over
		starts[i].threads, q.jobs[starts[i].job].threads = n, n
		q.room.threads -= n
		among--
	}
	return starts
}

// soon counts the jobs that are held back and for which there is room beside those that run, when the features are made: they
// want threads in a moment.
func (q *queue) soon() (n int) {
	if q.maker < 0 {
		return 0
	}
	maker := &q.jobs[q.maker]
	memory, kind := q.room.memory+maker.memory-maker.want.memory, q.places[maker.place].kind
	for _, s := range q.shelves {
		for range s.jobs {
			if n == q.room.runs || s.memory > memory || !q.held(s, kind) {
				break
			}
			memory -= s.memory
			n++
		}
	}
	return n
}

// stop takes back what a job had of the room.
func (q *queue) stop(i int32) {
	j := &q.jobs[i]
	q.running--
	q.room.runs++
	q.room.threads += j.threads
	q.room.memory += j.memory
	p := &q.places[j.place]
	p.runs++
	p.memory += j.device
	if q.maker == i {
		q.maker = -1
	}
}

// lose has no job start any more where a job ran, and says whether there is another place left. Others that run there end by
// themselves.
func (q *queue) lose(i int32) (others, first bool) {
	p := &q.places[q.jobs[i].place]
	first, p.lost = !p.lost, true
	return slices.ContainsFunc(q.places, func(p placeRoom) bool { return !p.lost }), first
}

// settle takes a job back that ran, with what became of it, and returns what can't start for it.
func (q *queue) settle(i int32, result outcome) []skip {
	q.stop(i)
	if result == interrupted { // those that wait for it are interrupted too
		q.jobs[i].outcome = result
		return nil
	}
	return q.release(i, result)
}

// putBack takes a job back that another process has, to be looked at again later, and after all others.
func (q *queue) putBack(i int32, at time.Time) {
	q.stop(i)
	q.jobs[i].tried = true
	q.left++
	q.later = append(q.later, later{i, at})
}

// shared says that a job that runs has its features: what it had to make them is free again.
func (q *queue) shared(i int32) {
	j := &q.jobs[i]
	p := &q.places[j.place]
	if s := j.want.sharing; s >= 0 {
		q.made[making{s, p.kind}] = true
	}
	if q.maker == i {
		q.maker = -1
	}
	q.room.memory += j.memory - j.want.memory
	p.memory += j.device - j.want.device
	j.memory, j.device = j.want.memory, j.want.device
}

// changeWant takes a job back that turned out to want something else of the machine, to be started when there is room for that.
func (q *queue) changeWant(i int32, w want) {
	q.stop(i)
	q.jobs[i].want = w
	q.left++
	q.shelve(i)
}

// release settles a job that does not run, and lets go those that wait for it, or skips them where they need it.
func (q *queue) release(i int32, result outcome) (skips []skip) {
	j := &q.jobs[i]
	j.outcome = result
	for _, w := range j.waiters {
		waits := &q.jobs[w.job]
		if waits.outcome != waiting {
			continue
		}
		if w.needs && result != finished {
			skips = append(skips, q.skip(w.job, j.run.ID)...)
			continue
		}
		if waits.unmet--; waits.unmet == 0 {
			q.shelve(w.job)
		}
	}
	return skips
}

// skip settles a job that can't start, and those that need it.
func (q *queue) skip(i int32, missing string) []skip {
	q.left--
	return append([]skip{{q.jobs[i].run, missing}}, q.release(i, skipped)...)
}
