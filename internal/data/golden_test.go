package data

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"math"
	"os"
	"testing"

	"github.com/ftrun/ftrun/internal/testdata"
)

// hymenoptera opens the ants and bees of the shared test data.
func hymenoptera(tb testing.TB) *Dataset {
	tb.Helper()
	d, err := Open(context.Background(), Config{
		Name: "hymenoptera", Kind: ImageFolder, Path: testdata.Shared(tb, "data/hymenoptera_data"),
	})
	if err != nil {
		tb.Fatal(err)
	}
	return d
}

func TestGoldenPreprocessing(t *testing.T) {
	b, err := os.ReadFile(testdata.Shared(t, "data/golden/preprocess.json"))
	if err != nil {
		t.Fatal(err)
	}
	var golden struct{ Table [][]any }
	if err := json.Unmarshal(b, &golden); err != nil {
		t.Fatal(err)
	}
	d := hymenoptera(t)
	if err := d.Verify(context.Background(), nil); err != nil {
		t.Errorf("good pictures are refused: %v", err)
	}
	rows := map[string][]any{}
	for _, row := range golden.Table {
		rows[row[0].(string)] = row
	}
	if n := len(d.Splits[Train].Items) + len(d.Splits[Val].Items); n != 397 || len(rows) != 397 {
		t.Fatalf("%d pictures and %d golden rows, want 397: the GIF is not one", n, len(rows))
	}
	s := &scratch{}
	worst := 0.0
	for _, split := range d.orderedSplits() {
		for i, it := range split.Items {
			row := rows[it.Path]
			if row == nil {
				t.Fatalf("%s is not in the golden table", it.Path)
			}
			if i%4 != 0 { // a quarter of them tells as much, in a quarter of the time
				continue
			}
			num := func(i int) int { return int(row[i].(float64)) }
			img, err := it.Decode()
			if err != nil {
				t.Fatal(err)
			}
			w, h := resized(img.W, img.H, 256)
			w2, h2 := resized(img.W, img.H, 224)
			got := [9]int{img.W, img.H, w, h, centered(w, 224), centered(h, 224), w2, h2}
			for j := range 8 {
				if got[j] != num(j+1) {
					t.Errorf("%s: sizes and corner %v, want %v", it.Path, got[:8], row[1:9])
					break
				}
			}
			out := NewImage(224, 224)
			if err := resizeCenterCrop(out, img, 256, s); err != nil {
				t.Fatal(err)
			}
			for c, mean := range means(out) {
				diff := math.Abs(mean - row[9+c].(float64))
				if worst = max(worst, diff); diff > 0.02 {
					t.Errorf("%s: mean of channel %d is %.4f, want %.4f", it.Path, c, mean, row[9+c])
				}
			}
		}
	}
	t.Logf("largest difference of a channel's mean: %.4f grey levels", worst)
}

func means(img *Image) (m [3]float64) {
	for i, v := range img.Pix {
		m[i%3] += float64(v)
	}
	for c := range m {
		m[c] /= float64(img.W * img.H)
	}
	return m
}

// The whole way from a file to a network's input, against torchvision's tensors: the decoders' IDCTs round differently,
// so a pixel may be a grey level or two (0.0175 each) off, and few are.
func TestGoldenInputs(t *testing.T) {
	for _, c := range []struct{ name, picture string }{
		{"ants", "data/golden/input_ants.f32"},
		{"bees", "data/golden/input_bees.f32"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, err := os.ReadFile(testdata.Shared(t, c.picture))
			if err != nil {
				t.Fatal(err)
			}
			want := make([]float32, len(b)/4)
			for i := range want {
				want[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
			}
			p, err := NewPipeline(PipelineConfig{Resize: 256, Crop: 224, Normalize: ImageNet})
			if err != nil {
				t.Fatal(err)
			}
			got := make([]float32, p.Len())
			best, exact := math.Inf(1), 0.0
			var path string
			for _, it := range hymenoptera(t).Splits[Val].Items {
				if it.Class != map[string]int{"ants": 0, "bees": 1}[c.name] {
					continue
				}
				img, err := it.Decode()
				if err != nil {
					t.Fatal(err)
				}
				if err := p.Eval(got, img); err != nil {
					t.Fatal(err)
				}
				worst, same := 0.0, 0
				for i, v := range got {
					w := want[i%3*224*224+i/3]
					if v == w {
						same++
					}
					worst = max(worst, math.Abs(float64(v-w)))
				}
				if worst < best {
					best, exact, path = worst, float64(same)/float64(len(got)), it.Path
				}
				if best < 0.06 {
					break
				}
			}
			t.Logf("%s: largest difference %.4f, %.2f %% the same bits", path, best, 100*exact)
			if best > 0.06 || exact < 0.9 {
				t.Errorf("no picture of val/%s gives this input: at best %.4f off, %.1f %% equal (%s)", c.name, best, 100*exact, path)
			}
		})
	}
}
