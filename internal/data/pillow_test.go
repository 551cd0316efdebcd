package data

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"testing"
)

// The hashes of this file are of what Pillow 9.4.0 makes of formula pictures; they hold to the bit.

// formulaImage is a noisy picture that any language can make.
func formulaImage(w, h int, seed uint32) *Image {
	img := NewImage(w, h)
	for i := range img.Pix {
		x := uint32(i)*2654435761 + seed
		x ^= x >> 15
		x *= 0x85ebca6b
		x ^= x >> 13
		x *= 0xc2b2ae35
		x ^= x >> 16
		img.Pix[i] = uint8(x >> 24)
	}
	return img
}

func shortHash(img *Image) string {
	sum := sha256.Sum256(img.Pix)
	return hex.EncodeToString(sum[:8])
}

func TestResizeIsPillows(t *testing.T) {
	for _, c := range []struct {
		w, h, outW, outH int
		want             string
	}{
		{50, 37, 23, 17, "1ca8041737d972c9"},
		{37, 50, 80, 91, "b9d99e3253c16967"},
		{64, 48, 64, 20, "7aa655baab23fa1f"},
		{64, 48, 20, 48, "3d58a1b28ee6dab4"},
		{7, 5, 224, 160, "b7cfca31bc795a1b"},
		{500, 375, 341, 256, "7f89278690bc36ec"},
		{333, 500, 3, 2, "91d26cbd32c850fd"},
		{1, 1, 5, 4, "bbfeae6fcee81cc9"},
		{20, 20, 20, 20, "856c1e39cf277354"},
		{1000, 3, 10, 9, "4701bad4f5866791"},
	} {
		t.Run(fmt.Sprintf("%dx%d to %dx%d", c.w, c.h, c.outW, c.outH), func(t *testing.T) {
			src := formulaImage(c.w, c.h, uint32(c.outW))
			whole := scaled(src, c.outW, c.outH)
			if got := shortHash(whole); got != c.want {
				t.Errorf("hash %s, Pillow has %s", got, c.want)
			}
			// A window of the result is the same pixels, computed alone.
			left, top := c.outW/3, c.outH/4
			part := NewImage((c.outW+2)/3, (c.outH+1)/2)
			resizeInto(part, src, Rect{0, 0, c.w, c.h}, c.outW, c.outH, left, top, false, &scratch{})
			for y := range part.H {
				got := part.Pix[3*y*part.W : 3*(y+1)*part.W]
				want := whole.Pix[3*((y+top)*whole.W+left):][:len(got)]
				if string(got) != string(want) {
					t.Fatalf("row %d of the window at (%d, %d) differs from the whole", y, left, top)
				}
			}
		})
	}
}

// scaled is the whole of src, scaled to w×h.
func scaled(src *Image, w, h int) *Image {
	dst := NewImage(w, h)
	resizeInto(dst, src, Rect{0, 0, src.W, src.H}, w, h, 0, 0, true, &scratch{})
	return dst
}

// A box of a picture is resized as if it had been cut out first: what lies round it does not bleed in.
func TestResizeBoxIsCropThenResize(t *testing.T) {
	src := formulaImage(61, 43, 1)
	for _, c := range []struct {
		box  Rect
		w, h int
	}{{Rect{5, 7, 30, 20}, 16, 16}, {Rect{5, 7, 16, 30}, 16, 9}, {Rect{40, 20, 21, 16}, 9, 16}, {Rect{60, 42, 1, 1}, 8, 8},
		{Rect{3, 4, 16, 16}, 16, 16}} {
		cropped := NewImage(c.box.W, c.box.H)
		for y := range c.box.H {
			copy(cropped.Pix[3*y*c.box.W:3*(y+1)*c.box.W], src.Pix[3*((c.box.Y+y)*src.W+c.box.X):])
		}
		got := NewImage(c.w, c.h)
		resizeInto(got, src, c.box, c.w, c.h, 0, 0, false, &scratch{})
		if shortHash(got) != shortHash(scaled(cropped, c.w, c.h)) {
			t.Errorf("%v to %d×%d differs from cropping first", c.box, c.w, c.h)
		}
	}
}

// Vector instructions give the bytes of portable code, whatever the sizes, and write nothing beside them.
func TestResizeIsTheSameBytes(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		src := formulaImage(1+r.IntN(90), 1+r.IntN(60), r.Uint32())
		src.Pix = src.Pix[:len(src.Pix):len(src.Pix)]
		w, h := 1+r.IntN(100), 1+r.IntN(70)
		left, top := r.IntN(w), r.IntN(h)
		box := Rect{r.IntN(src.W), r.IntN(src.H), 0, 0}
		box.W, box.H = 1+r.IntN(src.W-box.X), 1+r.IntN(src.H-box.Y)
		const guard = 64
		resize := func() []uint8 {
			memory := formulaImage(w, h, 7).Pix
			memory = append(memory, memory[:min(guard, len(memory))]...)
			dst := &Image{W: w - left, H: h - top}
			dst.Pix = memory[:3*dst.W*dst.H]
			resizeInto(dst, src, box, w, h, left, top, false, &scratch{})
			return memory
		}
		got := resize()
		plainly(func() {
			if !bytes.Equal(got, resize()) {
				t.Errorf("%v of %d×%d to %d×%d from (%d, %d) differs", box, src.W, src.H, w, h, left, top)
			}
		})
	}
}

func TestColorIsPillows(t *testing.T) {
	apply := map[string]func(*Image, float64){"brightness": brightness, "contrast": contrast, "saturation": saturation, "hue": hue}
	for _, c := range []struct {
		op     string
		factor float64
		want   string
	}{
		{"brightness", 0, "53755bcd87fd6b66"}, {"contrast", 0, "0289e328eb63c1f6"}, {"saturation", 0, "f19ea365fd32770e"},
		{"brightness", 0.3, "e8d597c361f06016"}, {"contrast", 0.3, "9d460be750e5cdea"}, {"saturation", 0.3, "8a39815536c3395e"},
		{"brightness", 0.7, "6eb13be6f449c800"}, {"contrast", 0.7, "1948b5c4be4f3187"}, {"saturation", 0.7, "d5d41d1d69b7cb79"},
		{"brightness", 1, "609a1a7130d4903c"}, {"contrast", 1, "609a1a7130d4903c"}, {"saturation", 1, "609a1a7130d4903c"},
		{"brightness", 1.25, "484caa16ece59585"}, {"contrast", 1.25, "9174e68e50b77026"}, {"saturation", 1.25, "da71e55ca1055392"},
		{"brightness", 2.5, "36f1f5f630958aab"}, {"contrast", 2.5, "b1c6279576af1a52"}, {"saturation", 2.5, "6e7b12efd446031d"},
		{"hue", -0.5, "13afe8fcc50114fe"}, {"hue", -0.1, "e11d8188eb26b3af"}, {"hue", 0, "f6a21b301d94ac1b"},
		{"hue", 0.03, "8d4e3042d027811b"}, {"hue", 0.2, "f1350d77d9ee9575"}, {"hue", 0.5, "9e2014891fd1d7f9"},
	} {
		t.Run(fmt.Sprintf("%s %v", c.op, c.factor), func(t *testing.T) {
			img := formulaImage(61, 47, 5)
			apply[c.op](img, c.factor)
			if got := shortHash(img); got != c.want {
				t.Errorf("hash %s, Pillow has %s", got, c.want)
			}
		})
	}
}

func TestRotateIsPillows(t *testing.T) {
	for _, c := range []struct {
		w, h    int
		degrees float64
		want    string
	}{
		{61, 47, 1, "05f271d4ca41fa35"}, {48, 48, 1, "35f844010b72dcdf"},
		{61, 47, 10, "368fb657e3c85c0d"}, {48, 48, 10, "f0e7a35213f9b6c8"},
		{61, 47, 45, "ad0471b4281611ca"}, {48, 48, 45, "94d3433d911fb0a4"},
		{61, 47, 90, "2ca58c160326e581"}, {48, 48, 90, "4a032baddcfa3a06"},
		{61, 47, 180, "244dbba32c043189"}, {48, 48, 180, "cbe58c81d241f40b"},
		{61, 47, 270, "6231635e6c179035"}, {48, 48, 270, "4b76fdccb2206e35"},
		{61, 47, -33.3, "c0aad1bbeb94e76b"}, {48, 48, -33.3, "2e08c178a3b930d2"},
		{61, 47, 359.5, "609a1a7130d4903c"}, {48, 48, 359.5, "35f844010b72dcdf"},
		{61, 47, 123.4, "b845240d6939e8c3"}, {48, 48, 123.4, "9015308f20cce829"},
	} {
		t.Run(fmt.Sprintf("%dx%d by %v", c.w, c.h, c.degrees), func(t *testing.T) {
			out := NewImage(c.w, c.h)
			rotate(out, formulaImage(c.w, c.h, 5), c.degrees)
			if got := shortHash(out); got != c.want {
				t.Errorf("hash %s, Pillow has %s", got, c.want)
			}
		})
	}
}
