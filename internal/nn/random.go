package nn

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"

	"github.com/ftrun/ftrun/internal/kernels"
	"github.com/ftrun/ftrun/internal/kernels/philox"
)

// stream returns the Philox key and stream of the random numbers for a purpose ("init", "dropout") of a thing by name:
// nothing but the seed and the two names decides them.
func stream(seed uint64, purpose, name string) (key [2]uint32, stream uint32) {
	b := binary.LittleEndian.AppendUint64(nil, seed)
	h := sha256.Sum256(append(b, purpose+"\x00"+name...))
	word := func(i int) uint32 { return binary.LittleEndian.Uint32(h[4*i:]) }
	return [2]uint32{word(0), word(1)}, word(2)
}

// Init gives the parameters and buffers for which the function says so the initial values that torchvision gives them;
// nil means all. Values depend on the seed and the parameter's name alone and are drawn in torch's order of elements.
func (s *ParamStore) Init(seed uint64, which func(Param) bool) error {
	for i, p := range s.net.Params {
		if which != nil && !which(p) {
			continue
		}
		if p.Kind == Counter {
			s.counters[i] = int64(p.Init.A)
			continue
		}
		x := make([]float32, p.Len())
		p.Init.fill(x, seed, p.Name)
		if err := s.Set(i, x); err != nil {
			return err
		}
	}
	return nil
}

// fill draws x. Element i takes the uniform number of word i%4 of block i/4; the normal distribution makes its pairs of
// numbers from pairs of words.
func (d Init) fill(x []float32, seed uint64, name string) {
	if d.Dist == Constant {
		for i := range x {
			x[i] = float32(d.A)
		}
		return
	}
	key, strm := stream(seed, "init", name)
	for at := 0; at < len(x); at += 4 {
		block := uint64(at / 4)
		words := philox.Block(key, [4]uint32{uint32(block), uint32(block >> 32), 0, strm})
		var u, v [4]float64
		for j, w := range words {
			u[j] = (float64(w) + 0.5) * 0x1p-32 // inside (0, 1)
		}
		switch d.Dist {
		case Uniform:
			for j := range v {
				v[j] = d.A + (d.B-d.A)*u[j]
			}
		case Normal:
			v[0], v[1] = boxMuller(u[0], u[1])
			v[2], v[3] = boxMuller(u[2], u[3])
			for j := range v {
				v[j] = d.A + d.B*v[j]
			}
		case TruncNormal:
			for j := range v {
				v[j] = truncNormal(d.A, d.B, u[j])
			}
		default:
			panic(fmt.Sprintf("nn: %s: unknown distribution %d", name, d.Dist))
		}
		for j := range min(4, len(x)-at) {
			x[at+j] = float32(v[j])
		}
	}
}

// boxMuller makes two standard normal numbers of two uniform ones.
// (Box and Muller, A Note on the Generation of Random Normal Deviates, 1958)
func boxMuller(u, v float64) (float64, float64) {
	r := math.Sqrt(-2 * math.Log(u))
	sin, cos := math.Sincos(2 * math.Pi * v)
	return r * cos, r * sin
}

// truncNormal is the inverse of the distribution function of a normal distribution cut to [-2, 2], at u: how
// torch.nn.init.trunc_normal_ draws.
func truncNormal(mean, std, u float64) float64 {
	const lo, hi = -2, 2
	cdf := func(x float64) float64 { return 0.5 * math.Erfc(-(x-mean)/(std*math.Sqrt2)) }
	l, h := cdf(lo), cdf(hi)
	x := mean + std*math.Sqrt2*math.Erfinv(2*(l+u*(h-l))-1)
	return min(max(x, lo), hi)
}

// dropoutKey addresses the random numbers of a dropout layer; the step is filled in when it runs.
func dropoutKey(seed uint64, layer string) kernels.DropoutKey {
	key, strm := stream(seed, "dropout", layer)
	return kernels.DropoutKey{Key: key, Stream: strm}
}
