package executor

import (
	"math"

	"github.com/ftrun/ftrun/internal/runlog"
)

// tally counts a network's answers against the truth.
type tally struct {
	classes   int
	seen      int
	correct   int
	top5      int
	loss      float64 // sum over pictures
	confusion []int   // classes×classes, row: true class
}

func newTally(classes int) *tally {
	return &tally{classes: classes, confusion: make([]int, classes*classes)}
}

// add counts one picture's logits and returns its probabilities.
func (t *tally) add(logits []float32, class int) []float32 {
	probs, nll := softmax(logits, class)
	rank, predicted := 0, 0
	for i, v := range logits {
		if v > logits[class] || v == logits[class] && i < class {
			rank++
		}
		if v > logits[predicted] {
			predicted = i
		}
	}
	t.seen++
	t.loss += nll
	if predicted == class {
		t.correct++
	}
	if rank < 5 {
		t.top5++
	}
	t.confusion[class*t.classes+predicted]++
	return probs
}

// into writes the counts to an epoch's validation figures.
func (t *tally) into(e *runlog.Epoch) {
	n := float64(t.seen)
	e.ValLoss, e.ValAcc = t.loss/n, float64(t.correct)/n
	if t.classes > 5 {
		e.ValTop5 = float64(t.top5) / n
	}
	e.PerClass = make([]float64, t.classes)
	for i := range t.classes {
		row, sum := t.confusion[i*t.classes:(i+1)*t.classes], 0
		for _, v := range row {
			sum += v
		}
		if sum > 0 {
			e.PerClass[i] = float64(row[i]) / float64(sum)
		}
		if t.classes <= runlog.MaxConfusion {
			e.Confusion = append(e.Confusion, row)
		}
	}
}

// softmax gives the probabilities of logits and the negative logarithm of class's, computed in float64.
func softmax(logits []float32, class int) (probs []float32, nll float64) {
	top := logits[0]
	for _, v := range logits {
		top = max(top, v)
	}
	sum := 0.0
	for _, v := range logits {
		sum += math.Exp(float64(v) - float64(top))
	}
	probs = make([]float32, len(logits))
	for i, v := range logits {
		probs[i] = float32(math.Exp(float64(v)-float64(top)) / sum)
	}
	return probs, math.Log(sum) - (float64(logits[class]) - float64(top))
}
