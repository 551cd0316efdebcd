package features

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// content is 3 blocks, the last of which is not full.
var content = Content{Of: json.RawMessage(`{"arch":"resnet18"}`), Shape: [3]int{2, 3, 5}, Pictures: 2*BlockPictures + 7}

// values are the features of picture i.
func values(i int) []float32 {
	v := make([]float32, content.Len())
	for j := range v {
		v[j] = float32(i) + float32(j)/64
	}
	return v
}

// put writes the blocks that are missing, at most so many, and counts them.
func put(t *testing.T, w *Writer, most int) (n int) {
	t.Helper()
	for n < most {
		block, _, ok := w.Missing()
		if !ok {
			return n
		}
		var v []float32
		lo, hi := content.span(block)
		for i := lo; i < hi; i++ {
			v = append(v, values(i)...)
		}
		if err := w.Put(block, v); err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}

func resume(t *testing.T, path string) *Writer {
	t.Helper()
	w, err := Resume(path, content, 2)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// write makes a whole file and gives its path.
func write(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, content.Hash())
	w := resume(t, filepath.Join(dir, "part"))
	put(t, w, 3)
	if err := w.Publish(path); err != nil {
		t.Fatal(err)
	}
	return path
}

func wantWhole(t *testing.T, path string) {
	t.Helper()
	f, err := Open(path, content, 2)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got := make([]float32, content.Len())
	for i := range content.Pictures {
		if err := f.Read(got, i); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, values(i)) {
			t.Fatalf("picture %d: %v", i, got)
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Size() != content.Bytes() {
		t.Errorf("%d bytes, told as %d, %v", info.Size(), content.Bytes(), err)
	}
}

func TestWhatIsWrittenIsRead(t *testing.T) { wantWhole(t, write(t)) }

func TestAWriterGoesOnWhereItWas(t *testing.T) {
	dir := t.TempDir()
	part, path := filepath.Join(dir, "part"), filepath.Join(dir, "whole")
	w := resume(t, part)
	put(t, w, 2)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, content, 1); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an unfinished file is there by its name: %v", err)
	}
	w = resume(t, part)
	if n := put(t, w, 3); n != 1 {
		t.Errorf("%d blocks were written again, want the one that was missing", n)
	}
	if err := w.Publish(path); err != nil {
		t.Fatal(err)
	}
	wantWhole(t, path)
}

// TestAFlippedByteIsFound, whichever it is; then as much is made again as it hit.
func TestAFlippedByteIsFound(t *testing.T) {
	data := content.data()
	block := int64(4 * BlockPictures * content.Len())
	tests := []struct {
		name string
		at   int64
		made int // blocks that are to be made again
	}{
		{"magic", 2, 3},
		{"length of the header", 8, 3},
		{"header", 20, 3},
		{"hash of the first block", content.sums() + 1, 1},
		{"first feature", data, 1},
		{"middle block", data + block + 17, 1},
		{"last feature", content.Bytes() - 1, 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := write(t)
			raw, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			raw[test.at] ^= 0x10
			if err := os.WriteFile(path, raw, 0o666); err != nil {
				t.Fatal(err)
			}
			var damaged *DamagedError
			if f, err := Open(path, content, 2); !errors.As(err, &damaged) {
				t.Fatalf("opened %v, %v; want it found", f, err)
			}
			w := resume(t, path)
			if n := put(t, w, 3); n != test.made {
				t.Errorf("%d blocks were made again, want %d", n, test.made)
			}
			if err := w.Publish(path); err != nil {
				t.Fatal(err)
			}
			wantWhole(t, path)
		})
	}
}

func TestAFileOfAnotherSizeIsDamaged(t *testing.T) {
	for _, size := range []int64{0, 5, content.data(), content.Bytes() - 1, content.Bytes() + 1} {
		path := write(t)
		if err := os.Truncate(path, size); err != nil {
			t.Fatal(err)
		}
		var damaged *DamagedError
		if _, err := Open(path, content, 1); !errors.As(err, &damaged) {
			t.Errorf("%d bytes: %v", size, err)
		}
		w := resume(t, path)
		put(t, w, 3)
		if err := w.Publish(path); err != nil {
			t.Fatal(err)
		}
		wantWhole(t, path)
	}
}

func TestOtherContentHasAnotherName(t *testing.T) {
	seen := map[string]bool{content.Hash(): true}
	for _, c := range []Content{
		{json.RawMessage(`{"arch":"resnet34"}`), content.Shape, content.Pictures},
		{content.Of, [3]int{3, 2, 5}, content.Pictures},
		{content.Of, content.Shape, content.Pictures + 1},
	} {
		if seen[c.Hash()] {
			t.Errorf("%+v has the name of another", c)
		}
		seen[c.Hash()] = true
	}
}

// TestAFileThatIsCutOffWhileItIsReadIsAnError, not the end of the process.
func TestAFileThatIsCutOffWhileItIsReadIsAnError(t *testing.T) {
	path := write(t)
	f, err := Open(path, content, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	if err := f.Read(make([]float32, content.Len()), content.Pictures-1); err == nil {
		t.Error("no error")
	}
}

// memory is a file's bytes without the file.
type memory struct{ *bytes.Reader }

func (memory) Close() error { return nil }

// FuzzCheck: whatever lies in a file, checking it neither panics nor finds whole what is not.
func FuzzCheck(f *testing.F) {
	small := content
	small.Pictures = BlockPictures + 1
	f.Add([]byte(magic))
	f.Add(small.header())
	f.Add(append(small.header(), make([]byte, int(small.Bytes())-len(small.header()))...))
	f.Fuzz(func(t *testing.T, raw []byte) {
		good, err := (&File{small, small.data(), memory{bytes.NewReader(raw)}}).check("f", 1)
		if err == nil && slices.Contains(good, true) {
			t.Error("a block passes for one that was written")
		}
	})
}
