package data

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/ftrun/ftrun/internal/testdata"
)

// BenchmarkPreprocess times what happens to each picture of hymenoptera on one processor, whole and by its parts. An
// operation is all 397 pictures, files in memory; ms/picture is the mean of each picture's least time, so that other
// programs do little to it. testdata/preprocess.py times the same parts of torchvision with Pillow in the same way.
func BenchmarkPreprocess(b *testing.B) {
	var files [][]byte
	for _, split := range hymenoptera(b).orderedSplits() {
		for _, it := range split.Items {
			file, err := os.ReadFile(filepath.Join(testdata.Shared(b, "data/hymenoptera_data"), it.Path))
			if err != nil {
				b.Fatal(err)
			}
			files = append(files, file)
		}
	}
	decode := func(b *testing.B, file []byte) *Image {
		img, err := decodeBytes(file)
		if err != nil {
			b.Fatal(err)
		}
		return img
	}
	pictures := make([]*Image, len(files))
	for i, file := range files {
		pictures[i] = decode(b, file)
	}
	pipeline := func(ops ...Op) *Pipeline {
		p, err := NewPipeline(PipelineConfig{Resize: 256, Crop: 224, Normalize: ImageNet, Augment: ops})
		if err != nil {
			b.Fatal(err)
		}
		return p
	}
	eval := pipeline()
	train := pipeline(RandomResizedCrop{[2]float64{0.08, 1}, [2]float64{3.0 / 4, 4.0 / 3}}, HFlip{0.5})
	key := newStreamKey("benchmark")
	draws := func(i int) func(op int) stream {
		return func(op int) stream { return key.stream(0, uint64(i), uint64(op)) }
	}
	s := &scratch{}
	crop := NewImage(224, 224)
	input := make([]float32, eval.Len())
	evaluate := func(b *testing.B, img *Image) {
		if err := resizeCenterCrop(crop, img, eval.resize, s); err != nil {
			b.Fatal(err)
		}
	}
	augment := func(b *testing.B, i int, img *Image) *Image {
		out, err := train.draw(img, draws(i), s)
		if err != nil {
			b.Fatal(err)
		}
		return out
	}
	for _, part := range []struct {
		name string
		do   func(b *testing.B, i int)
	}{
		{"decode", func(b *testing.B, i int) { decode(b, files[i]) }},
		{"resize, crop", func(b *testing.B, i int) { evaluate(b, pictures[i]) }},
		{"augment", func(b *testing.B, i int) { augment(b, i, pictures[i]) }},
		{"normalise", func(b *testing.B, i int) { eval.norm.apply(input, crop) }},
		{"evaluation", func(b *testing.B, i int) {
			evaluate(b, decode(b, files[i]))
			eval.norm.apply(input, crop)
		}},
		{"training", func(b *testing.B, i int) { train.norm.apply(input, augment(b, i, decode(b, files[i]))) }},
	} {
		b.Run(part.name, func(b *testing.B) {
			least := make([]time.Duration, len(files))
			for round := 0; b.Loop(); round++ {
				for i := range files {
					start := time.Now()
					part.do(b, i)
					if took := time.Since(start); round == 0 || took < least[i] {
						least[i] = took
					}
				}
			}
			sum := time.Duration(0)
			for _, took := range least {
				sum += took
			}
			b.ReportMetric(sum.Seconds()*1e3/float64(len(files)), "ms/picture")
		})
	}
}

func BenchmarkColorJitter(b *testing.B) {
	op, err := NewOp("color_jitter", map[string][]float64{"brightness": {0.4}, "contrast": {0.4}, "saturation": {0.4}, "hue": {0.1}})
	if err != nil {
		b.Fatal(err)
	}
	img, s, key := formulaImage(224, 224, 1), &scratch{}, newStreamKey("bench")
	for b.Loop() {
		r := key.stream(0, 0, 0)
		if _, err := op.apply(img, 224, &r, s); err != nil {
			b.Fatal(err)
		}
	}
}
