package data

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// folder writes files (path → content) below a new folder; a path that ends in a slash is an empty folder.
func folder(tb testing.TB, files map[string]string) string {
	tb.Helper()
	root := tb.TempDir()
	for name, content := range files {
		path := filepath.Join(root, filepath.FromSlash(name))
		dir := filepath.Dir(path)
		if strings.HasSuffix(name, "/") {
			dir = path
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			tb.Fatal(err)
		}
		if strings.HasSuffix(name, "/") {
			continue
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			tb.Fatal(err)
		}
	}
	return root
}

// zeroTime is long ago, as files that nobody edits are.
var zeroTime = time.Unix(1_000_000_000, 0)

const onePixel = "P6 1 1 255\nabc"

func paths(s *Split) (p []string) {
	for _, it := range s.Items {
		p = append(p, it.Path)
	}
	return p
}

func TestImageFolderOrder(t *testing.T) {
	root := folder(t, map[string]string{
		"train/b/2.PPM": onePixel, "train/b/10.ppm": onePixel, "train/b/no.gif": "GIF89a", "train/b/notes.txt": "",
		"train/b/z/1.ppm": onePixel, "train/b/z-1/1.ppm": onePixel, "train/b/z/a/0.ppm": onePixel, "train/A/1.ppm": onePixel,
		"val/A/1.ppm": onePixel, "val/b/1.ppm": onePixel,
	})
	d, err := Open(context.Background(), Config{Kind: ImageFolder, Path: root})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(d.Classes, []string{"A", "b"}) {
		t.Errorf("classes %v", d.Classes)
	}
	want := []string{"train/A/1.ppm", "train/b/10.ppm", "train/b/2.PPM", "train/b/z/1.ppm", "train/b/z-1/1.ppm", "train/b/z/a/0.ppm"}
	if got := paths(d.Splits[Train]); !slices.Equal(got, want) {
		t.Errorf("order %v, want %v", got, want)
	}
	if got := d.Splits[Train].Counts(2); !slices.Equal(got, []int{1, 5}) {
		t.Errorf("counts %v", got)
	}
}

func TestOpenTellsAllProblems(t *testing.T) {
	ok := map[string]string{"train/a/1.ppm": onePixel, "train/b/1.ppm": onePixel, "val/a/1.ppm": onePixel, "val/b/1.ppm": onePixel}
	with := func(change func(m map[string]string)) map[string]string {
		m := map[string]string{}
		for k, v := range ok {
			m[k] = v
		}
		change(m)
		return m
	}
	for name, c := range map[string]struct {
		files map[string]string
		cfg   Config
		want  []string
	}{
		"no val":         {with(func(m map[string]string) { delete(m, "val/a/1.ppm"); delete(m, "val/b/1.ppm") }), Config{}, []string{"no folder val", "holds train"}},
		"empty class":    {with(func(m map[string]string) { m["train/c/"] = ""; m["val/c/"] = "" }), Config{}, []string{"train/c holds no picture", "val/c holds no picture"}},
		"hidden class":   {with(func(m map[string]string) { m["train/.cache/"] = ""; m["val/.cache/"] = "" }), Config{}, []string{"hidden folder"}},
		"other classes":  {with(func(m map[string]string) { m["train/c/1.ppm"] = onePixel; m["val/d/1.ppm"] = onePixel }), Config{}, []string{"\"c\" is missing in val", "\"d\" is missing in train"}},
		"one class":      {map[string]string{"train/a/1.ppm": onePixel, "val/a/1.ppm": onePixel}, Config{}, []string{"one class only"}},
		"loose pictures": {with(func(m map[string]string) { m["flat/1.ppm"] = onePixel }), Config{Folders: map[string]string{Train: "flat", Val: "val"}}, []string{"no class folders", "one folder a class"}},
		"same folder":    {ok, Config{Folders: map[string]string{Train: "train", Val: "train/"}}, []string{"same folder"}},
		"unknown split":  {ok, Config{Folders: map[string]string{Train: "train", Val: "val", "dev": "val"}}, []string{"no split \"dev\""}},
		"bad share":      {map[string]string{"a/1.ppm": onePixel, "b/1.ppm": onePixel}, Config{Fractions: map[string]float64{Val: 1.5}}, []string{"between 0 and 1"}},
		"too few":        {map[string]string{"a/1.ppm": onePixel, "b/1.ppm": onePixel}, Config{Fractions: map[string]float64{Val: 0.5}}, []string{"too few pictures (1)"}},
	} {
		t.Run(name, func(t *testing.T) {
			c.cfg.Kind, c.cfg.Name, c.cfg.Path = ImageFolder, "d", folder(t, c.files)
			_, err := Open(context.Background(), c.cfg)
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error lacks %q: %v", want, err)
				}
			}
		})
	}
	if _, err := Open(context.Background(), Config{Kind: ImageFolder, Path: "missing/folder"}); err == nil || !strings.Contains(err.Error(), "missing/folder") {
		t.Errorf("a missing root gives %v", err)
	}
}

func TestFractionsAreStratifiedAndStable(t *testing.T) {
	files := map[string]string{}
	for i := range 40 {
		files["a/"+string(rune('A'+i))+".ppm"] = onePixel
		if i < 20 {
			files["b/"+string(rune('A'+i))+".ppm"] = onePixel
		}
	}
	open := func() *Dataset {
		d, err := Open(context.Background(), Config{Kind: ImageFolder, Path: folder(t, files), Fractions: map[string]float64{Val: 0.2, Test: 0.1}})
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	d := open()
	for split, want := range map[string][]int{Train: {28, 14}, Val: {8, 4}, Test: {4, 2}} {
		if got := d.Splits[split].Counts(2); !slices.Equal(got, want) {
			t.Errorf("%s has %v, want %v", split, got, want)
		}
	}
	if !slices.Equal(paths(d.Splits[Val]), paths(open().Splits[Val])) {
		t.Error("the cut depends on where the folder lies")
	}
}

func TestHashAndVerify(t *testing.T) {
	ctx := context.Background()
	root := folder(t, map[string]string{
		"train/a/1.ppm": onePixel, "train/b/1.ppm": onePixel, "val/a/1.ppm": onePixel, "val/b/1.ppm": onePixel,
	})
	hash := func(ix *Index) (*Dataset, string) {
		d, err := Open(ctx, Config{Name: "d", Kind: ImageFolder, Path: root})
		if err != nil {
			t.Fatal(err)
		}
		h, err := d.Hash(ctx, ix)
		if err != nil {
			t.Fatal(err)
		}
		return d, h
	}
	past := filepath.Join(root, "train", "a", "1.ppm")
	if err := os.Chtimes(past, zeroTime, zeroTime); err != nil {
		t.Fatal(err)
	}
	index := filepath.Join(t.TempDir(), "index")
	ix := OpenIndex(index)
	d, first := hash(ix)
	if d.Splits[Train].Items[0].SHA256 == "" {
		t.Error("items have no hash")
	}
	if err := d.Verify(ctx, ix); err != nil {
		t.Error(err)
	}
	if err := ix.Save(); err != nil {
		t.Fatal(err)
	}
	if ix = OpenIndex(index); len(ix.records) != 1 {
		t.Errorf("the index holds %d files, want the one that was not changed just now", len(ix.records))
	}
	// The index is believed: a change that leaves size and time alone goes unseen, any other is seen.
	if err := os.WriteFile(past, []byte("P6 1 1 255\nxyz"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, second := hash(ix); second == first {
		t.Error("a changed picture leaves the hash as it was")
	}
	if err := os.Chtimes(past, zeroTime, zeroTime); err != nil {
		t.Fatal(err)
	}
	if _, third := hash(ix); third != first {
		t.Error("the index was not used")
	}
	for name, content := range map[string]string{"val/b/2.jpg": "oops", "train/a/._1.jpg": "\x00\x05"} {
		if err := os.WriteFile(filepath.Join(root, filepath.FromSlash(name)), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	d, _ = hash(nil)
	err := d.Verify(ctx, nil)
	var problems Problems
	if !errors.As(err, &problems) || len(problems) != 2 {
		t.Fatalf("want two broken pictures, got %v", err)
	}
	for _, want := range []string{"picture val/b/2.jpg", "picture train/a/._1.jpg", "macOS"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error lacks %q: %v", want, err)
		}
	}
}

// Reading a pipe or a device may never end.
func TestHashRefusesWhatIsNoFile(t *testing.T) {
	ctx := context.Background()
	root := folder(t, map[string]string{
		"train/a/1.ppm": onePixel, "train/b/1.ppm": onePixel, "val/a/1.ppm": onePixel, "val/b/1.ppm": onePixel,
	})
	if err := os.Symlink(os.DevNull, filepath.Join(root, "train", "a", "2.ppm")); err != nil {
		t.Fatal(err)
	}
	d, err := Open(ctx, Config{Name: "d", Kind: ImageFolder, Path: root})
	if err == nil {
		_, err = d.Hash(ctx, nil)
	}
	if err == nil || !strings.Contains(err.Error(), "picture train/a/2.ppm: is not a regular file") {
		t.Errorf("error %v, want the picture and what it is", err)
	}
}

// The generator must not change without its version: runs are known by the hash of what it draws.
func TestSyntheticIsPinned(t *testing.T) {
	for task, want := range map[string]string{"shapes": "a4913bb0002e16b7", "textures": "e95d38a59ba2d861"} {
		d, err := Open(context.Background(), Config{Kind: Synthetic, Synthetic: SyntheticConfig{Task: task, Classes: 10, Seed: 3}})
		if err != nil {
			t.Fatal(err)
		}
		if got := d.Splits[Train].Counts(10); slices.Min(got) != 40 || slices.Max(got) != 40 {
			t.Errorf("%s: %v pictures a class", task, got)
		}
		var pix []uint8
		for i := 0; i < 400; i += 40 {
			img, err := d.Splits[Train].Items[i].Decode()
			if err != nil {
				t.Fatal(err)
			}
			pix = append(pix, img.Pix...)
		}
		if got := shortHash(&Image{Pix: pix}); got != want {
			t.Errorf("%s: pixels hash to %s, were %s: raise syntheticVersion where that is meant", task, got, want)
		}
	}
}

func TestSyntheticRefuses(t *testing.T) {
	_, err := Open(context.Background(), Config{Kind: Synthetic, Path: "x", Synthetic: SyntheticConfig{
		Task: "faces", Size: 3, Pictures: map[string]int{Train: 1}}})
	for _, want := range []string{"no task \"faces\"", "size = 3", "\"val\" is missing", "fewer than", "no effect"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error lacks %q: %v", want, err)
		}
	}
}

// FuzzIndex reads index files: whatever one holds, reading it ends, and what is damaged is not believed.
func FuzzIndex(f *testing.F) {
	line := `{"path":"a","size":1,"mtime":2,"sha256":"` + strings.Repeat("0", 64) + `"}`
	f.Add([]byte(headOf([]byte(line))+"\n"+line), uint16(3))
	f.Add([]byte(line), uint16(0))
	path := filepath.Join(f.TempDir(), "index")
	f.Fuzz(func(t *testing.T, raw []byte, at uint16) {
		read := func(raw []byte) int {
			if err := os.WriteFile(path, raw, 0o666); err != nil {
				t.Fatal(err)
			}
			return len(OpenIndex(path).records)
		}
		if read(raw) > 0 {
			raw[int(at)%len(raw)] ^= 1
			if n := read(raw); n > 0 {
				t.Errorf("%d records of a damaged index are believed", n)
			}
		}
	})
}
