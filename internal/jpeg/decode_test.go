package jpeg

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// eachWay runs a test with the vector instructions and without.
func eachWay(t *testing.T, test func(t *testing.T)) {
	t.Run("vectors", test)
	plainly(func() { t.Run("portable", test) })
}

func TestDecodeIsLibjpegTurbos(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("testdata", "pixels.json"))
	if err != nil {
		t.Fatal(err)
	}
	var pixels map[string][3]any
	if err := json.Unmarshal(b, &pixels); err != nil {
		t.Fatal(err)
	}
	if len(pixels) == 0 {
		t.Fatal("there are no pictures")
	}
	eachWay(t, func(t *testing.T) {
		for _, name := range slices.Sorted(maps.Keys(pixels)) {
			want := pixels[name]
			file, err := os.ReadFile(filepath.Join("testdata", name))
			if err != nil {
				t.Fatal(err)
			}
			pix, w, h, err := Decode(file)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if float64(w) != want[0] || float64(h) != want[1] || len(pix) != 3*w*h {
				t.Errorf("%s: %d×%d pixels in %d bytes, want %v×%v", name, w, h, len(pix), want[0], want[1])
				continue
			}
			if sum := sha256.Sum256(pix); hex.EncodeToString(sum[:]) != want[2] {
				t.Errorf("%s: pixels differ from Pillow's", name)
			}
		}
	})
}

// segment writes a segment of a file.
func segment(marker uint8, body ...byte) string {
	return string([]byte{0xff, marker, 0, uint8(2 + len(body))}) + string(body)
}

func TestDecodeRefuses(t *testing.T) {
	const soi, eoi = "\xff\xd8", "\xff\xd9"
	frame := func(marker uint8, body ...byte) string { return soi + segment(marker, body...) }
	good := read(t, "444_baseline_17x16.jpg")
	without := func(marker uint8) string {
		s := string(good)
		for {
			at := strings.Index(s, string([]byte{0xff, marker, 0}))
			if at < 0 {
				return s
			}
			s = s[:at] + s[at+2+int(s[at+3]):]
		}
	}
	scan := bytes.Index(good, []byte{0xff, markerSOS})
	for _, c := range []struct{ name, file, want string }{
		{"empty", "", "does not begin"},
		{"no marker", soi, "unexpected EOF"},
		{"end at once", soi + eoi, "no picture"},
		{"short length", soi + "\xff\xdb\x00\x01", "length 1"},
		{"12 bits", frame(markerSOF1, 12, 0, 8, 0, 8, 1, 1, 0x11, 0), "12 bits a sample"},
		{"lossless", frame(0xc3, 8, 0, 8, 0, 8, 1, 1, 0x11, 0), "lossless"},
		{"arithmetic", frame(0xc9, 8, 0, 8, 0, 8, 1, 1, 0x11, 0), "arithmetically"},
		{"two channels", frame(markerSOF0, 8, 0, 8, 0, 8, 2, 1, 0x11, 0, 2, 0x11, 0), "2 channels"},
		{"no rows", frame(markerSOF0, 8, 0, 0, 0, 8, 1, 1, 0x11, 0), "empty"},
		{"no sampling", frame(markerSOF0, 8, 0, 8, 0, 8, 1, 1, 0x01, 0), "sampling factors"},
		{"fractions", frame(markerSOF0, 8, 0, 8, 0, 8, 3, 1, 0x31, 0, 2, 0x21, 0, 3, 0x11, 0), "sampled 2×1 times"},
		{"twice one channel", frame(markerSOF0, 8, 0, 8, 0, 8, 3, 1, 0x11, 0, 1, 0x11, 0, 3, 0x11, 0), "number 1"},
		{"scan first", soi + segment(markerSOS, 1, 1, 0, 0, 63, 0), "before the header"},
		{"no scan", frame(markerSOF0, 8, 0, 8, 0, 8, 1, 1, 0x11, 0) + eoi, "missing"},
		{"no quantisation", without(markerDQT), "quantisation table is missing"},
		{"no Huffman table", without(markerDHT), "Huffman table is missing"},
		{"oversubscribed codes", soi + segment(markerDHT, append([]byte{0, 3}, make([]byte, 18)...)...), "Huffman"},
		{"two frames", string(good[:scan]) + frame(markerSOF0, 8, 0, 8, 0, 8, 1, 1, 0x11, 0)[2:], "second frame"},
		{"unknown channel", string(good[:scan]) + segment(markerSOS, 1, 9, 0, 0, 63, 0), "scan's header"},
		{"data cut short", string(good[:scan+2+int(good[scan+3])+20]) + eoi, "ends before the picture"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, _, _, err := Decode([]byte(c.file)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

func TestDecodeRefusesWhatIsCutOff(t *testing.T) {
	for _, name := range []string{"420_baseline_17x16.jpg", "422_progressive_17x16.jpg", "restart_each_mcu_baseline.jpg"} {
		file := read(t, name)
		for n := range len(file) {
			_, _, _, err := Decode(file[:n])
			if err == nil || n > 2 && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%s: %d of %d bytes: error %v", name, n, len(file), err)
			}
		}
	}
}

// A decoder is used again and again: what one picture leaves in its memory must not show in the next.
func TestDecodeForgets(t *testing.T) {
	first, _, _, err := Decode(read(t, "apart_22_21_12.jpg"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"finest_progressive.jpg", "cmyk_baseline.jpg", "420_baseline_1x1.jpg"} {
		file := read(t, name)
		for _, n := range []int{len(file), len(file) / 2} {
			Decode(file[:n]) // half of it fails half way
			if again, _, _, err := Decode(read(t, "apart_22_21_12.jpg")); err != nil || !bytes.Equal(again, first) {
				t.Errorf("after %d bytes of %s: other pixels, error %v", n, name, err)
			}
		}
	}
}

func read(tb testing.TB, name string) []byte {
	tb.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func FuzzDecode(f *testing.F) {
	names, err := filepath.Glob(filepath.Join("testdata", "*.jpg"))
	if err != nil || len(names) == 0 {
		f.Fatal("no seeds: ", err)
	}
	for _, name := range names {
		f.Add(read(f, filepath.Base(name)))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		w, h, err := Size(file)
		if err != nil || w*h > 1<<16 {
			return // true or not, large claims only cost the fuzzer time
		}
		pix, w2, h2, err := Decode(file)
		var plain []uint8
		var plainErr error
		plainly(func() { plain, _, _, plainErr = Decode(file) })
		if (err == nil) != (plainErr == nil) || !bytes.Equal(pix, plain) {
			t.Error("vector and portable instructions give other pixels")
		}
		if err == nil && (w2 != w || h2 != h || len(pix) != 3*w*h) {
			t.Errorf("%d×%d pixels in %d bytes, and the size is %d×%d", w2, h2, len(pix), w, h)
		}
	})
}

// A header of a few bytes that claims a large picture must not cost the memory of one.
func TestDecodeAllocatesForWhatIsThere(t *testing.T) {
	file := read(t, "420_progressive_17x16.jpg")
	at := bytes.Index(file, []byte{0xff, markerSOF0 + 2}) + 5
	huge := slices.Concat(file[:at], []byte{0x33, 0x33, 0x33, 0x33}, file[at+4:]) // 13107×13107
	var err error
	allocated := testing.Benchmark(func(b *testing.B) {
		for b.Loop() {
			_, _, _, err = Decode(huge)
		}
	}).AllocedBytesPerOp()
	if !errors.Is(err, io.ErrUnexpectedEOF) || allocated > 1<<20 {
		t.Errorf("error %v, %d bytes allocated", err, allocated)
	}
}

func TestDecodeBoundsScans(t *testing.T) {
	file := read(t, "grey_baseline.jpg")
	scan := bytes.Index(file, []byte{0xff, markerSOS})
	end := len(file) - 2
	many := slices.Concat(file[:scan], bytes.Repeat(file[scan:end], maxScans+1), file[end:])
	if _, _, _, err := Decode(many); err == nil || !strings.Contains(err.Error(), "scans") {
		t.Errorf("error %v", err)
	}
}
