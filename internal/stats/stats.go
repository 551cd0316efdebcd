// Package stats holds the statistics that comparisons rest on.
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
