package weights

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ftrun/ftrun/internal/durable"
)

func TestAnyChangedByteOfASealedFileIsFound(t *testing.T) {
	ts := []Tensor{{Name: "a", Shape: []int{2}, Float: []float32{1, -2}}, {Name: "n", Shape: []int{}, Int: []int64{7}}}
	var b bytes.Buffer
	if err := WriteSealed(&b, ts, map[string]string{"note": `"ftrun.checksum":"00000000"`}); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "f.safetensors")
	write := func(raw []byte) {
		t.Helper()
		if err := os.WriteFile(path, raw, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	raw := b.Bytes()
	write(raw)
	file, err := OpenSealed(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(ts, file.Tensors); d != "" {
		t.Error(d)
	}
	for i := range raw {
		raw[i] ^= 1 << (i % 8)
		write(raw)
		if _, err := OpenSealed(path); !errors.Is(err, durable.ErrAltered) {
			t.Errorf("byte %d: %v", i, err)
		}
		raw[i] ^= 1 << (i % 8)
	}
	for n := 1; n < len(raw); n += 5 {
		write(raw[:n])
		if _, err := OpenSealed(path); !errors.Is(err, durable.ErrAltered) {
			t.Errorf("cut to %d bytes: %v", n, err)
		}
	}
	write(append(raw, 0))
	if _, err := OpenSealed(path); !errors.Is(err, durable.ErrAltered) {
		t.Errorf("a byte more: %v", err)
	}
}

func TestAFileWithoutASealIsNotTakenForASealedOne(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f.safetensors")
	var b bytes.Buffer
	if err := WriteSafetensors(&b, []Tensor{{Name: "a", Shape: []int{1}, Float: []float32{1}}}, nil); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenSealed(path); !errors.Is(err, durable.ErrAltered) {
		t.Error(err)
	}
}

// FuzzOpenSealed opens what passes for a checkpoint.
func FuzzOpenSealed(f *testing.F) {
	var b bytes.Buffer
	if err := WriteSealed(&b, []Tensor{{Name: "a", Shape: []int{1}, Float: []float32{1}}}, map[string]string{"note": "x"}); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add(b.Bytes()[:20])
	f.Add(append([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}, b.Bytes()...))
	path := filepath.Join(f.TempDir(), "f.ckpt")
	f.Fuzz(func(t *testing.T, raw []byte) {
		if err := os.WriteFile(path, raw, 0o666); err != nil {
			t.Fatal(err)
		}
		var file *File
		var err error
		bounded(t, allocated(func() { file, err = OpenSealed(path) }), raw)
		if err != nil {
			return
		}
		var back bytes.Buffer
		if err := WriteSealed(&back, file.Tensors, file.Metadata); err != nil {
			t.Error(err)
		}
	})
}
