package data

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ftrun/ftrun/internal/durable"
)

// The files were written, and the hashes of their RGB made, by Pillow 9.4.0, those of JPEG files by Pillow 13.0.
func TestDecodeIsPillows(t *testing.T) {
	for _, c := range []struct{ file, hash string }{
		{"rgb.png", "bb3a44e4607869a8"},
		{"grey.png", "7bc12ce6550a8b5a"},
		{"grey_alpha.png", "7bc12ce6550a8b5a"},
		{"palette.png", "970695cd6ff1e0b7"},
		{"bilevel.png", "efeb99e9cecba9af"},
		{"rgba.png", "bb3a44e4607869a8"},
		{"rgb.bmp", "bb3a44e4607869a8"},
		{"palette.bmp", "970695cd6ff1e0b7"},
		{"rgb.tiff", "bb3a44e4607869a8"},
		{"grey.tif", "7bc12ce6550a8b5a"},
		{"rgb.ppm", "bb3a44e4607869a8"},
		{"grey.pgm", "7bc12ce6550a8b5a"},
		{"lossless.webp", "bb3a44e4607869a8"},
		{"lossy.webp", "74dc1834e117b9c2"},
		{"lossy_alpha.webp", "6cd1d92d19ab6c37"},
		{"444.jpg", "cb3bdc0512a21bc1"},
		{"422.jpg", "627cd674e7b1daa3"},
		{"420.jpg", "0b75f8c2168eedfd"},
		{"progressive.jpeg", "0b75f8c2168eedfd"},
		{"grey.jpg", "f3e15f44944e3cd1"},
		{"cmyk.jpg", "aa994bcc759d6c9a"},
		{"exif_turned.jpg", "cb3bdc0512a21bc1"},
	} {
		t.Run(c.file, func(t *testing.T) {
			path := filepath.Join("testdata", "pictures", c.file)
			img, err := DecodeFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if img.W != 41 || img.H != 27 {
				t.Fatalf("%d×%d pixels, want 41×27", img.W, img.H)
			}
			if got := shortHash(img); got != c.hash {
				t.Errorf("hash %s, Pillow has %s", got, c.hash)
			}
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := check(b); err != nil {
				t.Errorf("check: %v", err)
			}
			if err := check(b[:len(b)/2]); err == nil {
				t.Error("half of the file passes for a picture")
			}
		})
	}
}

func TestDecodeBroken(t *testing.T) {
	for name, c := range map[string]struct{ content, want string }{
		"empty":             {"", "the file is empty"},
		"text":              {"hello", "not a JPEG"},
		"web page":          {"<!doctype html>", "web page"},
		"gif":               {"GIF89a....", "this is a GIF"},
		"jpeg cut off":      {"\xff\xd8\xff\xe0\x00\x10JFIF", "JPEG"},
		"too large":         {"P5 100000 100000 255\n", "more than"},
		"no rows":           {"P5 10 0 255\n", "empty"},
		"short ppm":         {"P6 100 100 255\nabc", "ends too early"},
		"short text ppm":    {"P3 9999 9999 255\n1 2 3", "ends too early"},
		"ppm without white": {"P6 1 1 0\nabc", "white value"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := decodeBytes([]byte(c.content))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
	_, err := DecodeFile(filepath.Join(t.TempDir(), "missing.jpg"))
	var pe *PictureError
	if !errors.As(err, &pe) || !errors.Is(err, os.ErrNotExist) && !strings.Contains(err.Error(), "missing.jpg") {
		t.Errorf("a missing file gives %v", err)
	}
	if _, err := DecodeFile(os.DevNull); !errors.Is(err, durable.ErrNoFile) { // others, such as pipes, may never end
		t.Errorf("a device gives %v", err)
	}
}

func TestDecodeNetpbm(t *testing.T) {
	for name, c := range map[string]struct {
		content string
		want    []uint8
	}{
		"text grey":    {"P2 # comment\n2 1\n4\n0 2", []uint8{0, 0, 0, 128, 128, 128}},
		"text colour":  {"P3\n1 1\n255\n1 2 3\n", []uint8{1, 2, 3}},
		"bytes":        {"P6 1 1 255\n\x01\x02\x03", []uint8{1, 2, 3}},
		"sixteen bits": {"P5 1 1 65535\n\x80\x80", []uint8{128, 128, 128}},
	} {
		t.Run(name, func(t *testing.T) {
			img, err := decodeBytes([]byte(c.content))
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(img.Pix, c.want) {
				t.Errorf("pixels %v, want %v", img.Pix, c.want)
			}
		})
	}
}

func FuzzDecode(f *testing.F) {
	files, err := filepath.Glob(filepath.Join("testdata", "pictures", "*"))
	if err != nil || len(files) == 0 {
		f.Fatal("no seeds: ", err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if fm, err := sniff(b); err == nil {
			if cfg, err := fm.config(b); err != nil || cfg.Width*cfg.Height > 1<<20 {
				return // true or not, large claims only cost the fuzzer time
			}
		}
		img, err := decodeBytes(b)
		if err == nil && (img.W <= 0 || img.H <= 0 || len(img.Pix) != 3*img.W*img.H) {
			t.Errorf("%d×%d pixels in %d bytes", img.W, img.H, len(img.Pix))
		}
	})
}
