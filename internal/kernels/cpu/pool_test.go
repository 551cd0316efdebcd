package cpu

import (
	"sync/atomic"
	"testing"
	"time"
)

func TestPool(t *testing.T) {
	for _, threads := range []int{2, 3, 8} {
		p := newPool(threads)
		for turn := range 200 {
			if turn%50 == 49 {
				time.Sleep(time.Millisecond) // let the workers park
			}
			ran := make([]atomic.Int32, threads)
			p.run(func(worker int) { ran[worker].Add(1) })
			for w := range ran {
				if got := ran[w].Load(); got != 1 {
					t.Fatalf("%d threads, turn %d: worker %d ran %d times", threads, turn, w, got)
				}
			}
		}
		p.close()
	}
}

func TestPoolParks(t *testing.T) {
	p := newPool(2)
	defer p.close()
	p.run(func(int) {})
	for deadline := time.Now().Add(10 * time.Second); !p.workers[0].asleep.Load(); {
		if time.Now().After(deadline) {
			t.Fatal("an idle worker still spins after 10 s")
		}
		time.Sleep(time.Millisecond)
	}
}

func TestShare(t *testing.T) {
	for n := range 40 {
		for parts := 1; parts <= 9; parts++ {
			end := 0
			for i := range parts {
				lo, hi := share(n, i, parts)
				if lo != end || hi-lo < n/parts || hi-lo > (n+parts-1)/parts {
					t.Fatalf("share(%d, %d, %d) = %d, %d after %d", n, i, parts, lo, hi, end)
				}
				end = hi
			}
			if end != n {
				t.Fatalf("share(%d, _, %d) ends at %d", n, parts, end)
			}
		}
	}
}

func BenchmarkPoolRun(b *testing.B) {
	p := newPool(2)
	defer p.close()
	for b.Loop() {
		p.run(func(int) {})
	}
}
