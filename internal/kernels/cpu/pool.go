package cpu

import (
	"runtime"
	"sync/atomic"
	"time"
)

// spin is how long a thread looks for work before it parks. Waking a parked goroutine costs 25 to 100 µs and a spinning
// one well under 1 µs; a training step has hundreds of parallel regions with a few µs between them.
const spin = 50 * time.Microsecond

// pool is the threads of a device beside the caller's own. Each gets the same body and its own number.
type pool struct {
	body    func(worker int)
	turn    atomic.Uint32 // counts the calls of run
	_       [cacheLine]byte
	pending atomic.Int32 // workers that have not finished this turn
	_       [cacheLine]byte
	closed  bool
	spin    time.Duration

	caller  sleeper
	workers []sleeper // worker i+1 waits on workers[i]
}

// sleeper lets one goroutine wait without spinning. asleep is set by the one that waits and cleared by the one that
// wakes it; whoever clears it owes, or takes back, the token in wake.
type sleeper struct {
	asleep atomic.Bool
	wake   chan struct{}
	_      [cacheLine]byte
}

func newPool(threads int) *pool {
	p := &pool{workers: make([]sleeper, threads-1), spin: spin}
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

// run calls body on every thread of the pool and on the caller's, and waits for all.
func (p *pool) run(body func(worker int)) {
	p.start(body)
	body(0)
	p.caller.wait(p.spin, func() bool { return p.pending.Load() == 0 })
	p.body = nil
}

// close ends the threads.
func (p *pool) close() {
	p.closed = true
	p.start(nil)
	p.caller.wait(p.spin, func() bool { return p.pending.Load() == 0 })
}

func (p *pool) start(body func(worker int)) {
	p.body = body
	p.pending.Store(int32(len(p.workers)))
	p.turn.Add(1)
	for i := range p.workers {
		p.workers[i].rouse()
	}
}

func (p *pool) work(worker int) {
	self := &p.workers[worker-1]
	for done := uint32(0); ; done++ {
		self.wait(p.spin, func() bool { return p.turn.Load() != done })
		closed := p.closed
		if !closed {
			p.body(worker)
		}
		if p.pending.Add(-1) == 0 {
			p.caller.rouse()
		}
		if closed {
			return
		}
	}
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
