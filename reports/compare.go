package reports

import "errors"

// Compare judges each configuration of the newer side by a criterion. Configurations are paired by sweep and labels, runs
// by seed, pictures by path and content hash. base is nil where the criterion needs no baseline. An error says that the two
// can't be compared at all: another sweep, a metric that one side lacks, predictions that are not told.
func Compare(base, other *Results, by Criterion) (*Comparison, error) {
	return nil, errors.New("not yet")
}
