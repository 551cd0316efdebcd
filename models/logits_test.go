package models_test

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math"
	"testing"

	"github.com/ftrun/ftrun/internal/nn"
	"github.com/ftrun/ftrun/models"
)

// logits is what the golden files tell of 1000 logits.
type logits struct {
	First16    []float64
	First16F64 []float64 `json:"first16_f64"`
	Mean, Std  float64
	Argmax     *int
	Top5       []int     `json:"top5_ids"`
	Top5Values []float64 `json:"top5_values"`
}

// logitsBand is how far logits may be from torch's, by their standard deviation. Torch's float32 is up to 2e-5 from its
// float64 (mobilenet_v2), and to 4e-6 with most.
const logitsBand = 3e-5

// check compares logits with torch's, its float64 where there is that.
func (want logits) check(t *testing.T, what string, got []float32) {
	t.Helper()
	values := doubles(got)
	first := want.First16
	if want.First16F64 != nil {
		first = want.First16F64
	}
	band := logitsBand * want.Std
	if coarse > 0 { // of 1 and of the logits, and of small logits a share all the same
		band = min(coarse*(1+math.Hypot(want.Mean, want.Std)), 0.1*want.Std)
	}
	near(t, what, values[:16], first, band)
	s := summarise(got)
	near(t, what+" mean and std", []float64{s.Mean, s.Std}, []float64{want.Mean, want.Std}, band)
	if want.Argmax != nil {
		best := 0
		for i, v := range got {
			if v > got[best] {
				best = i
			}
		}
		if best != *want.Argmax && (coarse == 0 || values[best]-values[*want.Argmax] > band) {
			t.Errorf("%s: the largest is %d, want %d", what, best, *want.Argmax)
		}
	}
	for i, id := range want.Top5 {
		near(t, what+" top 5", values[id:id+1], want.Top5Values[i:i+1], band)
	}
}

// Every architecture with synthetic weights gives torch's logits for a synthetic and a real picture.
func TestSyntheticLogits(t *testing.T) {
	var golden struct {
		Archs map[string]struct {
			Size    int
			SHA256  string  `json:"weights_float32_sha256"`
			Formula logits  `json:"formula_input"`
			Ants    *logits `json:"input_ants.f32"`
		}
	}
	readJSON(t, "data/golden/synthetic_logits.json", &golden)
	for _, arch := range models.Names() {
		t.Run(arch, func(t *testing.T) {
			net := build(t, arch, 1000)
			if net.Work(nil).Forward > 2e9 && !goldenAll {
				t.Skip("takes long: set FTRUN_GOLDEN=all")
			}
			want, ok := golden.Archs[arch]
			if !ok {
				t.Fatal("no golden logits")
			}
			hash := sha256.New()
			s := store(t, device(t), net, func(i int) []float32 {
				values := formulaWeights(net, i)
				binary.Write(hash, binary.LittleEndian, values)
				return values
			})
			if got := hex.EncodeToString(hash.Sum(nil)); got != want.SHA256 {
				t.Fatalf("the synthetic weights' SHA-256 is %s, want %s", got, want.SHA256)
			}
			x := formulaPictures(7777, 1, want.Size)
			if want.Ants != nil {
				x = append(x, readPicture(t, "data/golden/input_ants.f32")...)
			}
			got, _ := evaluate(t, net, s, x)
			want.Formula.check(t, "formula picture", got[:1000])
			if want.Ants != nil {
				want.Ants.check(t, "ants", got[1000:])
			}
		})
	}
}

// Published and synthetic weights files give torch's logits, and the results of torch's modules on the way.
func TestFileLogits(t *testing.T) {
	for _, name := range []string{"squeezenet1_0", "squeezenet1_1", "mobilenet_v2", "resnet18-synthetic"} {
		t.Run(name, func(t *testing.T) {
			var golden struct {
				Weights, Arch string
				Logits        map[string]logits
				Stages        map[string]map[string]summary
				Files         map[string]string `json:"input_files"`
			}
			readJSON(t, "data/golden/logits_"+name+".json", &golden)
			net := build(t, golden.Arch, 1000)
			s := store(t, device(t), net, fileWeights(t, net, golden.Weights))
			var pictures, stages []string
			var x []float32
			for picture, file := range golden.Files {
				pictures = append(pictures, picture)
				x = append(x, readPicture(t, "data/golden/"+file)...)
			}
			var keep []nn.Ref
			for stage := range golden.Stages[pictures[0]] {
				ref, ok := net.Modules[stage]
				if !ok {
					t.Fatalf("no module %s", stage)
				}
				stages = append(stages, stage)
				keep = append(keep, ref)
			}
			got, program := evaluate(t, net, s, x, keep...)
			for i, picture := range pictures {
				golden.Logits[picture].check(t, picture, got[1000*i:1000*(i+1)])
			}
			for j, stage := range stages {
				values, shape, err := program.Kept(keep[j])
				if err != nil {
					t.Fatal(err)
				}
				for i, picture := range pictures {
					want := golden.Stages[picture][stage]
					nearSummary(t, picture+" "+stage, torchOrder(values[i*shape.Len():(i+1)*shape.Len()], shape), want, 3e-5)
				}
			}
		})
	}
}

// torchOrder turns a result of one picture from (H,W,C) to (C,H,W).
func torchOrder(x []float32, s nn.Shape) []float32 {
	y := make([]float32, 0, len(x))
	for c := range s.C {
		for i := range s.H * s.W {
			y = append(y, x[i*s.C+c])
		}
	}
	return y
}

// Logits that did not come from PyTorch: the ONNX model zoo's SqueezeNet 1.1 run by another program.
func TestIndependentLogits(t *testing.T) {
	net := build(t, "squeezenet1_1", 1000)
	x := readPicture(t, "data/golden/squeezenet1_1_independent/input.f32")
	data := readShared(t, "data/golden/squeezenet1_1_independent/output.f32")
	want := make([]float32, len(data)/4)
	if _, err := binary.Decode(data, binary.LittleEndian, want); err != nil {
		t.Fatal(err)
	}
	s := store(t, device(t), net, fileWeights(t, net, "squeezenet1_1-d30c1927.pth"))
	got, _ := evaluate(t, net, s, x)
	// PyTorch is 1.4e-4 away, of logits up to 280.
	near(t, "logits", doubles(got), doubles(want), max(5e-4, coarse*(1+summarise(want).rms())))
}
