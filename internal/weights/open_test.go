package weights

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nlpodyssey/gopickle/pytorch"
	"github.com/nlpodyssey/gopickle/types"

	"github.com/ftrun/ftrun/internal/testdata"
)

// expected are the tensors of zip.pth, legacy.pth and protocol4.pth, as PyTorch printed them.
func expected(t *testing.T) []Tensor {
	t.Helper()
	raw, err := os.ReadFile("testdata/expected.json")
	if err != nil {
		t.Fatal(err)
	}
	var printed []struct {
		Name  string
		Shape []int
		Float []string
		Int   []int64
	}
	if err := json.Unmarshal(raw, &printed); err != nil {
		t.Fatal(err)
	}
	var ts []Tensor
	for _, p := range printed {
		x := Tensor{Name: p.Name, Shape: p.Shape, Int: p.Int}
		if p.Int == nil {
			x.Float = []float32{}
		}
		for _, s := range p.Float {
			f, err := strconv.ParseFloat(s, 64)
			if err != nil {
				t.Fatal(err)
			}
			x.Float = append(x.Float, float32(f))
		}
		ts = append(ts, x)
	}
	return ts
}

func open(t *testing.T, path string) *File {
	t.Helper()
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func readBytes(b []byte) (*File, error) {
	return read(source{r: bytes.NewReader(b), size: int64(len(b))})
}

func describeBytes(b []byte) (*File, error) {
	return read(source{r: bytes.NewReader(b), size: int64(len(b)), described: true})
}

// TestDescribed holds what is read without the numbers against the whole.
func TestDescribed(t *testing.T) {
	for name, f := range wholeFiles(t) {
		t.Run(name, func(t *testing.T) {
			whole, err := readBytes(f.file)
			if err != nil {
				t.Fatal(err)
			}
			got, err := describeBytes(f.file)
			if err != nil {
				t.Fatal(err)
			}
			for i, tensor := range whole.Tensors {
				if tensor.Float != nil {
					tensor.Float = []float32{}
				} else {
					tensor.Int = []int64{}
				}
				whole.Tensors[i] = tensor
			}
			if d := cmp.Diff(whole, got); d != "" {
				t.Errorf("described (-want +got):\n%s", d)
			}
		})
	}
}

func TestOpenWhatTorchWrote(t *testing.T) {
	for _, tt := range []struct {
		file   string
		format Format
	}{
		{"zip.pth", FormatZip},
		{"protocol4.pth", FormatZip},
		{"legacy.pth", FormatLegacy},
	} {
		t.Run(tt.file, func(t *testing.T) {
			f := open(t, filepath.Join("testdata", tt.file))
			if f.Format != tt.format {
				t.Errorf("format %q, want %q", f.Format, tt.format)
			}
			if d := cmp.Diff(expected(t), f.Tensors); d != "" {
				t.Errorf("tensors differ from PyTorch's (-want +got):\n%s", d)
			}
		})
	}
}

func TestOpenTellsByContent(t *testing.T) {
	b, err := os.ReadFile("testdata/legacy.pth")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "weights.safetensors")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if f := open(t, path); f.Format != FormatLegacy {
		t.Errorf("format %q, want %q", f.Format, FormatLegacy)
	}
}

func TestOpenCheckpoint(t *testing.T) {
	f := open(t, "testdata/checkpoint.pth")
	var names []string
	for _, x := range f.Tensors {
		names = append(names, x.Name)
	}
	want := []string{"0.weight", "1.weight", "1.bias", "1.running_mean", "1.running_var", "1.num_batches_tracked"}
	if d := cmp.Diff(want, names); d != "" {
		t.Errorf("names (-want +got):\n%s", d)
	}
	if w, ok := f.Lookup("0.weight"); !ok || !slices.Equal(w.Float, []float32{0.5, -0.25}) {
		t.Errorf("0.weight = %+v", w)
	}
	if _, ok := f.Lookup("module.0.weight"); ok {
		t.Error("DataParallel's prefix was kept")
	}
}

func TestMendNames(t *testing.T) {
	for _, tt := range []struct {
		reason    string
		old, want []string
	}{
		{"DenseNet's layers", []string{
			"features.denseblock1.denselayer10.norm.1.running_var", "features.denseblock4.denselayer2.conv.2.weight",
		}, []string{
			"features.denseblock1.denselayer10.norm1.running_var", "features.denseblock4.denselayer2.conv2.weight",
		}},
		{"only inside of denselayer", []string{"block.norm.1.weight", "features.norm.1.weight"},
			[]string{"block.norm.1.weight", "features.norm.1.weight"}},
		{"only layers 1 and 2", []string{"denselayer1.norm.3.weight"}, []string{"denselayer1.norm.3.weight"}},
		{"a prefix that all have", []string{"module.fc.weight", "module.fc.bias"}, []string{"fc.weight", "fc.bias"}},
		{"a prefix that one lacks", []string{"module.fc.weight", "fc.bias"}, []string{"module.fc.weight", "fc.bias"}},
		{"both habits", []string{"module.denselayer1.conv.1.weight"}, []string{"denselayer1.conv1.weight"}},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			if d := cmp.Diff(tt.want, mended(tt.old)); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func mended(names []string) []string {
	ts := make([]Tensor, len(names))
	for i, n := range names {
		ts[i].Name = n
	}
	mendNames(ts)
	out := make([]string, len(ts))
	for i := range ts {
		out[i] = ts[i].Name
	}
	return out
}

func TestMendNamesOfPublishedDenseNet(t *testing.T) {
	var golden struct{ Pairs [][2]string }
	readJSON(t, testdata.Shared(t, "data/golden/densenet121_old_keys.json"), &golden)
	var old, want []string
	for _, p := range golden.Pairs {
		old, want = append(old, p[0]), append(want, p[1])
	}
	if d := cmp.Diff(want, mended(old)); d != "" || len(want) == 0 {
		t.Errorf("of %d names (-want +got):\n%s", len(want), d)
	}
}

func readJSON(t *testing.T, path string, v any) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatal(err)
	}
}

type stateDictEntry struct {
	Name, Dtype string
	Shape       []int
}

func goldenStateDict(t *testing.T, arch string) []stateDictEntry {
	var golden struct{ Entries []stateDictEntry }
	readJSON(t, testdata.Shared(t, "data/golden/state_dicts/"+arch+".json"), &golden)
	return golden.Entries
}

func TestOpenSharedWeights(t *testing.T) {
	for _, tt := range []struct {
		file, arch string
		format     Format
		counters   bool // the file has num_batches_tracked
	}{
		{"mobilenet_v2-features-42bd1d8f.pth", "mobilenet_v2", FormatZip, true},
		{"resnet18-synthetic-tar-16785f07.pth", "resnet18", FormatTar, false},
		{"resnet18-synthetic-zip-b7fde4c5.pth", "resnet18", FormatZip, false},
		{"squeezenet1_0-d0cd5b8a.pth", "squeezenet1_0", FormatLegacy, false},
		{"squeezenet1_1-d30c1927.pth", "squeezenet1_1", FormatZip, false},
	} {
		t.Run(tt.file, func(t *testing.T) {
			f := open(t, testdata.Shared(t, "data/weights/"+tt.file))
			if f.Format != tt.format {
				t.Errorf("format %q, want %q", f.Format, tt.format)
			}
			if want := hashPrefix(tt.file); !strings.HasPrefix(f.SHA256, want) {
				t.Errorf("SHA-256 %s, want %s…", f.SHA256, want)
			}
			want := 0
			for _, e := range goldenStateDict(t, tt.arch) {
				if e.Dtype == "int64" && !tt.counters {
					continue
				}
				want++
				x, ok := f.Lookup(e.Name)
				if !ok || !slices.Equal(x.Shape, e.Shape) || (x.Int != nil) != (e.Dtype == "int64") {
					t.Errorf("%s: want shape %d of %s, got %+v", e.Name, e.Shape, e.Dtype, x)
				}
			}
			if len(f.Tensors) != want {
				t.Errorf("%d tensors, want %d", len(f.Tensors), want)
			}
		})
	}
}

// The two files of resnet18 hold numbers of a formula (golden/README.md), each in another container.
func TestOpenSyntheticNumbers(t *testing.T) {
	inZip := open(t, testdata.Shared(t, "data/weights/resnet18-synthetic-zip-b7fde4c5.pth"))
	inTar := open(t, testdata.Shared(t, "data/weights/resnet18-synthetic-tar-16785f07.pth"))
	if len(inZip.Tensors) != len(inTar.Tensors) {
		t.Fatalf("%d tensors in the zip file, %d in the tar", len(inZip.Tensors), len(inTar.Tensors))
	}
	for position, e := range goldenStateDict(t, "resnet18") {
		if e.Dtype == "int64" {
			continue
		}
		z, _ := inZip.Lookup(e.Name)
		r, _ := inTar.Lookup(e.Name)
		if z == nil || r == nil || !slices.Equal(z.Shape, r.Shape) || !slices.Equal(z.Float, r.Float) {
			t.Errorf("%s differs between zip and tar", e.Name)
			continue
		}
		for i, got := range z.Float {
			if want := synthetic(position, i, e); got != want {
				t.Fatalf("%s[%d] = %v, want %v", e.Name, i, got, want)
			}
		}
	}
}

func synthetic(position, i int, e stateDictEntry) float32 {
	h := uint32(i)*2654435761 + uint32(position*40503+12345)
	h ^= h >> 16
	h *= 0x85ebca6b
	h ^= h >> 13
	h *= 0xc2b2ae35
	h ^= h >> 16
	u := float64(h >> 24)
	switch {
	case strings.HasSuffix(e.Name, "running_mean"):
		return float32((u - 127.5) / (1 << 9))
	case strings.HasSuffix(e.Name, "running_var"):
		return float32(1 + u/(1<<9))
	case len(e.Shape) > 1:
		fan := 1
		for _, d := range e.Shape[1:] {
			fan *= d
		}
		k := math.Floor(math.Log2(127.5/math.Sqrt(6/float64(fan))) + 0.5)
		return float32((u - 127.5) * math.Exp2(-k))
	case e.Name == "fc.bias":
		return float32((u - 127.5) / (1 << 12))
	case strings.HasSuffix(e.Name, "weight"):
		return float32(1 + (u-127.5)/(1<<10))
	default:
		return float32((u - 127.5) / (1 << 10))
	}
}

// gopickle is another program's reading of the same containers.
func TestOpenAgreesWithGopickle(t *testing.T) {
	written := filepath.Join(t.TempDir(), "written.pth")
	var b bytes.Buffer
	if err := WritePTH(&b, []Tensor{
		{Name: "a", Shape: []int{2, 3}, Float: []float32{1, 2, 3, 4, 5, 6}}, {Name: "b", Shape: []int{70000}, Float: make([]float32, 70000)},
	}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(written, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, find := range map[string]func(t *testing.T) string{
		"what we wrote": func(*testing.T) string { return written },
		"zip":           func(t *testing.T) string { return testdata.Shared(t, "data/weights/squeezenet1_1-d30c1927.pth") },
		"legacy":        func(t *testing.T) string { return testdata.Shared(t, "data/weights/squeezenet1_0-d0cd5b8a.pth") },
	} {
		t.Run(name, func(t *testing.T) {
			path := find(t)
			f := open(t, path)
			object, err := pytorch.Load(path)
			if err != nil {
				t.Fatal(err)
			}
			theirs := object.(*types.OrderedDict)
			if theirs.Len() != len(f.Tensors) || theirs.Len() == 0 {
				t.Fatalf("%d tensors, gopickle has %d", len(f.Tensors), theirs.Len())
			}
			for _, ours := range f.Tensors {
				x := theirs.MustGet(ours.Name).(*pytorch.Tensor)
				all := x.Source.(*pytorch.FloatStorage).Data
				if !slices.Equal(x.Size, ours.Shape) || !slices.Equal(all[x.StorageOffset:][:len(ours.Float)], ours.Float) {
					t.Errorf("%s differs from gopickle's", ours.Name)
				}
			}
		})
	}
}

// A device may never end, and so may a pipe.
func TestSHA256WantsAFile(t *testing.T) {
	if _, err := SHA256(os.DevNull); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("error %v, want one that says what it is", err)
	}
}

func TestOpenWhatIsNoWeights(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, tt := range []struct{ path, want string }{
		{write("empty.pth", ""), "it is empty"},
		{write("page.pth", "\n<!DOCTYPE html><html>503</html>"), "web page"},
		{write("pointer.pth", "version https://git-lfs.github.com/spec/v1\n"), "git lfs pull"},
		{write("text.pth", "hello"), "not a weights file"},
		{write("pickle.pth", "\x80\x02K\x01."), "torch.save did not write it"},
		{write("zip.pth", "PK\x03\x04 and no more"), "truncated or altered"},
		{dir, "not a regular file"},
		{filepath.Join(dir, "absent.pth"), "no such file"},
	} {
		t.Run(filepath.Base(tt.path), func(t *testing.T) {
			_, err := Open(tt.path)
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), tt.path) {
				t.Errorf("error %v, want the path and %q", err, tt.want)
			}
		})
	}
}

func TestFloat16(t *testing.T) {
	for h := range 1 << 16 {
		sign, exponent, fraction := 1-2*float64(h>>15), h>>10&0x1f, float64(h&0x3ff)
		want := sign * fraction / 1024 * math.Exp2(-14)
		switch {
		case exponent == 31 && fraction != 0:
			want = math.NaN()
		case exponent == 31:
			want = sign * math.Inf(1)
		case exponent > 0:
			want = sign * (1 + fraction/1024) * math.Exp2(float64(exponent-15))
		}
		got := float64(float16(uint16(h)))
		if math.IsNaN(want) != math.IsNaN(got) || !math.IsNaN(want) && (got != want || math.Signbit(got) != (h>>15 == 1)) {
			t.Fatalf("float16(%04x) = %v, want %v", h, got, want)
		}
	}
}

func FuzzOpen(f *testing.F) {
	for _, name := range []string{"zip.pth", "legacy.pth", "protocol4.pth", "checkpoint.pth"} {
		b, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add(tarFile())
	f.Add(legacyFileWithViews())
	f.Add(safetensorsFile(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, "\x00\x00\x80\x3f"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var file *File
		var err error
		bounded(t, allocated(func() { file, err = readBytes(b) }), b)
		if (err == nil) != (file != nil) && err == nil {
			t.Fatal("neither a file nor an error")
		}
		if err != nil {
			return
		}
		if err := checkTensors(file.Tensors); err != nil {
			t.Fatalf("a file was read that cannot be written: %v", err)
		}
		elements := 0
		for _, x := range file.Tensors {
			elements += len(x.Float) + len(x.Int)
		}
		if elements > len(b) {
			t.Fatalf("%d elements from %d bytes", elements, len(b))
		}
	})
}
