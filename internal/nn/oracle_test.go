package nn

import (
	"math"
	"testing"

	"github.com/ftrun/ftrun/internal/kernels"
	"github.com/ftrun/ftrun/internal/kernels/philox"
)

// oracle computes a network layer by layer in float64, by the definitions and nothing else: no fusion, no graph, no
// device. Parameters are in torch's order, activations NHWC.
type oracle struct {
	net     *Net
	set     Settings
	params  [][]float64
	running [][]float64 // what the running statistics become, by parameter
	step    uint64
}

// newOracle takes the parameters from a store.
func newOracle(t testing.TB, s *ParamStore, set Settings) *oracle {
	t.Helper()
	o := &oracle{net: s.net, set: set, params: make([][]float64, len(s.net.Params))}
	for i, par := range s.net.Params {
		if par.Kind != Counter {
			v, err := s.Get(i)
			if err != nil {
				t.Fatal(err)
			}
			o.params[i] = float64s(v)
		}
	}
	return o
}

// loss is the loss of pictures x, and each layer's result.
func (o *oracle) loss(x []float64, labels []int) (float64, [][]float64) {
	o.running = make([][]float64, len(o.net.Params))
	results := make([][]float64, len(o.net.Layers))
	get := func(r Ref) ([]float64, Shape) {
		if r == Input {
			return x, o.net.Input
		}
		return results[r], o.net.Layers[r].Out
	}
	for i, l := range o.net.Layers {
		results[i] = o.layer(i, l, get)
	}
	loss := o.crossEntropy(results[o.net.Logits], labels)
	if o.net.Aux != Input {
		loss += float64(o.net.AuxWeight) * o.crossEntropy(results[o.net.Aux], labels)
	}
	return loss, results
}

func (o *oracle) crossEntropy(logits []float64, labels []int) float64 {
	classes := len(logits) / o.set.Batch
	weight := func(c int) float64 {
		if o.set.ClassWeights == nil {
			return 1
		}
		return float64(o.set.ClassWeights[c])
	}
	smooth := float64(o.set.Smoothing)
	var sum, divisor float64
	for n, label := range labels {
		row := logits[n*classes : (n+1)*classes]
		var z float64
		for _, v := range row {
			z += math.Exp(v)
		}
		logProb := func(c int) float64 { return row[c] - math.Log(z) }
		sum -= (1 - smooth) * weight(label) * logProb(label)
		for c := range classes {
			sum -= smooth / float64(classes) * weight(c) * logProb(c)
		}
		divisor += weight(label)
	}
	return sum / divisor
}

func (o *oracle) layer(index int, l Layer, get func(Ref) ([]float64, Shape)) []float64 {
	N, out := o.set.Batch, l.Out
	x, in := get(l.In[0])
	y := make([]float64, N*out.Len())
	param := func(i int) []float64 { return o.params[l.Params[i]] }
	// X is x at a place, and whether that is inside the picture.
	X := func(n, h, w, c int) (float64, bool) {
		if h < 0 || h >= in.H || w < 0 || w >= in.W {
			return 0, false
		}
		return x[((n*in.H+h)*in.W+w)*in.C+c], true
	}
	// each computes y element by element.
	each := func(f func(n, p, q, k int) float64) {
		for i := range y {
			y[i] = f(i/out.Len(), i/out.C/out.W%out.H, i/out.C%out.W, i%out.C)
		}
	}
	switch op := l.Op.(type) {
	case Conv2d:
		s, g := op.stride(), op.groups()
		w, cg := param(0), in.C/g
		each(func(n, p, q, k int) float64 {
			var sum float64
			if op.Bias {
				sum = param(1)[k]
			}
			first := k / (out.C / g) * cg
			for c := range cg {
				for r := range op.Kernel[0] {
					for t := range op.Kernel[1] {
						v, _ := X(n, p*s[0]+r-op.Padding[0], q*s[1]+t-op.Padding[1], first+c)
						sum += v * w[((k*cg+c)*op.Kernel[0]+r)*op.Kernel[1]+t]
					}
				}
			}
			return sum
		})
	case BatchNorm2d:
		mean, variance := append([]float64{}, param(2)...), append([]float64{}, param(3)...)
		if o.set.batchStats(index) {
			m := float64(len(x) / in.C)
			clear(mean)
			clear(variance)
			for i, v := range x {
				mean[i%in.C] += v / m
			}
			for i, v := range x {
				variance[i%in.C] += (v - mean[i%in.C]) * (v - mean[i%in.C]) / m
			}
			rm, rv := make([]float64, in.C), make([]float64, in.C)
			for c := range rm {
				rm[c] = (1-float64(op.Momentum))*param(2)[c] + float64(op.Momentum)*mean[c]
				rv[c] = (1-float64(op.Momentum))*param(3)[c] + float64(op.Momentum)*variance[c]*m/(m-1)
			}
			o.running[l.Params[2]], o.running[l.Params[3]] = rm, rv
		}
		for i, v := range x {
			c := i % in.C
			y[i] = (v-mean[c])/math.Sqrt(variance[c]+float64(op.Eps))*param(0)[c] + param(1)[c]
		}
	case Activate:
		for i, v := range x {
			y[i] = max(v, 0)
			if op.Kind == kernels.ReLU6 {
				y[i] = min(y[i], 6)
			}
		}
	case MaxPool2d:
		each(func(n, p, q, k int) float64 {
			best := math.Inf(-1)
			for r := range op.Kernel {
				for t := range op.Kernel {
					if v, ok := X(n, p*op.Stride+r-op.Padding, q*op.Stride+t-op.Padding, k); ok {
						best = max(best, v)
					}
				}
			}
			return best
		})
	case AvgPool2d:
		each(func(n, p, q, k int) float64 {
			var sum float64
			for r := range op.Kernel {
				for t := range op.Kernel {
					v, _ := X(n, p*op.Stride+r-op.Padding, q*op.Stride+t-op.Padding, k)
					sum += v
				}
			}
			return sum / float64(op.Kernel*op.Kernel)
		})
	case AdaptiveAvgPool2d:
		each(func(n, p, q, k int) float64 {
			var sum, count float64
			for h := p * in.H / op.H; h*op.H < (p+1)*in.H; h++ {
				for w := q * in.W / op.W; w*op.W < (q+1)*in.W; w++ {
					v, _ := X(n, h, w, k)
					sum += v
					count++
				}
			}
			return sum / count
		})
	case Dropout:
		copy(y, x)
		if !o.set.Training {
			break
		}
		key := dropoutKey(o.set.DropoutSeed, l.Name)
		for i := range y {
			words := philox.Block(key.Key, [4]uint32{uint32(i / 4), uint32(o.step), uint32(o.step >> 32), key.Stream})
			if float64(words[i%4])*0x1p-32 < float64(op.P) {
				y[i] = 0
			} else {
				y[i] /= 1 - float64(op.P)
			}
		}
	case Flatten:
		i := 0
		for n := range N {
			for c := range in.C {
				for h := range in.H {
					for w := range in.W {
						y[i], _ = X(n, h, w, c)
						i++
					}
				}
			}
		}
	case Linear:
		w, b := param(0), param(1)
		each(func(n, _, _, k int) float64 {
			sum := b[k]
			for c := range in.C {
				sum += x[n*in.C+c] * w[k*in.C+c]
			}
			return sum
		})
	case Concat:
		at := 0
		for _, r := range l.In {
			v, s := get(r)
			for i := range v {
				y[i/s.C*out.C+at+i%s.C] = v[i]
			}
			at += s.C
		}
	case Add:
		for _, r := range l.In {
			v, _ := get(r)
			for i := range v {
				y[i] += v[i]
			}
		}
	}
	return y
}

func float64s(x []float32) []float64 {
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = float64(v)
	}
	return y
}
