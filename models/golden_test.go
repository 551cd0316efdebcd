package models_test

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/ftrun/ftrun/internal/kernels"
	"github.com/ftrun/ftrun/internal/kernels/cpu"
	"github.com/ftrun/ftrun/internal/nn"
	"github.com/ftrun/ftrun/internal/testdata"
	"github.com/ftrun/ftrun/internal/weights"
)

// The golden tests compare whole networks with PyTorch. They leave out what takes long unless FTRUN_GOLDEN=all.
var goldenAll = os.Getenv("FTRUN_GOLDEN") == "all"

// openDevice opens what the golden tests compute on.
var openDevice = func() (kernels.Device, error) { return cpu.New(0) }

// coarse is the narrowest band for logits and losses in a precision coarser than float32; 0 in float32. Of single elements
// of results on the way, of gradients and of what training leaves, the golden tests then compare nothing: gradients that are
// differences of large numbers, such as that of a last layer's bias, are a tenth of themselves away in TF32, and rightly so.
var coarse float64

// device is what the golden tests compute on.
func device(t *testing.T) kernels.Device {
	t.Helper()
	dev, err := openDevice()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if gpu, ok := dev.(interface{ Unsupported() []string }); ok {
			for _, c := range gpu.Unsupported() {
				t.Log("not of cuDNN: ", c)
			}
		}
		dev.Close()
	})
	return dev
}

// readJSON reads a file of the shared test data, or skips the test.
func readJSON(t *testing.T, rel string, v any) {
	t.Helper()
	if err := json.Unmarshal(readShared(t, rel), v); err != nil {
		t.Fatalf("%s: %v", rel, err)
	}
}

func readShared(t *testing.T, rel string) []byte {
	t.Helper()
	data, err := os.ReadFile(testdata.Shared(t, rel))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// readPicture reads one picture of raw float32, (C,H,W), and turns it to (H,W,C).
func readPicture(t *testing.T, rel string) []float32 {
	t.Helper()
	data := readShared(t, rel)
	x := make([]float32, len(data)/4)
	if _, err := binary.Decode(data, binary.LittleEndian, x); err != nil {
		t.Fatal(err)
	}
	return channelsLast(x, 1)
}

// channelsLast turns n square pictures of three channels from (N,C,H,W) to (N,H,W,C).
func channelsLast(x []float32, n int) []float32 {
	y := make([]float32, len(x))
	area := len(x) / n / 3
	for i := range n {
		for c := range 3 {
			for j := range area {
				y[(i*area+j)*3+c] = x[(i*3+c)*area+j]
			}
		}
	}
	return y
}

// formula is the golden files' source of numbers that any language gets alike: byte i of sequence t.
func formula(i, t uint32) float64 {
	h := i*2654435761 + (t*40503 + 12345)
	h ^= h >> 16
	h *= 0x85ebca6b
	h ^= h >> 13
	h *= 0xc2b2ae35
	h ^= h >> 16
	return float64(h >> 24)
}

// formulaPictures are n pictures of the formula, (N,H,W,C).
func formulaPictures(seed uint32, n, size int) []float32 {
	x := make([]float32, n*3*size*size)
	for i := range x {
		x[i] = float32(math.Ldexp(formula(uint32(i), seed)-127.5, -6))
	}
	return channelsLast(x, n)
}

// formulaWeights are the synthetic values of entry i, in torch's order; nil for a counter.
func formulaWeights(net *nn.Net, i int) []float32 {
	p := net.Params[i]
	_, norm := net.Layers[p.Layer].Op.(nn.BatchNorm2d)
	base, centre, shift := 0., 127.5, 0
	switch {
	case p.Kind == nn.Counter:
		return nil
	case strings.HasSuffix(p.Name, ".running_mean"):
		shift = 9
	case strings.HasSuffix(p.Name, ".running_var"):
		base, centre, shift = 1, 0, 9
	case norm && strings.HasSuffix(p.Name, ".weight"):
		base, shift = 1, 10
	case norm:
		shift = 10
	case len(p.Shape) > 1:
		fan := float64(p.Len() / p.Shape[0])
		shift = int(math.Floor(math.Log2(127.5/math.Sqrt(6/fan)) + 0.5))
	default:
		shift = 12
	}
	var table [256]float32
	for u := range table {
		table[u] = float32(base + math.Ldexp(float64(u)-centre, -shift))
	}
	values := make([]float32, p.Len())
	for j := range values {
		values[j] = table[int(formula(uint32(j), uint32(i)))]
	}
	return values
}

// newHead is the last layer with which the training trajectories start: 0.01·sin(131·i+j), bias 0.
func newHead(p nn.Param) []float32 {
	values := make([]float32, p.Len())
	if len(p.Shape) == 1 {
		return values
	}
	in := p.Len() / p.Shape[0]
	for k := range values {
		values[k] = float32(0.01 * math.Sin(float64(k/in*131+k%in)))
	}
	return values
}

// store puts values by entry on the device; nil leaves an entry zero.
func store(t *testing.T, dev kernels.Device, net *nn.Net, values func(i int) []float32) *nn.ParamStore {
	t.Helper()
	s, err := nn.NewParamStore(dev, net)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	for i := range net.Params {
		if v := values(i); v != nil {
			if err := s.Set(i, v); err != nil {
				t.Fatal(err)
			}
		}
	}
	return s
}

// fileWeights gives the entries of a weights file of the shared test data.
func fileWeights(t *testing.T, net *nn.Net, name string) func(i int) []float32 {
	t.Helper()
	file, err := weights.Open(testdata.Shared(t, "data/weights/"+name))
	if err != nil {
		t.Fatal(err)
	}
	return func(i int) []float32 {
		p := net.Params[i]
		if p.Kind == nn.Counter {
			return nil
		}
		tensor, ok := file.Lookup(p.Name)
		if !ok || len(tensor.Float) != p.Len() {
			t.Fatalf("%s does not hold %s of %v", name, p.Name, p.Shape)
		}
		return tensor.Float
	}
}

// evaluate runs one batch in evaluation and gives the logits and the results of the modules in keep.
func evaluate(t *testing.T, net *nn.Net, s *nn.ParamStore, x []float32, keep ...nn.Ref) ([]float32, *nn.Program) {
	t.Helper()
	p, err := nn.Compile(net, s, nn.Settings{Batch: len(x) / net.Input.Len(), Numerics: kernels.Default, Keep: keep})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	r, err := p.Run(x, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	return r.Logits, p
}

// near reports got's distance from want where it exceeds band.
func near(t *testing.T, what string, got, want []float64, band float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %d values, want %d", what, len(got), len(want))
		return
	}
	for i := range got {
		if d := math.Abs(got[i] - want[i]); !(d <= band) {
			t.Errorf("%s[%d] is %.9g, want %.9g within %.2g", what, i, got[i], want[i], band)
			return
		}
	}
}

func doubles(x []float32) []float64 {
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = float64(v)
	}
	return y
}

// summary is what the golden files tell of a tensor.
type summary struct {
	Shape  []int
	Mean   float64
	Std    float64 // of the population
	L2     float64
	First8 []float64
}

func summarise(x []float32) summary {
	var sum, squares float64
	for _, v := range x {
		sum += float64(v)
		squares += float64(v) * float64(v)
	}
	n := float64(len(x))
	mean := sum / n
	var variance float64
	for _, v := range x {
		variance += (float64(v) - mean) * (float64(v) - mean)
	}
	return summary{Mean: mean, Std: math.Sqrt(variance / n), L2: math.Sqrt(squares), First8: doubles(x[:min(8, len(x))])}
}

// rms is the root mean square of a summary's tensor.
func (s summary) rms() float64 { return math.Hypot(s.Mean, s.Std) }

// nearSummary compares a tensor with torch's summary of its own: values within band times the tensor's root mean square.
func nearSummary(t *testing.T, what string, x []float32, want summary, band float64) {
	t.Helper()
	if coarse > 0 {
		return
	}
	got := summarise(x)
	scale := want.rms()
	near(t, what+" mean", []float64{got.Mean}, []float64{want.Mean}, band*scale)
	near(t, what+" std", []float64{got.Std}, []float64{want.Std}, band*scale)
	near(t, what+" l2", []float64{got.L2}, []float64{want.L2}, band*want.L2)
	near(t, what+" first8", got.First8, want.First8, band*scale)
}
