package data

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
)

// cutOut is the definition of Cut.
func cutOut(img *Image, c Cut, crop int) *Image {
	part := NewImage(c.Box.W, c.Box.H)
	for y := range part.H {
		for x := range part.W {
			if iy, ix := y+c.Box.Y, x+c.Box.X; 0 <= iy && iy < img.H && 0 <= ix && ix < img.W {
				copy(part.Pix[3*(y*part.W+x):][:3], img.Pix[3*(iy*img.W+ix):])
			}
		}
	}
	part = scaled(part, crop, crop)
	out := NewImage(crop, crop)
	for y := range crop {
		for x := range crop {
			iy, ix := y, x
			if c.Upturned {
				iy = crop - 1 - y
			}
			if c.Mirrored {
				ix = crop - 1 - x
			}
			copy(out.Pix[3*(y*crop+x):][:3], part.Pix[3*(iy*crop+ix):])
		}
	}
	return out
}

// shapeSource is a picture of some size.
type shapeSource struct{ w, h int }

func (s shapeSource) decode(string) (*Image, error) { return formulaImage(s.w, s.h, 5), nil }

// TestCutsSayWhatIsDrawn: cut out of what Pictures gives, a Cut is what a batch shows.
func TestCutsSayWhatIsDrawn(t *testing.T) {
	resized := RandomResizedCrop{[2]float64{0.08, 1}, [2]float64{3.0 / 4, 4.0 / 3}}
	flip, turn := HFlip{0.5}, VFlip{0.5}
	split := &Split{Name: Train}
	for i := range 12 {
		split.Items = append(split.Items, Item{source: shapeSource{20 + 17*(i%5), 25 + 13*(i%4)}})
	}
	for name, test := range map[string]struct {
		ops  []Op
		cuts bool
	}{
		"a random part, flipped":          {[]Op{resized, flip, turn}, true},
		"a random part of one resized":    {[]Op{ResizeOp{50}, resized, flip}, true},
		"a crop":                          {[]Op{RandomCrop{}, flip}, true},
		"a crop with black about it":      {[]Op{ResizeOp{40}, RandomCrop{9}}, true},
		"flips alone":                     {[]Op{flip, flip, turn}, true},
		"the middle, said":                {[]Op{CenterCrop{}}, true},
		"nothing is drawn":                {nil, false},
		"flipped before":                  {[]Op{flip, resized}, false},
		"cropped twice":                   {[]Op{resized, RandomCrop{3}}, false},
		"turned before the middle is cut": {[]Op{turn, CenterCrop{}}, false},
		"other colours":                   {[]Op{resized, ColorJitter{Brightness: [2]float64{0.5, 1.5}}}, false},
		"other colours before":            {[]Op{ColorJitter{Brightness: [2]float64{0.5, 1.5}}, resized}, false},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := LoaderConfig{Split: split, Key: "k", Seed: 3, BatchSize: 5, Shuffle: true, Bytes: true, Pipeline: newPipeline(t, test.ops)}
			if got := cfg.Pipeline.Cuts(); got != test.cuts {
				t.Fatalf("cuts say it: %v", got)
			}
			if !test.cuts {
				return
			}
			l, err := NewLoader(cfg)
			if err != nil {
				t.Fatal(err)
			}
			var pictures []*Image
			items := l.Order(1)
			for img, err := range l.Pictures(items) {
				if err != nil {
					t.Fatal(err)
				}
				pictures = append(pictures, img)
			}
			if len(pictures) != len(items) {
				t.Fatalf("%d pictures of %d", len(pictures), len(items))
			}
			whole := map[int]*Image{}
			for i, index := range items {
				whole[index] = pictures[i]
			}
			for epoch := range 5 {
				for _, b := range collect(t, l, epoch+1, 0) {
					for i, index := range b.Index {
						img := whole[index]
						if b.Sizes[i] != (Size{img.W, img.H}) {
							t.Fatalf("a picture of %d×%d is told to be of %v", img.W, img.H, b.Sizes[i])
						}
						c, err := l.Cut(epoch+1, index, b.Sizes[i])
						if err != nil {
							t.Fatal(err)
						}
						size := cfg.Pipeline.Len()
						if !bytes.Equal(cutOut(img, c, 32).Pix, b.Pix[i*size:(i+1)*size]) {
							t.Errorf("epoch %d shows another part of picture %d than %+v", epoch+1, index, c)
						}
					}
				}
			}
		})
	}
}

// TestPicturesEnd: with a broken one, and where the consumer has enough.
func TestPicturesEnd(t *testing.T) {
	split := &Split{Name: Train}
	for i := range 9 {
		split.Items = append(split.Items, Item{Path: fmt.Sprint(i), source: shapeSource{40, 40}})
	}
	split.Items[7].source = brokenSource{}
	l, err := NewLoader(LoaderConfig{Split: split, BatchSize: 2, Workers: 2, Pipeline: newPipeline(t, everyOp(t))})
	if err != nil {
		t.Fatal(err)
	}
	var last error
	got := 0
	for _, err := range l.Pictures([]int{8, 5, 7, 1, 2, 3, 4}) {
		if last = err; err == nil {
			got++
		}
	}
	var pe *PictureError
	if got != 2 || !errors.As(last, &pe) || pe.Path != "7" {
		t.Errorf("%d pictures, then %v; want 2 and the broken one's path", got, last)
	}
	for range l.Pictures([]int{1, 2, 3, 4, 5, 6}) {
		break // must not hang
	}
}
