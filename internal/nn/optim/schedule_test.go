package optim_test

import (
	"math"
	"testing"

	"github.com/ftrun/ftrun/internal/nn/optim"
)

func TestSchedules(t *testing.T) {
	type at struct {
		step int
		want float64
	}
	const perEpoch = 10
	epoch := func(e int) int { return e * perEpoch }
	tests := []struct {
		name string
		s    optim.Schedule
		base float64
		at   []at
	}{
		{"constant", optim.Schedule{Kind: optim.ConstantLR, Epochs: 5}, 0.1, []at{{0, 0.1}, {49, 0.1}}},
		{"constant after warmup", optim.Schedule{Kind: optim.ConstantLR, Epochs: 5, Warmup: 2}, 0.1,
			[]at{{0, 0.005}, {9, 0.05}, {19, 0.1}, {20, 0.1}, {49, 0.1}}},
		{"step", optim.Schedule{Kind: optim.StepLR, Epochs: 30, StepSize: 7, Gamma: 0.1}, 0.5,
			[]at{{0, 0.5}, {epoch(7) - 1, 0.5}, {epoch(7), 0.05}, {epoch(14), 0.005}, {epoch(27), 0.0005}}},
		{"step after warmup", optim.Schedule{Kind: optim.StepLR, Epochs: 30, StepSize: 7, Gamma: 0.1, Warmup: 3}, 0.5,
			[]at{{epoch(3), 0.5}, {epoch(10) - 1, 0.5}, {epoch(10), 0.05}}},
		{"multistep", optim.Schedule{Kind: optim.MultiStepLR, Epochs: 100, Milestones: []int{30, 80}, Gamma: 0.5}, 1,
			[]at{{0, 1}, {epoch(30) - 1, 1}, {epoch(30), 0.5}, {epoch(79), 0.5}, {epoch(80), 0.25}}},
		// cos(π/4) = 0.70710678…, cos(π/2) = 0
		{"cosine", optim.Schedule{Kind: optim.CosineLR, Epochs: 8, MinLR: 0.2}, 1,
			[]at{{0, 1}, {perEpoch - 1, 1}, {epoch(2), 0.2 + 0.4*(1+math.Sqrt2/2)}, {epoch(4), 0.6}, {epoch(6), 0.2 + 0.4*(1-math.Sqrt2/2)}}},
		{"cosine after warmup", optim.Schedule{Kind: optim.CosineLR, Epochs: 9, Warmup: 1}, 1, []at{{epoch(1), 1}, {epoch(5), 0.5}}},
		// 100 steps, of which the first 30 rise: the highest at step 29, the lowest at step 99.
		{"onecycle", optim.Schedule{Kind: optim.OneCycleLR, Epochs: 10, PctStart: 0.3, MaxLR: 1}, 0.1,
			[]at{{0, 0.04}, {29, 1}, {64, (1 + 4e-6) / 2}, {99, 4e-6}}},
		{"onecycle to the group's own rate", optim.Schedule{Kind: optim.OneCycleLR, Epochs: 10, PctStart: 0.3}, 0.5, []at{{0, 0.02}, {29, 0.5}}},
		{"onecycle without a rise", optim.Schedule{Kind: optim.OneCycleLR, Epochs: 10, PctStart: 0.01}, 0.5, []at{{0, 0.5}, {99, 2e-6}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.s.StepsPerEpoch = perEpoch
			for _, a := range test.at {
				if got := test.s.LR(test.base, a.step, 0); math.Abs(got-a.want) > 1e-12 {
					t.Errorf("step %d: %g, want %g", a.step, got, a.want)
				}
			}
		})
	}
}

func TestPlateau(t *testing.T) {
	tests := []struct {
		name    string
		p       optim.Plateau
		s       optim.Schedule
		metrics []float64
		want    []float64 // the rate after each, of a base of 1
	}{
		{"loss", optim.Plateau{Patience: 1}, optim.Schedule{Factor: 0.1},
			[]float64{3, 2, 2, 2, 2, 2, 1, 1, 1}, []float64{1, 1, 1, 0.1, 0.1, 0.01, 0.01, 0.01, 0.001}},
		{"accuracy", optim.Plateau{Patience: 0, Higher: true}, optim.Schedule{Factor: 0.5},
			[]float64{0.5, 0.6, 0.6, 0.7, 0.65}, []float64{1, 1, 0.5, 0.5, 0.25}},
		{"too small an improvement", optim.Plateau{Patience: 0}, optim.Schedule{Factor: 0.5},
			[]float64{1, 0.99995, 0.9998}, []float64{1, 0.5, 0.5}},
		{"lowest rate", optim.Plateau{Patience: 0}, optim.Schedule{Factor: 0.1, MinLR: 0.05},
			[]float64{1, 1, 1, 1}, []float64{1, 0.1, 0.05, 0.05}},
		{"not a number", optim.Plateau{Patience: 0}, optim.Schedule{Factor: 0.5},
			[]float64{math.NaN(), 5, 4}, []float64{0.5, 0.5, 0.5}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.s.Kind, test.s.Epochs, test.s.StepsPerEpoch = optim.PlateauLR, 10, 1
			for i, m := range test.metrics {
				test.p.Observe(m)
				if got := test.s.LR(1, i, test.p.Reductions); math.Abs(got-test.want[i]) > 1e-15 {
					t.Errorf("after %d: %g, want %g", i, got, test.want[i])
				}
			}
		})
	}
}
