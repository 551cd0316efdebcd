// Package speed tells how long a device takes for what it is asked: from the shapes of the operations, which a Meter
// writes down, and a Profile of the machine, which Calibrate makes by timing some of each kind.
//
// An operation's time is
//
//	multiply-adds · Macs[kind][class] + elements · (Warm … Cold)
//
// that is, arithmetic of its kind and the traffic between processor and memory. What works element by element has a time an
// element of its own for either end: data in the caches, and data in memory. docs/decisions/0018-estimates.md says how
// near this comes, and where its constants are from.
package speed

import "math"

// Profile holds a device's speeds, in seconds.
type Profile struct {
	Call float64 `json:"call"` // of any operation, before it does something
	// Warm and Cold are those of the traffic of one float32 that lies in the caches, and in memory.
	Warm float64 `json:"warm"`
	Cold float64 `json:"cold"`
	// Macs are those of one multiply-add, by kind and, of convolutions, class.
	Macs [macs][classes]float64 `json:"macs"`
	// Elements are those of one element of what works element by element, by kind, in the caches and in memory.
	Elements [kinds - macs][2]float64 `json:"elements"`
	// Whole is how many times as long operations take as they take by themselves, one after the other in a whole training
	// step: threads wait for each other, and each finds the caches as the one before left them. 0: not known, as 1.
	Whole float64 `json:"whole,omitempty"`
}

// How often a convolution moves its activations and its weights, beside the multiply-adds: Winograd's transforms write and
// read tiles, packing writes the weights in another order. The fewer pictures there are the more the weights matter.
// Measured over the layers of torchvision's networks; see docs/decisions/0018-estimates.md.
var traffic = [classes]struct{ activations, weights, borders float64 }{
	pointwise: {activations: 1.2, weights: 11},
	direct:    {activations: 2.4, weights: 3},
	pixels:    {activations: 2.4},
	winograd2: {activations: 5.3, weights: 16},
	winograd4: {activations: 6.4, weights: 38},
	depthwise: {activations: 1.3, borders: 13}, // outputs whose filter reaches past the picture are computed singly
}

// linearTraffic is how often a linear layer moves its weights.
const linearTraffic = 1.7

// Working sets up to inCaches bytes stay in the caches from one operation to the next, those from inMemory on never do;
// between them it is a matter of luck, and the logarithm serves.
const (
	inCaches = 8 << 20
	inMemory = 40 << 20
)

// coldness is the share of a working set of so many elements that has to come from memory.
func coldness(elements int) float64 {
	if elements <= 0 {
		return 0
	}
	x := math.Log(float64(4*elements)/inCaches) / math.Log(float64(inMemory)/inCaches)
	return min(max(x, 0), 1)
}

func between(warm, cold, share float64) float64 { return warm + (cold-warm)*share }

// Seconds is the time that an operation takes that works on what lies in that many elements: its own arrays, or those of a
// whole step, through which it comes by.
func (p *Profile) Seconds(o Op, among int) float64 {
	share := coldness(max(among, o.workingSet()))
	if int(o.Kind) >= macs {
		t := p.Elements[int(o.Kind)-macs]
		return p.Call + float64(o.elements())*between(t[0], t[1], share)
	}
	class := class(0)
	if int(o.Kind) < convs {
		class = classOf(o.Conv)
	}
	return p.Call + float64(o.multiplyAdds())*p.Macs[o.Kind][class] + o.moves()*between(p.Warm, p.Cold, share)
}

// traffic is the part of the time of an operation, on arrays of its own, in which it moves elements.
func (p *Profile) traffic(o Op) float64 {
	return o.moves() * between(p.Warm, p.Cold, coldness(o.workingSet()))
}

// moves is how many elements an operation with multiply-adds moves, some of them more than once.
func (o Op) moves() float64 {
	if int(o.Kind) >= convs {
		return linearTraffic * float64(o.Linear.I*o.Linear.O)
	}
	d, t := o.Conv, traffic[classOf(o.Conv)]
	x, y := d.N*d.H*d.W*d.C, d.N*d.P()*d.Q()*d.K
	return t.activations*float64(x+y) + t.weights*float64(d.LenW()) + t.borders*float64(2*d.N*(d.P()+d.Q())*d.K)
}

// workingSet is the number of elements that an operation works on.
func (o Op) workingSet() int {
	switch d := o.Conv; {
	case int(o.Kind) < convs:
		return d.N*d.H*d.W*d.C + d.N*d.P()*d.Q()*d.K + d.LenW()
	case int(o.Kind) < macs:
		return o.Linear.I * o.Linear.O
	}
	return o.elements() * o.operands()
}

// multiplyAdds are those of the equation, whatever the algorithm needs.
func (o Op) multiplyAdds() int {
	if int(o.Kind) < convs {
		return o.Conv.N * o.Conv.P() * o.Conv.Q() * o.Conv.LenW()
	}
	return o.Linear.N * o.Linear.I * o.Linear.O
}

// elements are those that an operation without multiply-adds is said to take its time by.
func (o Op) elements() int {
	switch {
	case o.Kind == PackWeights:
		return o.Conv.LenW()
	case o.Terms > 0:
		return o.Rows * o.Columns * o.Terms
	}
	return o.Rows * o.Columns
}

// operands is how many arrays of that size an operation works on.
func (o Op) operands() int {
	switch o.Kind {
	case SGD, Adam:
		return 3
	case BatchNormReduce, BatchNormBackward, ActivateBackward, CopyChannels, Reorder, MaxPoolBackward, PackWeights:
		return 2
	}
	return 1
}
