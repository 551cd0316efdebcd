package speed

import (
	"context"
	"fmt"
	"time"

	"github.com/ftrun/ftrun/internal/kernels"
)

// Elements of the working sets that Calibrate times: one that stays in the caches and one that does not.
const (
	small = 1 << 18
	large = 8 << 20
)

// Calibrate times some operations of each kind on a device and so learns its speeds. It goes through them again and again,
// for as long as patience lasts, but through all of them once, and takes each one's least time: what other programs disturb
// now they leave alone another time. It works on 130 MB of memory, which are given back.
func Calibrate(ctx context.Context, dev kernels.Device, patience time.Duration) (Profile, error) {
	start := time.Now()
	memory, err := dev.Alloc(4*large + 1<<12)
	if err != nil {
		return Profile{}, fmt.Errorf("memory to measure the machine's speed on: %w", err)
	}
	defer dev.Free(memory)
	if err := dev.Scale(1, memory); err != nil { // the system gives memory when it is first touched
		return Profile{}, err
	}
	s := stage{dev: dev, memory: memory}
	least := map[Op]float64{}
	ops := samples()
	const rounds = 12
	for round := range rounds {
		for _, o := range ops {
			if err := ctx.Err(); err != nil {
				return Profile{}, err
			}
			if round > 0 && time.Since(start) > patience {
				return newProfile(least), nil
			}
			took, err := s.time(o)
			if err != nil {
				return Profile{}, err
			}
			if round == 0 || took < least[o] {
				least[o] = took
			}
		}
	}
	return newProfile(least), nil
}

// call is an operation that does next to nothing.
var call = Op{Kind: Activate, Rows: 16, Columns: 1}

// samples are the operations that Calibrate times.
func samples() []Op {
	ops := []Op{call}
	for kind := range Kind(kinds) {
		for class := range class(classes) {
			if o, there := anchor(kind, class); there {
				ops = append(ops, o)
			}
		}
		if o, there := stretch(kind, small); there {
			ops = append(ops, o)
			o, _ = stretch(kind, large)
			ops = append(ops, o)
		}
	}
	return ops
}

// stretch is an operation of a kind that goes by the element, on so many of them.
func stretch(kind Kind, elements int) (o Op, there bool) {
	const columns = 64
	o = Op{Kind: kind, Rows: elements / columns, Columns: columns}
	switch kind {
	case PackWeights:
		o = Op{Kind: kind, Conv: kernels.Conv{N: 1, H: 14, W: 14, C: 256, K: elements / 256 / 9, R: 3, S: 3, StrideH: 1, StrideW: 1, PadH: 1, PadW: 1, Groups: 1, Numerics: kernels.Default}}
		o.Conv.K = min(o.Conv.K, 512)
	case Add:
		o.Terms = 2
	case BatchNormApply:
		o.Terms = 1
	}
	return o, int(kind) >= macs && kind != Few
}

// newProfile works the speeds out from the least times of the samples.
func newProfile(least map[Op]float64) Profile {
	var p Profile
	p.Call = least[call]
	for kind := Kind(macs); int(kind) < kinds; kind++ {
		for i, elements := range []int{small, large} {
			if o, there := stretch(kind, elements); there {
				p.Elements[int(kind)-macs][i] = max(least[o]-p.Call, 0) / float64(o.elements())
			}
		}
	}
	// Adding moves three numbers for two of its elements.
	add := p.Elements[int(Add)-macs]
	p.Warm, p.Cold = add[0], max(add[0], add[1])
	for kind := range Kind(macs) {
		for class := range class(classes) {
			o, there := anchor(kind, class)
			if !there {
				continue
			}
			took := least[o] - p.Call
			p.Macs[kind][class] = max(took-p.traffic(o), took/10) / float64(o.multiplyAdds())
		}
	}
	return p
}

// anchor is the operation that stands for a kind and class: a layer of middling size. There is none where no network has
// such a layer.
func anchor(kind Kind, of class) (o Op, there bool) {
	const batch = 4
	conv := kernels.Conv{N: batch, H: 28, W: 28, C: 64, K: 64, R: 3, S: 3, StrideH: 1, StrideW: 1, PadH: 1, PadW: 1, Groups: 1, Numerics: kernels.Default}
	switch of {
	case pointwise:
		conv.C, conv.K, conv.R, conv.S, conv.PadH, conv.PadW = 256, 128, 1, 1, 0, 0
	case direct:
		conv.K, conv.StrideH, conv.StrideW = 128, 2, 2
	case pixels:
		conv.H, conv.W, conv.C, conv.R, conv.S, conv.StrideH, conv.StrideW, conv.PadH, conv.PadW = 112, 112, 3, 7, 7, 2, 2, 3, 3
	case winograd2:
	case winograd4:
		conv.Numerics = kernels.Fast
	case depthwise:
		conv.C, conv.K, conv.Groups = 192, 192, 192
	}
	switch {
	case int(kind) >= macs:
		return Op{}, false
	case int(kind) < convs:
		return Op{Kind: kind, Conv: conv}, of != pixels || kind != ConvBackwardData
	case of == 0:
		return Op{Kind: kind, Linear: kernels.Linear{N: 64, I: 1024, O: 1024}}, true
	}
	return Op{}, false
}

// time is the least time, in seconds, that an operation takes of a few in a row: the first finds nothing in the caches, and
// the device may get itself memory in it.
func (s *stage) time(o Op) (float64, error) {
	const (
		most   = 4
		enough = 2 * time.Millisecond
	)
	var least, spent time.Duration
	for i := 0; i < most && (i < 2 || spent < enough); i++ {
		start := time.Now()
		if err := s.run(o); err != nil {
			return 0, err
		}
		took := time.Since(start)
		spent += took
		if i == 0 || took < least {
			least = took
		}
	}
	return least.Seconds(), nil
}

// stage has the memory on which operations are carried out to be timed.
type stage struct {
	dev    kernels.Device
	memory kernels.Buffer
	used   int
}

// take gives the next n elements.
func (s *stage) take(n int) kernels.Buffer {
	const line = 64
	lo := s.used
	s.used += (n + line - 1) / line * line
	return s.memory.Slice(lo, lo+n)
}

// run carries an operation out, on whatever numbers there are.
func (s *stage) run(o Op) error {
	s.used = 0
	d, take := s.dev, s.take
	switch v := o.Conv; o.Kind {
	case ConvForward:
		return d.ConvForward(v, take(v.LenX()), take(v.LenW()), nil, take(v.LenY()), kernels.ReLU)
	case ConvForwardPacked:
		return d.ConvForwardPacked(v, take(v.LenX()), take(d.PackedLen(v)), take(v.K), nil, take(v.LenY()), kernels.ReLU)
	case ConvBackwardData:
		return d.ConvBackwardData(v, take(v.LenW()), take(v.LenY()), take(v.LenX()))
	case ConvBackwardWeights:
		return d.ConvBackwardWeights(v, take(v.LenX()), take(v.LenY()), take(v.LenW()))
	case PackWeights:
		return d.PackWeights(v, take(v.LenW()), take(d.PackedLen(v)))
	}
	switch v := o.Linear; o.Kind {
	case LinearForward:
		return d.LinearForward(v, take(v.N*v.I), take(v.I*v.O), take(v.O), take(v.N*v.O), kernels.ReLU)
	case LinearBackwardData:
		return d.LinearBackwardData(v, take(v.I*v.O), take(v.N*v.O), take(v.N*v.I))
	case LinearBackwardWeights:
		return d.LinearBackwardWeights(v, take(v.N*v.I), take(v.N*v.O), take(v.I*v.O))
	}
	switch halved, same, all := o.pools(); o.Kind {
	case MaxPoolForward:
		return d.MaxPoolForward(halved, take(halved.LenX()), take(halved.LenY()))
	case MaxPoolBackward:
		dy := take(halved.LenY())
		return d.MaxPoolBackward(halved, take(halved.LenX()), take(halved.LenY()), dy, take(halved.LenX()))
	case AvgPoolForward:
		return d.AvgPoolForward(same, take(same.LenX()), take(same.LenY()))
	case AvgPoolBackward:
		return d.AvgPoolBackward(same, take(same.LenY()), take(same.LenX()))
	case GlobalPoolForward:
		return d.AdaptiveAvgPoolForward(all, take(all.N*all.H*all.W*all.C), take(all.N*all.C))
	case GlobalPoolBackward:
		return d.AdaptiveAvgPoolBackward(all, take(all.N*all.C), take(all.N*all.H*all.W*all.C))
	}
	m, c := o.Rows, o.Columns
	n := m * c
	switch x := take(n); o.Kind {
	case SumRows:
		return d.SumRows(m, c, x, take(c))
	case BatchNormStats:
		return d.BatchNormStats(m, c, x, take(c), take(c), take(c), take(c), 0.1, 1e-5)
	case BatchNormApply:
		return d.BatchNormApply(m, c, x, take(c), take(c), take(c), take(c), nil, take(n), kernels.ReLU)
	case BatchNormReduce:
		return d.BatchNormReduce(m, c, x, take(n), take(c), take(c), take(c), take(c), take(c), take(c), kernels.ReLU)
	case BatchNormBackward:
		return d.BatchNormBackwardData(m, c, x, take(n), take(c), take(c), take(c), take(c), take(c), take(c), x, kernels.ReLU)
	case Activate:
		return d.Activate(kernels.ReLU, x, x)
	case ActivateBackward:
		return d.ActivateBackward(kernels.ReLU, take(n), x, x)
	case Add:
		return d.Add([]kernels.Buffer{x, take(n)}, x, kernels.ReLU)
	case Dropout:
		return d.Dropout(0.5, kernels.DropoutKey{}, x, x)
	case CopyChannels:
		return d.CopyChannels(m, c, x, c, 0, take(2*n), 2*c, 0)
	case Reorder:
		return d.ToNCHW(1, m, 1, c, x, take(n))
	case SGD:
		return d.SGD(kernels.SGD{LR: 0, Momentum: 0.9}, x, take(n), take(n))
	case Adam:
		return d.Adam(kernels.Adam{Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, Step: 1}, x, take(n), take(n), take(n))
	case SumSquares:
		_, err := d.SumSquares(x)
		return err
	case Scale:
		return d.Scale(1, x)
	}
	panic(fmt.Sprintf("speed: nothing to time of kind %d", o.Kind))
}

// pools are poolings of so many elements: of 3×3 windows that halve rows and columns, of such that keep them, and of 7×7
// pictures as a whole.
func (o Op) pools() (halved, same kernels.Pool, all kernels.Adaptive) {
	const side = 32
	n, whole := max(o.Rows/(side*side), 1), max(o.Rows/49, 1)
	halved = kernels.Pool{N: n, H: side, W: side, C: o.Columns, P: side / 2, Q: side / 2, R: 3, S: 3, StrideH: 2, StrideW: 2, PadH: 1, PadW: 1}
	same = kernels.Pool{N: n, H: side, W: side, C: o.Columns, P: side, Q: side, R: 3, S: 3, StrideH: 1, StrideW: 1, PadH: 1, PadW: 1}
	return halved, same, kernels.Adaptive{N: whole, H: 7, W: 7, C: o.Columns, P: 1, Q: 1}
}
