package cpu

import (
	"runtime"
	"sync/atomic"
	"time"
)

// The pool is the threads of a device. Operations reach it through tasks, the structs of task.go, which allocate nothing.

// spin is how long a thread looks for work before it parks. Waking a parked goroutine costs 25 to 100 µs and a spinning
// one well under 1 µs; a training step has hundreds of parallel regions with a few µs between them.
const spin = 50 * time.Microsecond

// pool runs the shares of a parallel region. Share 0 is the caller's own, and each other one has a worker. A share that
// its worker has not begun when the caller is through with its own, because the worker still wakes or another program
// has its processor, is computed by the caller: who computes a share makes no difference to the result.
type pool struct {
	body    func(share int)
	turn    atomic.Uint32 // counts the calls of run
	_       [cacheLine]byte
	pending atomic.Int32 // shares of workers that are not finished
	_       [cacheLine]byte
	closed  bool
	spin    time.Duration

	caller  sleeper
	workers []worker // share i+1 is that of workers[i]
}

type worker struct {
	sleeper
	taken atomic.Uint32 // the turn whose share was last begun
	_     [cacheLine]byte
}

// take tells whether the share of the given turn was still to be had.
func (w *worker) take(turn uint32) bool { return w.taken.CompareAndSwap(turn-1, turn) }

func newPool(threads int) *pool {
	p := &pool{workers: make([]worker, threads-1), spin: spin}
	if threads > runtime.GOMAXPROCS(0) {
		p.spin = 0 // spinning would keep another worker off its processor
	}
	p.caller.wake = make(chan struct{}, 1)
	for i := range p.workers {
		p.workers[i].wake = make(chan struct{}, 1)
		go p.work(i + 1)
	}
	return p
}

// run calls body for every share and returns when all are done.
func (p *pool) run(body func(share int)) {
	turn := p.start(body)
	body(0)
	for i := range p.workers {
		if p.workers[i].take(turn) {
			body(i + 1)
			p.pending.Add(-1)
		}
	}
	p.join()
	p.body = nil
}

// close ends the workers.
func (p *pool) close() {
	p.closed = true
	p.start(nil)
	p.join()
}

// start makes the shares of a new turn known.
func (p *pool) start(body func(share int)) (turn uint32) {
	p.body = body
	p.pending.Store(int32(len(p.workers)))
	turn = p.turn.Add(1)
	for i := range p.workers {
		p.workers[i].rouse()
	}
	return turn
}

// join waits for the shares that workers have begun.
func (p *pool) join() {
	p.caller.wait(p.spin, func() bool { return p.pending.Load() == 0 })
}

func (p *pool) work(share int) {
	self := &p.workers[share-1]
	turn := uint32(0)
	for {
		self.wait(p.spin, func() bool { return p.turn.Load() != turn })
		turn = p.turn.Load()
		if !self.take(turn) {
			continue
		}
		// The turn cannot end before this share has, so what run and close have set stays.
		closed := p.closed
		if !closed {
			p.body(share)
		}
		if p.pending.Add(-1) == 0 {
			p.caller.rouse()
		}
		if closed {
			return
		}
	}
}

// sleeper lets one goroutine wait without spinning. asleep is set by the one that waits and cleared by the one that
// wakes it; whoever clears it owes, or takes back, the token in wake.
type sleeper struct {
	asleep atomic.Bool
	wake   chan struct{}
	_      [cacheLine]byte
}

// wait returns once ready does: it spins for a while, then sleeps until roused.
func (s *sleeper) wait(spin time.Duration, ready func() bool) {
	if ready() {
		return
	}
	for start := time.Now(); time.Since(start) < spin; {
		for range 32 {
			if ready() {
				return
			}
		}
	}
	for !ready() {
		s.asleep.Store(true)
		// What made ready true may have come before asleep was set, and then nobody will rouse us.
		if ready() && s.asleep.CompareAndSwap(true, false) {
			return
		}
		<-s.wake
	}
}

// rouse wakes the goroutine if it sleeps. It is called after what it waits for has become true.
func (s *sleeper) rouse() {
	if s.asleep.CompareAndSwap(true, false) {
		s.wake <- struct{}{}
	}
}
