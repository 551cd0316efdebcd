package kernels

import "fmt"

// Precision says in what numbers convolutions and matrix products multiply. Everything else is float32 in all of them:
// what is kept from step to step, the sums inside a product, statistics, losses and updates.
type Precision uint8

const (
	FP32 Precision = iota // float32
	TF32                  // 8 bits of exponent and 10 of fraction, rounded as the operands are read
	BF16                  // 8 bits of exponent and 7 of fraction, to which a convolution's results are rounded, too
)

func (p Precision) String() string { return [...]string{"fp32", "tf32", "bf16"}[p] }

// ParsePrecision is the inverse of String.
func ParsePrecision(name string) (Precision, error) {
	for p := FP32; p <= BF16; p++ {
		if p.String() == name {
			return p, nil
		}
	}
	return 0, fmt.Errorf("there is no precision %q: use fp32, tf32 or bf16", name)
}

// Tuning says how a device that has a choice is to compute convolutions and matrix products. The zero value is float32 by
// algorithms that the shapes decide and that give the same bits at each call: what a device does that is not told.
type Tuning struct {
	Precision Precision
	// Nondeterministic allows algorithms that may give other bits each time.
	Nondeterministic bool
	// Timings has the device measure which of the algorithms that are allowed is the fastest, where nobody knows yet.
	Timings Timings
}

// Timings keeps which algorithm was the fastest at what. They are of use to every run, and to those of other processes; where
// something is lost it is measured again.
type Timings interface {
	// Fastest tells what was the fastest on a device with that arithmetic.
	Fastest(on, what string) (algorithm int, known bool)
	Keep(on, what string, algorithm int)
}

// Algorithms are those that a device has chosen by measuring, by what they compute. Two devices of the same path that take the
// same ones give the same bits.
type Algorithms map[string]int

// Tunable is a Device, or a Meter of one, with more than one way to compute. Others compute in float32 by algorithms that
// give the same bits each time.
type Tunable interface {
	// Tune is called before anything is allocated. An error says why the device can't compute in that precision.
	Tune(Tuning) error
}

// Chooser is a Tunable Device whose choices are to be kept with what they were made for.
type Chooser interface {
	// Algorithms are the choices so far.
	Algorithms() Algorithms
	// Adopt has the device take these from now on, and choose only what is not among them. It forgets those that it has made.
	Adopt(Algorithms)
}

// Tune tells a device, or a meter, how to compute. The error says how to mend a precision that it has not.
func Tune(d Device, how Tuning) error {
	if t, ok := d.(Tunable); ok {
		return t.Tune(how)
	}
	if how.Precision != FP32 {
		return fmt.Errorf("precision = %q is for a GPU, and %s computes in fp32: choose a GPU (-device cuda:0), or set precision to \"fp32\"",
			how.Precision, d.Name())
	}
	return nil
}

// BatchBound is a Device, or a Meter of one, whose results for a picture may depend on how many pictures it is computed
// with. What is computed to be kept and shared is computed by FixedBatch pictures, the last of them padded.
type BatchBound interface {
	FixedBatch() int
}
