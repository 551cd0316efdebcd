package cpu

import (
	"runtime"
	"time"
)

// peakVectors are the vectors that the assembly's peak sums up in a round, genericPeakSums the numbers that the portable
// one does.
const (
	peakVectors     = 12
	genericPeakSums = 8
)

// Peak measures how many floating-point operations a second all threads together reach on arithmetic that waits for
// nothing, a multiply-add being two of them: what a kernel's speed can be held against. It takes the best of some bursts
// of a millisecond, since another program can only make one slower.
func (d *Device) Peak() float64 {
	const bursts = 30
	burst := func(calls int) time.Duration {
		start := time.Now()
		parallel(d, peakCalls{calls})
		return time.Since(start)
	}
	calls := 1
	for burst(calls) < time.Millisecond {
		calls *= 2
	}
	best := burst(calls)
	for range bursts {
		best = min(best, burst(calls))
	}
	return float64(d.threads*calls*peakRounds*d.micro.peakFlops) / best.Seconds()
}

// peakRounds are the rounds of a call: some microseconds, for assembly cannot be preempted.
const peakRounds = 1000

type peakCalls struct{ calls int }

func (t *peakCalls) run(d *Device, _ int) {
	for range t.calls {
		d.micro.peak(peakRounds)
	}
}

// genericPeak is peakFunc in portable Go.
func genericPeak(n int) {
	var s0, s1, s2, s3, s4, s5, s6, s7 float32
	x := float32(n)
	for range n {
		s0 += float32(x * 0.5)
		s1 += float32(x * 0.25)
		s2 += float32(x * 0.125)
		s3 += float32(x * 0.75)
		s4 += float32(x * 0.375)
		s5 += float32(x * 0.875)
		s6 += float32(x * 1.5)
		s7 += float32(x * 1.25)
		x = -x // or the products could be taken out of the loop
	}
	runtime.KeepAlive(s0 + s1 + s2 + s3 + s4 + s5 + s6 + s7) // or the sums could be left out
}
