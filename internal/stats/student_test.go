package stats

import "testing"

// The figures are those of scipy 1.17.1: scipy.stats.t.interval(level, n − 1, mean, sem). Fisher gives t = 2.148 for
// these plants.
func TestStudentInterval(t *testing.T) {
	got, err := StudentInterval(darwin, 0.95)
	if err != nil {
		t.Fatal(err)
	}
	near(t, "low", got.Low, 0.031193318392979563, 1e-9)
	near(t, "high", got.High, 41.83547334827369, 1e-9)
	if _, err := StudentInterval(darwin[:1], 0.95); err == nil {
		t.Error("one value: no error")
	}
}
