package executor

import (
	"fmt"
	"strings"

	"github.com/ftrun/ftrun/planner"
)

// Sort names what decides how fast a training goes, but for the machine: runs of one sort differ in what they learn, not in
// what they compute.
type Sort string

// Pace is how fast trainings of a sort went, in seconds a picture.
type Pace struct {
	Train float64 `json:"train"`
	Val   float64 `json:"val"`
}

// SortOf is the sort of a training for whose decoded pictures there are so many bytes.
func SortOf(s *planner.Settings, d *planner.Dataset, sharing *planner.Sharing, cacheBytes int64) Sort {
	shared := ""
	if sharing.Train != nil {
		shared += " train@" + sharing.Train.Layer
	}
	if sharing.Val != nil {
		shared += " val@" + sharing.Val.Layer
	}
	augmented := ""
	if s.Augment != nil {
		augmented = fmt.Sprintf(" augment %d", len(s.Augment.Ops))
	}
	decoded := ""
	if decodedBytes(s, d, sharing) > float64(cacheBytes) {
		decoded = " decoded each epoch"
	}
	precision := ""
	if s.Precision != "fp32" {
		precision = " " + s.Precision
	}
	return Sort(fmt.Sprintf("%s %s bn %s, crop %d, batch %d, %s%s, %s%s%s%s", s.Arch, strings.Join(s.Trainable, " "), s.BatchNorm,
		s.Image.Crop, s.BatchSize, s.Numerics, precision, s.Optimizer.Kind, augmented, shared, decoded))
}
