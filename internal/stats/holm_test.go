package stats

import "testing"

// The figures are those of statsmodels 0.15.0: multipletests(p, method="holm").
func TestHolm(t *testing.T) {
	for _, c := range []struct {
		name    string
		p, want []float64
	}{
		{"four", []float64{0.01, 0.04, 0.03, 0.005}, []float64{0.03, 0.06, 0.06, 0.02}},
		{"six, not in order", []float64{0.2, 0.01, 0.9, 0.011, 0.05, 0.012}, []float64{0.4, 0.06, 0.9, 0.06, 0.15, 0.06}},
		{"one", []float64{0.03}, []float64{0.03}},
		{"none", nil, nil},
		{"at most 1", []float64{0.8, 0.7}, []float64{1, 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := Holm(c.p)
			if len(got) != len(c.want) {
				t.Fatalf("got %v", got)
			}
			for i := range got {
				near(t, "adjusted", got[i], c.want[i], 1e-15)
			}
		})
	}
}
