package stats

import (
	"errors"
	"fmt"
	"math"

	"gonum.org/v1/gonum/stat"
)

// Discordance is what one picture tells of two sides over several seeds: with how many of them the first side alone was
// right, and with how many the second.
type Discordance struct {
	First, Second int
}

// Pictures compares the shares of pictures that two sides have right, with the pictures as the sample: d is the mean of
// (First − Second)/seeds, and the answer holds for these very models on pictures like these. Every picture is in d,
// those on which nothing differs too. Where the seeds of the two sides don't meet they may be paired in any order: d
// does not depend on it.
//
// The seeds' answers to one picture depend on each other, so the picture is the unit. At the margin 0 the p values are
// those of flipping the signs of the pictures' differences, counted exactly with ties by half (mid-p); with one seed
// that is the mid-p McNemar test. At other margins the sign of a difference can't be flipped, since most are 0 and none
// the margin: it is Tango's score test on counts that are divided by the design effect, by how much the variance of d
// exceeds that of independent answers (J. N. K. Rao and A. J. Scott, "A simple method for the analysis of clustered
// binary data", Biometrics 48 (1992), 577–585). With one seed that is Tango's test. Where the two differ at 0, p values
// and interval follow the first.
func Pictures(d []Discordance, seeds int) (Test, error) {
	if len(d) == 0 {
		return nil, errors.New("a comparison by pictures needs at least one picture, and there is none")
	}
	if seeds < 1 {
		return nil, fmt.Errorf("a comparison by pictures needs at least one seed, and there are %d", seeds)
	}
	for i, p := range d {
		if p.First < 0 || p.Second < 0 || p.First+p.Second > seeds {
			return nil, fmt.Errorf("picture %d: of %d seeds, %d and %d can't be those with which one side alone is right", i+1, seeds, p.First, p.Second)
		}
	}
	p := &pictures{}
	p.greater, p.less, p.least = flipCounts(d, seeds)
	effect := designEffect(d, seeds)
	for _, one := range d {
		p.score.b += float64(one.First) / effect
		p.score.c += float64(one.Second) / effect
	}
	p.score.n = float64(len(d)) * float64(seeds) / effect
	return p, nil
}

type pictures struct {
	greater, less float64 // mid-p at the margin 0
	least         float64
	score         tango
}

func (p *pictures) Diff() float64 { return p.score.Diff() }

func (p *pictures) At(margin float64) Result {
	if margin == 0 {
		return Result{Diff: p.Diff(), Greater: p.greater, Less: p.less, Least: p.least}
	}
	// d ≤ 0 implies d ≤ margin above 0, which can't be the less likely of the two; the same below.
	r := p.score.At(margin)
	if margin > 0 {
		r.Greater, r.Less = max(r.Greater, p.greater), min(r.Less, p.less)
	} else {
		r.Greater, r.Less = min(r.Greater, p.greater), max(r.Less, p.less)
	}
	return r
}

func (p *pictures) Interval(level float64) Interval {
	alpha, i := tail(level), p.score.Interval(level)
	if p.greater <= alpha {
		i.Low = max(i.Low, rounding) // 0 itself is rejected
	} else {
		i.Low = min(i.Low, 0)
	}
	if p.less <= alpha {
		i.High = min(i.High, -rounding)
	} else {
		i.High = max(i.High, 0)
	}
	return i
}

// designEffect is the variance of the mean over that of as many independent answers. It lies between 1, as of
// independent answers, and seeds, as where all seeds say the same; that is assumed where nothing differs.
func designEffect(d []Discordance, seeds int) float64 {
	differences := make([]float64, len(d))
	discordant := 0.0
	for i, p := range d {
		differences[i] = float64(p.First-p.Second) / float64(seeds)
		discordant += float64(p.First + p.Second)
	}
	mean, clustered := stat.PopMeanVariance(differences, nil)
	independent := (discordant/float64(len(d)*seeds) - mean*mean) / float64(seeds)
	if independent <= 0 {
		return float64(seeds)
	}
	return min(max(clustered/independent, 1), float64(seeds))
}

// flipCounts gives the mid-p values of flipping the signs of the pictures' differences, and the least that is possible.
// The differences are whole numbers k, and with n_k of absolute value k the sum of those that stay positive is the sum
// over k of k times a binomial of n_k trials at 1/2: its distribution is the convolution of these.
func flipCounts(d []Discordance, seeds int) (greater, less, least float64) {
	bySize := make([]int, seeds+1)
	positive, flips := 0, 0
	for _, p := range d {
		k := p.First - p.Second
		if k > 0 {
			positive += k
		}
		if k != 0 {
			flips++
			bySize[max(k, -k)]++
		}
	}
	if flips == 0 {
		return 1, 1, 1
	}
	mass := []float64{1} // mass[s]: probability that the positive ones sum up to s
	for k, n := range bySize {
		if k > 0 && n > 0 {
			mass = addBinomial(mass, k, n)
		}
	}
	below, above := 0.0, 0.0
	for s, m := range mass {
		switch {
		case s < positive:
			below += m
		case s > positive:
			above += m
		}
	}
	tie := mass[positive] / 2
	return min(1, above+tie), min(1, below+tie), math.Ldexp(0.5, -flips)
}

// negligible is the probability of a binomial's value below which it is left out: far below any p value that matters.
const negligible = 1e-20

// addBinomial convolves a distribution on 0, 1, … with that of k times a binomial of n trials at 1/2.
func addBinomial(mass []float64, k, n int) []float64 {
	sum := make([]float64, len(mass)+k*n)
	for x := range n + 1 {
		p := binomial(x, n, 0.5)
		if p < negligible {
			continue
		}
		for s, m := range mass {
			sum[s+k*x] += p * m
		}
	}
	return sum
}
