package cpu

import "testing"

func TestPeakIsPlausible(t *testing.T) {
	for _, threads := range []int{1, 2} {
		d, err := New(threads)
		if err != nil {
			t.Fatal(err)
		}
		// From an old processor's portable Go up to two 512-bit units at 8 GHz.
		lo, hi := 1e8, float64(threads)*8e9*2*16*2
		if p := d.Peak(); p < lo || p > hi {
			t.Errorf("%s, %d threads: %.3g operations a second", d.Path(), threads, p)
		}
		d.Close()
	}
}

func BenchmarkPeak(b *testing.B) {
	d := benchDevice(b)
	for b.Loop() {
		b.ReportMetric(d.Peak()/1e9, "GFLOP/s")
	}
}
