// Package kernels is the numeric contract of a device: the handful of operations that the networks of ftrun are made
// of, each defined by shapes and an equation, and the memory that they work on.
//
// internal/nn calls a Device and nothing else; the devices live in the folders below: ref is plain Go with float64 sums
// and defines what is right, cpu is fast, cuda is a GPU, and kerneltest is the one conformance suite that all of them run.
//
// # Letters
//
//	N        pictures in the batch
//	H, W, C  rows, columns and channels of an input
//	P, Q, K  rows, columns and channels of an output
//	R, S     rows and columns of a filter
//	G        groups of a convolution
//	M        positions: N·H·W, whatever carries C channels side by side
//
// Activations are NHWC, convolution weights RSCK ("HWIO": R, S, C/G, K), linear weights OI as in torch. All elements
// are float32.
//
// # The same bits
//
// On one instruction path, what a device computes for a picture depends on that picture and the shape of the layer, not
// on N, on the picture's place in the batch or on the number of threads; sums over the batch (gradients of parameters,
// batch statistics) are cut by shape and added in a fixed order, so they do not depend on the number of threads. The
// conformance suite holds every device to it.
package kernels

import "fmt"

// Buffer is a run of float32 in a device's memory. A buffer belongs to the device that allocated it.
type Buffer interface {
	// Len is the number of elements.
	Len() int
	// Slice is the part [lo, hi) of the buffer, sharing its memory.
	Slice(lo, hi int) Buffer
}

// Host is a Buffer in the memory of the process, for the devices that compute there.
type Host []float32

// Len is the number of elements.
func (h Host) Len() int { return len(h) }

// Slice is the part [lo, hi), sharing memory, and cut off from what follows.
func (h Host) Slice(lo, hi int) Buffer { return h[lo:hi:hi] }

// Activation is a pointwise function that an operation can apply to its result.
type Activation uint8

const (
	Identity Activation = iota // y = x
	ReLU                       // y = max(x, 0)
	ReLU6                      // y = min(max(x, 0), 6)
)

func (a Activation) String() string { return [...]string{"identity", "relu", "relu6"}[a] }

// Conv describes a two-dimensional convolution (cross-correlation, as in torch).
//
//	x (N,H,W,C), w (R,S,C/G,K), bias (K) → y (N,P,Q,K)
//	y[n,p,q,k] = bias[k] + Σ_{r,s,c} x[n, p·StrideH+r-PadH, q·StrideW+s-PadW, c] · w[r,s,c,k]
//
// c runs over the channels of k's group; what lies outside x is zero.
type Conv struct {
	N, H, W, C       int
	K, R, S          int
	StrideH, StrideW int
	PadH, PadW       int
	Groups           int // 1 for an ordinary convolution, C for a depthwise one; divides C and K
	Numerics         Numerics
	// StepY is the number of elements from one position of y to the next where the convolution fills some channels of a
	// larger y, which begins at the first of them and ends with the last; 0 stands for K. Forward only: dy is dense.
	StepY int
}

// Numerics says by which algorithms a device may compute a convolution. Which of those it takes, in each direction,
// follows from the shape of the layer alone, never from N. All take float32 and give float32; they differ in how far
// rounding carries a result from that of the equation, as the root mean square of the distance relative to the result's
// own, for normally distributed x and w:
//
//	          measured            held by the conformance suite
//	Exact     1e-7 to 7e-7        3e-6
//	Default   1e-7 to 7e-7        3e-6
//	Fast      8e-7 to 4e-6        1e-5
//
// Where an input is infinite or not a number, Winograd's convolutions spoil the outputs of a whole tile, not only those
// whose filter meets it.
type Numerics uint8

const (
	Exact   Numerics = iota // the sum of products that the equation shows
	Default                 // also Winograd's F(2×2,3×3), and F(3×3,2×2) for the gradient of weights
	Fast                    // also Winograd's F(4×4,3×3), and F(3×3,4×4)
)

func (n Numerics) String() string { return [...]string{"exact", "default", "fast"}[n] }

// ParseNumerics is the inverse of String.
func ParseNumerics(name string) (Numerics, error) {
	for n := Exact; n <= Fast; n++ {
		if n.String() == name {
			return n, nil
		}
	}
	return 0, fmt.Errorf("there are no numerics %q: use exact, default or fast", name)
}

// P is the number of output rows.
func (c Conv) P() int { return (c.H+2*c.PadH-c.R)/c.StrideH + 1 }

// Q is the number of output columns.
func (c Conv) Q() int { return (c.W+2*c.PadW-c.S)/c.StrideW + 1 }

// LenX, LenW and LenY are the numbers of elements of x, w and y, or dy.
func (c Conv) LenX() int { return c.N * c.H * c.W * c.C }
func (c Conv) LenW() int { return c.R * c.S * (c.C / c.Groups) * c.K }
func (c Conv) LenY() int { return ChannelsLen(c.N*c.P()*c.Q(), c.K, c.PositionY()) }

// PositionY is the number of elements from one position of y to the next.
func (c Conv) PositionY() int {
	if c.StepY == 0 {
		return c.K
	}
	return c.StepY
}

// ChannelsLen is the number of elements from the first to the last of n channels at m positions, one at least, that stand
// step elements apart.
func ChannelsLen(m, n, step int) int { return (m-1)*step + n }

func (c Conv) String() string {
	s := fmt.Sprintf("conv n%d %dx%dx%d k%d %dx%d stride %dx%d pad %dx%d groups %d",
		c.N, c.H, c.W, c.C, c.K, c.R, c.S, c.StrideH, c.StrideW, c.PadH, c.PadW, c.Groups)
	if c.StepY != 0 {
		s += fmt.Sprintf(" step %d", c.StepY)
	}
	return s
}

// Pool describes a two-dimensional pooling: x (N,H,W,C) → y (N,P,Q,C). P and Q are given, because frameworks differ in
// how they round (ceil_mode): windows that reach past the picture are cut to it.
type Pool struct {
	N, H, W, C       int
	P, Q             int
	R, S             int
	StrideH, StrideW int
	PadH, PadW       int
}

// LenX and LenY are the numbers of elements of x and y.
func (p Pool) LenX() int { return p.N * p.H * p.W * p.C }
func (p Pool) LenY() int { return p.N * p.P * p.Q * p.C }

// Adaptive describes an adaptive average pooling x (N,H,W,C) → y (N,P,Q,C): output row p averages the input rows from
// floor(p·H/P) up to ceil((p+1)·H/P), columns alike, as torch's AdaptiveAvgPool2d. P = Q = 1 is the global average.
type Adaptive struct{ N, H, W, C, P, Q int }

// Linear describes a fully connected layer: x (N,I), w (O,I), bias (O) → y (N,O), y = x·wᵀ + bias.
type Linear struct{ N, I, O int }

// CrossEntropy describes the mean softmax cross-entropy loss of logits (N,Classes) against labels (N), which hold class
// indices as float32. With smoothing ε the target distribution is (1-ε)·onehot + ε/Classes; with class weights w the
// terms and the divisor are weighted as torch's CrossEntropyLoss(weight, label_smoothing, reduction="mean") does.
type CrossEntropy struct {
	N, Classes int
	Smoothing  float32
}

// DropoutKey addresses the random numbers of one dropout layer in one training step. Element i of the layer's input
// takes word i%4 of the Philox4x32-10 block with key (Key[0], Key[1]) and counter (i/4, Step low, Step high, Stream);
// it is kept where word·2⁻³² ≥ p.
type DropoutKey struct {
	Key    [2]uint32
	Step   uint64
	Stream uint32
}

// SGD holds the settings of one torch.optim.SGD update: g ← g + WeightDecay·w; v ← Momentum·v + g; w ← w − LR·v, or
// w − LR·(g + Momentum·v) with Nesterov. A zeroed v is torch's first step.
type SGD struct {
	LR, Momentum, WeightDecay float32
	Nesterov                  bool
}

// Adam holds the settings of one torch.optim.Adam or AdamW update, at Step (from 1).
//
//	g ← g + WeightDecay·w (Adam)    w ← w − LR·WeightDecay·w (AdamW: Decoupled)
//	m ← β₁·m + (1−β₁)·g             v ← β₂·v + (1−β₂)·g²
//	w ← w − LR/(1−β₁^Step) · m / (sqrt(v)/sqrt(1−β₂^Step) + Eps)
//
// The bias corrections are computed in float64 and rounded once, so that every device gets the same ones.
type Adam struct {
	LR, Beta1, Beta2, Eps, WeightDecay float64
	Decoupled                          bool
	Step                               int
}

// Device computes. Methods take buffers of exactly the lengths that the shapes give, overwrite their results wholly, and
// never keep a reference. An input may be the same buffer as an output only where the method says so. Methods of one
// device are not called concurrently, but several devices are (each run has its own). Errors are faults of the device
// (memory, driver); a wrong length is a programmer's mistake and panics.
type Device interface {
	// Name is how a person addresses the device: "cpu", "cuda:0".
	Name() string
	// Path names the arithmetic behind the results, within which the same run gives the same bits: "avx512", "avx2",
	// "generic", "ref".
	Path() string

	// Alloc returns n zeroed elements.
	Alloc(n int) (Buffer, error)
	// Free gives a buffer back; slices of it must not be used any more.
	Free(Buffer)
	// Upload copies src to dst, Download src to dst, both of equal length.
	Upload(dst Buffer, src []float32) error
	Download(dst []float32, src Buffer) error
	// Close frees what the device holds for itself (threads, scratch).
	Close() error
	// Meter returns a Meter for a device like this one that computes on so many threads. It may be used between this one's
	// calls.
	Meter(threads int) Meter

	// ConvForward computes y = act(conv(x, w) + bias); bias may be nil.
	ConvForward(d Conv, x, w, bias, y Buffer, act Activation) error
	// PackedLen is the number of elements that the weights of d take in the form in which the device reads them. It does not
	// depend on d.N, nor on d.StepY.
	PackedLen(d Conv) int
	// PackWeights brings w into that form, for a layer whose weights stay the same from call to call.
	PackWeights(d Conv, w, packed Buffer) error
	// ConvForwardPacked computes y = act(conv(x, w) + bias + residual) from packed w; bias and residual (N,P,Q,K) may be
	// nil, and y may be residual, beside which d.StepY is 0. Without residual it gives the bits of ConvForward.
	ConvForwardPacked(d Conv, x, packed, bias, residual, y Buffer, act Activation) error
	// ConvBackwardData computes dx (N,H,W,C) from w and dy.
	ConvBackwardData(d Conv, w, dy, dx Buffer) error
	// ConvBackwardWeights computes dw (R,S,C/G,K) from x and dy.
	ConvBackwardWeights(d Conv, x, dy, dw Buffer) error

	// LinearForward computes y = act(x·wᵀ + bias); bias may be nil.
	LinearForward(d Linear, x, w, bias, y Buffer, act Activation) error
	// LinearBackwardData computes dx (N,I) = dy·w.
	LinearBackwardData(d Linear, w, dy, dx Buffer) error
	// LinearBackwardWeights computes dw (O,I) = dyᵀ·x.
	LinearBackwardWeights(d Linear, x, dy, dw Buffer) error

	// SumRows computes y (C) = Σ_m x (M,C): the gradient of a bias.
	SumRows(m, c int, x, y Buffer) error

	// BatchNormStats computes mean (C) and invstd (C) = 1/sqrt(var+eps), var biased, of x (M,C). Where runningMean is not
	// nil it also moves the running statistics: running ← (1−momentum)·running + momentum·(mean | unbiased var).
	BatchNormStats(m, c int, x, mean, invstd, runningMean, runningVar Buffer, momentum, eps float32) error
	// BatchNormInvStd computes invstd (C) = 1/sqrt(variance+eps), for frozen statistics.
	BatchNormInvStd(c int, variance, invstd Buffer, eps float32) error
	// BatchNormApply computes y = act((x−mean)·invstd·gamma + beta + residual), all (M,C) or (C); residual may be nil.
	// y may be x or residual.
	BatchNormApply(m, c int, x, mean, invstd, gamma, beta, residual, y Buffer, act Activation) error
	// BatchNormReduce computes dgamma (C) = Σ_m g·(x−mean)·invstd and dbeta (C) = Σ_m g, where g (M,C) is dy times act's
	// slope, 1 or 0, at the result that BatchNormApply had without a residual. So the gradient of an activation need not be
	// computed by itself, which would read and write dy once more.
	BatchNormReduce(m, c int, dy, x, mean, invstd, gamma, beta, dgamma, dbeta Buffer, act Activation) error
	// BatchNormBackwardData computes dx (M,C). With batch statistics (dgamma and dbeta given)
	// dx = gamma·invstd·(g − dbeta/M − xhat·dgamma/M), with g as in BatchNormReduce. With frozen ones (both nil)
	// dx = gamma·invstd·dy: x, mean and beta are not read and may be nil, so act is Identity. dx may be dy.
	BatchNormBackwardData(m, c int, dy, x, mean, invstd, gamma, beta, dgamma, dbeta, dx Buffer, act Activation) error

	// Activate computes y = act(x). y may be x.
	Activate(act Activation, x, y Buffer) error
	// ActivateBackward computes dx = dy where act's slope at its result y is 1 (0 < y, and y < 6 for ReLU6), else 0.
	// dx may be dy.
	ActivateBackward(act Activation, y, dy, dx Buffer) error
	// ActivateBackwardChannels computes dx (M,n) as ActivateBackward does from channels [off, off+n) of y and dy (M,C).
	ActivateBackwardChannels(act Activation, m, n int, y, dy Buffer, c, off int, dx Buffer) error
	// Add computes y = act(Σ xs), summed in order. y may be xs[0].
	Add(xs []Buffer, y Buffer, act Activation) error
	// Dropout computes y = x/(1−p) where the key keeps the element, else 0; the same call serves the gradient. y may be x.
	Dropout(p float32, key DropoutKey, x, y Buffer) error

	// MaxPoolForward computes the maximum of each window; a NaN wins.
	MaxPoolForward(d Pool, x, y Buffer) error
	// MaxPoolBackward gives each dy to the first element (in rows, then columns) of its window that equals y.
	MaxPoolBackward(d Pool, x, y, dy, dx Buffer) error
	// AvgPoolForward averages each window over R·S positions, padding counted as zeros (count_include_pad, torch's
	// default); P and Q are those of floor mode.
	AvgPoolForward(d Pool, x, y Buffer) error
	AvgPoolBackward(d Pool, dy, dx Buffer) error
	AdaptiveAvgPoolForward(d Adaptive, x, y Buffer) error
	AdaptiveAvgPoolBackward(d Adaptive, dy, dx Buffer) error

	// CopyChannels copies n channels of src (M,srcC) from srcOff to dst (M,dstC) at dstOff, and leaves the rest of dst:
	// one call an input makes a concatenation, one call an input its gradient.
	CopyChannels(m, n int, src Buffer, srcC, srcOff int, dst Buffer, dstC, dstOff int) error
	// ToNCHW turns x (N,H,W,C) into y (N,C,H,W), the order in which torch flattens; FromNCHW turns it back.
	ToNCHW(n, h, w, c int, x, y Buffer) error
	FromNCHW(n, h, w, c int, x, y Buffer) error

	// CrossEntropyForward computes loss (1) and prob (N,Classes) = softmax(logits); weights (Classes) may be nil.
	CrossEntropyForward(d CrossEntropy, logits, labels, weights, loss, prob Buffer) error
	// CrossEntropyBackward computes dlogits (N,Classes) = scale · ∂loss/∂logits.
	CrossEntropyBackward(d CrossEntropy, prob, labels, weights Buffer, scale float32, dlogits Buffer) error

	// SGD updates w and v in place from g. v may be nil where Momentum is 0.
	SGD(o SGD, w, g, v Buffer) error
	// Adam updates w, m and v in place from g.
	Adam(o Adam, w, g, m, v Buffer) error
	// SumSquares returns Σ x², summed in float64.
	SumSquares(x Buffer) (float64, error)
	// Scale computes x ← f·x.
	Scale(f float32, x Buffer) error
}
