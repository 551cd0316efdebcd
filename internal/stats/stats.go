// Package stats holds the statistics that comparisons rest on: tests of a difference against a margin, their intervals,
// what they could find (power), and summaries of samples. It knows nothing of runs or pictures: callers bring numbers.
//
// The difference d is what the first side has more than the second. A Test is made from the data once and can then be
// asked about any margin. docs/decisions/0020-which-tests.md says which test answers which question.
package stats

import "gonum.org/v1/gonum/stat"

// Summary is a sample's size, mean and standard deviation.
type Summary struct {
	N    int
	Mean float64
	Std  float64 // of the sample, divided by N−1; 0 for one value
}

// Summarize describes a sample. An empty one has a mean of 0.
func Summarize(x []float64) Summary {
	switch len(x) {
	case 0:
		return Summary{}
	case 1:
		return Summary{N: 1, Mean: x[0]}
	}
	mean, std := stat.MeanStdDev(x, nil)
	return Summary{N: len(x), Mean: mean, Std: std}
}
