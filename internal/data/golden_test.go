package data

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"hash"
	"math"
	"os"
	"path"
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

// hymenopteraPixels are the SHA-256, cut short, of the RGB bytes of all pictures of a class that Pillow 13.0 reads.
var hymenopteraPixels = map[string]string{
	"train/ants": "bc7ea5b386486251", "train/bees": "938abf258d9c4f3a",
	"val/ants": "ae0ed1d0ed67a999", "val/bees": "7643c54813511ca9",
}

// All pixels of all pictures; each one's size, resized and cropped, and its mean colour; of some, the bytes of the crop.
func TestGoldenPreprocessing(t *testing.T) {
	b, err := os.ReadFile(testdata.Shared(t, "data/golden/preprocess.json"))
	if err != nil {
		t.Fatal(err)
	}
	var golden struct {
		Table    [][]any
		Detailed []struct {
			Path string
			Crop string `json:"crop_sha256_rgb_bytes"`
		}
	}
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
	crops := map[string]string{}
	for _, detail := range golden.Detailed {
		crops[detail.Path] = detail.Crop
	}
	if n := len(d.Splits[Train].Items) + len(d.Splits[Val].Items); n != 397 || len(rows) != 397 {
		t.Fatalf("%d pictures and %d golden rows, want 397: the GIF is not one", n, len(rows))
	}
	s := &scratch{}
	compared := 0
	pixels := map[string]hash.Hash{}
	for _, split := range d.orderedSplits() {
		for _, it := range split.Items {
			row := rows[it.Path]
			if row == nil {
				t.Fatalf("%s is not in the golden table", it.Path)
			}
			num := func(i int) int { return int(row[i].(float64)) }
			img, err := it.Decode()
			if err != nil {
				t.Fatal(err)
			}
			class := path.Dir(it.Path)
			if pixels[class] == nil {
				pixels[class] = sha256.New()
			}
			pixels[class].Write(img.Pix)
			w, h := resized(img.W, img.H, 256)
			w2, h2 := resized(img.W, img.H, 224)
			got := [8]int{img.W, img.H, w, h, centered(w, 224), centered(h, 224), w2, h2}
			for j := range got {
				if got[j] != num(j+1) {
					t.Errorf("%s: sizes and corner %v, want %v", it.Path, got, row[1:9])
					break
				}
			}
			out := NewImage(224, 224)
			if err := resizeCenterCrop(out, img, 256, s); err != nil {
				t.Fatal(err)
			}
			for c, mean := range means(out) {
				if math.Abs(mean-row[9+c].(float64)) > 0.00005001 { // four digits are given
					t.Errorf("%s: mean of channel %d is %.4f, want %.4f", it.Path, c, mean, row[9+c])
				}
			}
			if want := crops[it.Path]; want != "" {
				compared++
				if sum := sha256.Sum256(out.Pix); hex.EncodeToString(sum[:]) != want {
					t.Errorf("%s: the crop's bytes differ from Pillow's", it.Path)
				}
			}
		}
	}
	if compared != 12 {
		t.Errorf("%d crops were compared byte for byte, want 12", compared)
	}
	for class, want := range hymenopteraPixels {
		if h := pixels[class]; h == nil || hex.EncodeToString(h.Sum(nil)[:8]) != want {
			t.Errorf("the pixels of %s are not Pillow's", class)
		}
	}
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

// The whole way from a file to a network's input gives torchvision's tensors, to the bit.
func TestGoldenInputs(t *testing.T) {
	for _, c := range []struct{ name, input string }{
		{"ants", "data/golden/input_ants.f32"},
		{"bees", "data/golden/input_bees.f32"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, err := os.ReadFile(testdata.Shared(t, c.input))
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
			best, closest := -1, ""
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
				same := 0
				for i, v := range got {
					if v == want[i%3*224*224+i/3] {
						same++
					}
				}
				if same > best {
					best, closest = same, it.Path
				}
				if same == len(got) {
					return
				}
			}
			t.Errorf("no picture of val/%s gives this input: at best %d of %d numbers are the same (%s)", c.name, best, len(got), closest)
		})
	}
}
