package weights

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Pieces of pickles, to put together by hand.

func global(module, name string) string { return "c" + module + "\n" + name + "\n" }

func number(n int) string {
	var p pickler
	p.int(n)
	return string(p.b)
}

// tensorOp pickles a float32 tensor over the storage named key.
func tensorOp(key string, storageElements, offset int, shape, stride []int) string {
	s := global("torch._utils", "_rebuild_tensor_v2") + "((" + textOp("storage") + global("torch", "FloatStorage") +
		textOp(key) + textOp("cpu") + number(storageElements) + "tQ" + number(offset) + "("
	for _, d := range shape {
		s += number(d)
	}
	s += "t("
	for _, d := range stride {
		s += number(d)
	}
	return s + "t\x89" + global("collections", "OrderedDict") + ")RtR"
}

// dictOp pickles a dict of alternating keys' and values' ops.
func dictOp(ops ...string) string { return "}(" + strings.Join(ops, "") + "u" }

func pickled(op string) string { return "\x80\x02" + op + "." }

type zipEntry struct {
	name, data string
	method     uint16
}

func zipFile(entries ...zipEntry) []byte {
	var b bytes.Buffer
	zw := zip.NewWriter(&b)
	for _, e := range entries {
		w, err := zw.CreateHeader(&zip.FileHeader{Name: e.name, Method: e.method})
		if err != nil {
			panic(err)
		}
		w.Write([]byte(e.data))
	}
	zw.Close()
	return b.Bytes()
}

// zipOf is a file of torch.save with that pickle and a storage "0" of the 4 floats 1, 2, 3, 4.
func zipOf(pickle string) []byte {
	return zipFile(zipEntry{name: "x/data.pkl", data: pickle}, zipEntry{name: "x/data/0", data: floats(1, 2, 3, 4)})
}

func floats(fs ...float32) string {
	b, _ := binary.Append(nil, binary.LittleEndian, fs)
	return string(b)
}

func int64s(is ...int64) string {
	b, _ := binary.Append(nil, binary.LittleEndian, is)
	return string(b)
}

// legacyFileWithViews is a file of torch 0.2: one storage of 4 floats and two tensors over views of it.
func legacyFileWithViews() []byte {
	view := func(key string, first, n int) string {
		return global("torch._utils", "_rebuild_tensor") + "((" + textOp("storage") + global("torch", "FloatStorage") +
			textOp("root") + textOp("cpu") + number(4) + "(" + textOp(key) + number(first) + number(n) + "ttQ" +
			number(0) + "(" + number(n) + "t(" + number(1) + "ttR"
	}
	// Python 2 gave an OrderedDict its pairs as a list of lists.
	object := global("collections", "OrderedDict") + "(](](" + textOp("whole") + view("v0", 0, 4) + "e](" +
		textOp("part") + view("v1", 1, 2) + "eetR"
	return []byte(pickled("\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19") + pickled(number(1001)) +
		pickled(dictOp(textOp("little_endian"), "\x88")) + pickled(object) +
		pickled("]("+textOp("root")+"e") + int64s(4) + floats(1, 2, 3, 4))
}

// tarFile is a file of torch 0.1.9: a tensor of 2x2, a transposed view of a part and a counter.
func tarFile() []byte {
	members := []struct{ name, data string }{
		{"sys_info", pickled(dictOp(textOp("little_endian"), "\x88"))},
		{"pickle", pickled(dictOp(
			textOp("whole"), textOp("100")+"Q",
			textOp("parameter"), global("torch.nn.parameter", "Parameter")+")\x81("+textOp("101")+"QNN\x88\x89tb",
			textOp("counter"), textOp("102")+"Q"))},
		{"tensors", pickled(number(3)) +
			pickled(number(100)+number(1)+global("torch", "FloatTensor")+"\x87") + int64s(2, 2, 2, 2, 1, 0) +
			pickled(number(101)+number(3)+global("torch", "FloatTensor")+"\x87") + int64s(2, 1, 2, 1, 1, 0) +
			pickled(number(102)+number(2)+global("torch", "LongTensor")+"\x87") + int64s(1, 1, 1, 0)},
		{"storages", pickled(number(2)) +
			pickled(number(1)+textOp("cpu")+global("torch", "FloatStorage")+"\x87") + int64s(4) + floats(1, 2, 3, 4) +
			pickled(number(2)+textOp("cpu")+global("torch", "LongStorage")+"\x87") + int64s(1, -7) +
			pickled("]("+"("+number(3)+number(1)+number(2)+number(2)+"te")},
	}
	var b bytes.Buffer
	tw := tar.NewWriter(&b)
	for _, m := range members {
		tw.WriteHeader(&tar.Header{Name: m.name, Size: int64(len(m.data)), Mode: 0o600, Format: tar.FormatPAX})
		tw.Write([]byte(m.data))
	}
	tw.Close()
	return b.Bytes()
}

func TestReadOldContainers(t *testing.T) {
	for _, tt := range []struct {
		name string
		file []byte
		want []Tensor
	}{
		{"legacy with views", legacyFileWithViews(), []Tensor{
			{Name: "whole", Shape: []int{4}, Float: []float32{1, 2, 3, 4}},
			{Name: "part", Shape: []int{2}, Float: []float32{2, 3}},
		}},
		{"tar", tarFile(), []Tensor{
			{Name: "whole", Shape: []int{2, 2}, Float: []float32{1, 2, 3, 4}},
			{Name: "parameter", Shape: []int{1, 2}, Float: []float32{3, 4}},
			{Name: "counter", Shape: []int{1}, Int: []int64{-7}},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f, err := readBytes(tt.file)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tt.want, f.Tensors); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestHandMadeZipIsRead(t *testing.T) { // else the refusals below would prove nothing
	f, err := readBytes(zipOf(pickled(dictOp(textOp("w"), tensorOp("0", 4, 1, []int{3}, []int{1})))))
	if err != nil {
		t.Fatal(err)
	}
	want := []Tensor{{Name: "w", Shape: []int{3}, Float: []float32{2, 3, 4}}}
	if d := cmp.Diff(want, f.Tensors); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestMaliciousPickles(t *testing.T) {
	trace := filepath.Join(t.TempDir(), "trace")
	command := textOp("touch " + trace)
	const refused = "nothing of it was run"
	for _, tt := range []struct{ name, op, want string }{
		{"GLOBAL and REDUCE", global("os", "system") + command + "\x85R", `"os.system"`},
		{"STACK_GLOBAL and REDUCE", textOp("os") + textOp("system") + "\x93" + command + "\x85R", `"os.system"`},
		{"STACK_GLOBAL with remembered names", textOp("os") + "q\x000" + textOp("system") + "q\x01h\x00h\x01\x93", "opcode 0x30"},
		{"INST", "(" + command + "ios\nsystem\n", `"os.system"`},
		{"OBJ", "(" + global("os", "system") + command + "o", `"os.system"`},
		{"OBJ of an allowed class", "(" + global("collections", "OrderedDict") + "o", "opcode 0x6f"},
		{"NEWOBJ", global("subprocess", "Popen") + command + "\x85\x81", `"subprocess.Popen"`},
		{"NEWOBJ of an allowed function", global("torch._utils", "_rebuild_tensor_v2") + ")\x81", "_rebuild_tensor_v2"},
		{"NEWOBJ_EX", global("torch.nn.parameter", "Parameter") + ")}\x92", "opcode 0x92"},
		{"BUILD of a class", global("collections", "OrderedDict") + dictOp(textOp("__class__"), "N") + "b", "sets the state"},
		{"BUILD of a list", "]}b", "sets the state of a list"},
		{"BUILD of a dict", "}}b", "sets the state of a dictionary"},
		{"BUILD of a dict with a tuple", global("collections", "OrderedDict") + ")R}}\x86b", "sets the state"},
		{"BUILD of a parameter without a tensor", global("torch.nn.parameter", "Parameter") + ")\x81}b", "sets the state"},
		{"REDUCE of a list", "]N\x85R", "calls a list"},
		{"REDUCE of a string", textOp("os.system") + ")R", "calls a string"},
		{"REDUCE of a class of storages", global("torch", "FloatStorage") + number(9) + "\x85R", "calls a class"},
		{"REDUCE of a parameter", global("torch.nn.parameter", "Parameter") + ")R", "unknown arguments"},
		{"eval of builtins", global("builtins", "eval") + textOp("1") + "\x85R", `"builtins.eval"`},
		{"list of builtins", global("builtins", "list"), `"builtins.list"`},
		{"array", global("array", "_array_reconstructor"), `"array._array_reconstructor"`},
		{"_reconstructor", global("copy_reg", "_reconstructor"), `"copy_reg._reconstructor"`},
		{"a dotted name", global("torch", "_utils.os.system"), `"torch._utils.os.system"`},
		{"a whole model", global("torchvision.models.resnet", "ResNet") + ")\x81", "torch.save(model.state_dict()"},
		{"nested in a persistent id", "(" + textOp("storage") + global("os", "system") + command + "\x85R" + textOp("cpu") +
			number(4) + "tQ", `"os.system"`},
		{"a module as persistent id", "(" + textOp("module") + "NNNtQ", "names no storage"},
		{"a text as persistent id", "Pos.system\n", "opcode 0x50"},
		{"extension registry", "\x82\x01", "opcode 0x82"},
		{"in a value beside the tensors", dictOp(textOp("x"), global("os", "system")+command+"\x85R",
			textOp("w"), tensorOp("0", 4, 0, []int{4}, []int{1})), `"os.system"`},
		{"behind nested state", dictOp(textOp("state_dict"), dictOp(textOp("x"), global("posix", "system")+command+"\x85R")),
			`"posix.system"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := readBytes(zipOf(pickled(tt.op)))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("error %v, want %s", err, tt.want)
			}
			if strings.HasPrefix(tt.want, `"`) && !strings.Contains(err.Error(), refused) {
				t.Errorf("error %q does not say %q", err, refused)
			}
			// So is it in each of the legacy container's pickles.
			magic := pickled("\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19")
			version := pickled(number(1001))
			system := pickled(dictOp(textOp("little_endian"), "\x88"))
			for _, prefix := range []string{magic, magic + version, magic + version + system} {
				_, err := readBytes([]byte(prefix + pickled(tt.op)))
				if err == nil || strings.HasPrefix(tt.want, `"`) && prefix == magic+version+system && !strings.Contains(err.Error(), tt.want) {
					t.Errorf("legacy container: error %v, want %s", err, tt.want)
				}
			}
		})
	}
	if _, err := os.Stat(trace); err == nil {
		t.Error("a command was run")
	}
}

func TestMalformedPickles(t *testing.T) {
	w := textOp("w")
	for _, tt := range []struct{ name, pickle, want string }{
		{"nothing", "", "ends too early"},
		{"no STOP", "\x80\x02N", "ends too early"},
		{"STOP of nothing", "\x80\x02.", "a value is missing"},
		{"STOP under a mark", "\x80\x02(.", "a value is missing"},
		{"STOP with values left", pickled("NN"), "left over"},
		{"protocol 0", "(dp0\n.", "opcode"},
		{"protocol 6", "\x80\x06N.", "protocol 6"},
		{"a string of 4 GB", pickled("X\xff\xff\xff\xffab"), "more than 2 GB"},
		{"a string of 2 GB", pickled("X\xff\xff\xff\x7fab"), "ends too early"},
		{"a string that is not UTF-8", pickled("X\x01\x00\x00\x00\xff"), "not UTF-8"},
		{"an integer of 2 GB", pickled("\x8b\xff\xff\xff\x7f"), "opcode 0x8b"},
		{"an integer of no bytes", pickled("\x8a\x00"), "a number and not a state dict"},
		{"memory of nothing", pickled("h\x07"), "nothing was remembered"},
		{"remembering nothing", pickled("q\x07"), "a value is missing"},
		{"a tuple of too few", pickled("N\x86"), "a value is missing"},
		{"a tuple across a mark", pickled("N(\x85"), "a value is missing"},
		{"a tuple without a mark", pickled("t"), "a mark is missing"},
		{"a key without a value", pickled("}(Nu"), "a key without a value"},
		{"an item of nothing", pickled("NNs"), "a value is missing"},
		{"an item of a list", pickled("]NNs"), "sets an item of a list"},
		{"appending to a dict", pickled("}Na"), "appends to a dictionary"},
		{"a global without a line's end", "\x80\x02ctorch", "ends too early"},
		{"a global of numbers", pickled("K\x01K\x02\x93"), "not a string"},
		{"arguments that are a list", pickled(global("collections", "OrderedDict") + "]R"), "not a tuple"},
		{"a list", pickled("]"), "a list and not a state dict"},
		{"a tensor alone", pickled(tensorOp("0", 4, 0, []int{4}, []int{1})), "a tensor and not a state dict"},
		{"a number in it", pickled(dictOp(w, "K\x01")), `"w" is a number`},
		{"a number as name", pickled(dictOp("K\x01", tensorOp("0", 4, 0, []int{4}, []int{1}))), "no name"},
		{"a parameter without a tensor", pickled(dictOp(w, global("torch.nn.parameter", "Parameter")+")\x81")), `"w"`},
		{"a name twice", pickled(dictOp(w, tensorOp("0", 4, 0, []int{1}, []int{1}), w, tensorOp("0", 4, 0, []int{1}, []int{1}))),
			`two tensors are named "w"`},
		{"a dict that holds itself", pickled("}q\x00(" + w + "h\x00u"), `"w" is a dictionary`},
		{"a storage that is missing", pickled(dictOp(w, tensorOp("1", 4, 0, []int{4}, []int{1}))), `"1" is missing`},
		{"a storage of 10^9 elements", pickled(dictOp(w, tensorOp("0", 1e9, 0, []int{4}, []int{1}))), "in place of 1000000000 elements"},
		{"a storage of 2^62 elements", pickled(dictOp(w, tensorOp("0", 1<<62, 0, []int{4}, []int{1}))), "in place of"},
		{"two storages of one name", pickled(dictOp(w, tensorOp("0", 4, 0, []int{4}, []int{1}), w, tensorOp("0", 3, 0, []int{1}, []int{1}))),
			"named twice"},
		{"elements behind the storage", pickled(dictOp(w, tensorOp("0", 4, 1, []int{4}, []int{1}))), "outside of its storage"},
		{"strides behind the storage", pickled(dictOp(w, tensorOp("0", 4, 0, []int{2, 2}, []int{3, 1}))), "outside of its storage"},
		{"strides that overflow", pickled(dictOp(w, tensorOp("0", 4, 0, []int{3, 3}, []int{1 << 62, 1 << 62}))), "outside of its storage"},
		{"an offset that overflows", pickled(dictOp(w, tensorOp("0", 4, 1<<63-1, []int{2}, []int{1}))), "outside of its storage"},
		{"negative strides", pickled(dictOp(w, strings.Replace(tensorOp("0", 4, 3, []int{2}, []int{77}), number(77), "J\xff\xff\xff\xff", 1))),
			"outside of its storage"},
		{"a negative dimension", pickled(dictOp(w, strings.Replace(tensorOp("0", 4, 0, []int{77}, []int{1}), number(77), "J\xff\xff\xff\xff", 1))),
			"negative dimension"},
		{"too few strides", pickled(dictOp(w, tensorOp("0", 4, 0, []int{2, 2}, []int{1}))), "1 strides"},
		{"10^12 elements of one", pickled(dictOp(w, tensorOp("0", 4, 0, []int{1e6, 1e6}, []int{0, 0}))), "more elements than it has bytes"},
		{"2^80 elements", pickled(dictOp(w, tensorOp("0", 4, 0, []int{1 << 40, 1 << 40}, []int{0, 0}))), "more elements than fit"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := readBytes(zipOf(tt.pickle))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

func TestMalformedArchives(t *testing.T) {
	good := pickled(dictOp(textOp("w"), tensorOp("0", 4, 0, []int{4}, []int{1})))
	data := floats(1, 2, 3, 4)
	for _, tt := range []struct {
		name    string
		entries []zipEntry
		want    string
	}{
		{"no pickle", []zipEntry{{name: "x/data/0", data: data}}, "0 entries data.pkl"},
		{"two pickles", []zipEntry{{name: "x/data.pkl", data: good}, {name: "y/data.pkl", data: good}}, "2 entries data.pkl"},
		{"a name twice", []zipEntry{{name: "x/data.pkl", data: good}, {name: "x/data/0", data: data}, {name: "x/data/0", data: data}},
			"two entries"},
		{"TorchScript", []zipEntry{{name: "x/data.pkl", data: good}, {name: "x/constants.pkl", data: good}}, "TorchScript"},
		{"big-endian", []zipEntry{{name: "x/data.pkl", data: good}, {name: "x/byteorder", data: "big"}}, "little-endian"},
		{"a storage too short", []zipEntry{{name: "x/data.pkl", data: good}, {name: "x/data/0", data: data[1:]}}, "15 bytes in place of 4"},
		{"a storage too long", []zipEntry{{name: "x/data.pkl", data: good}, {name: "x/data/0", data: data + data}}, "32 bytes in place of 4"},
		{"a bomb for pickle", []zipEntry{{name: "x/data.pkl", data: strings.Repeat("(", maxPickle), method: zip.Deflate}}, "compressed"},
		{"a bomb for storage", []zipEntry{{name: "x/data.pkl", data: good}, {name: "x/data/0", data: data, method: zip.Deflate}}, "compressed"},
		{"a pickle too long", []zipEntry{{name: "x/data.pkl", data: strings.Repeat("(", maxPickle+1)}}, "more than the"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := readBytes(zipFile(tt.entries...))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

// A file of 1 MB whose tensors all show the same storage, each in another order.
func TestSharedStorageIsBounded(t *testing.T) {
	const side = 500
	var ops []string
	for i := range 1000 {
		ops = append(ops, textOp(fmt.Sprint(i)), tensorOp("0", side*side, 0, []int{side, side}, []int{1, side}))
	}
	file := zipFile(zipEntry{name: "x/data.pkl", data: pickled(dictOp(ops...))},
		zipEntry{name: "x/data/0", data: strings.Repeat("\x00", 4*side*side)})
	var err error
	took := allocated(func() { _, err = readBytes(file) })
	if err == nil || !strings.Contains(err.Error(), "more elements than it has bytes") {
		t.Errorf("error %v", err)
	}
	if took > uint64(30*len(file)) {
		t.Errorf("%d bytes of memory for a file of %d", took, len(file))
	}
}

// allocated is the number of bytes that do allocates.
func allocated(do func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// bounded fails where a file of so many bytes took more memory than its content accounts for: what its header promises
// does not count. Reading itself takes some, and so does a fuzzer beside it.
func bounded(t *testing.T, took uint64, file []byte) {
	t.Helper()
	if took > uint64(64*len(file))+1<<20 {
		t.Errorf("%d bytes of memory for a file of %d", took, len(file))
	}
}

// whole is a file, and how much of it must be there for its tensors to be whole.
type whole struct {
	file []byte
	end  int
}

// wholeFiles has files of each container.
func wholeFiles(t *testing.T) map[string]whole {
	files := make(map[string]whole)
	add := func(name string, file []byte) { files[name] = whole{file, len(file)} }
	for _, name := range []string{"zip.pth", "legacy.pth", "protocol4.pth", "checkpoint.pth"} {
		b, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		add(name, b)
	}
	add("legacy with views", legacyFileWithViews())
	var st bytes.Buffer
	if err := WriteSafetensors(&st, expected(t), nil); err != nil {
		t.Fatal(err)
	}
	add("safetensors", st.Bytes())
	archive := tarFile()
	end := bytes.LastIndex(archive, []byte("te.")) + len("te.") // only padding and two blocks of zeros follow
	files["tar"] = whole{archive, end}
	return files
}

func TestTruncatedAnywhere(t *testing.T) {
	for name, f := range wholeFiles(t) {
		t.Run(name, func(t *testing.T) {
			if _, err := readBytes(f.file); err != nil {
				t.Fatal(err)
			}
			for n := range f.end {
				if _, err := readBytes(f.file[:n]); err == nil {
					t.Errorf("the first %d of %d bytes are read without an error", n, len(f.file))
				}
				if _, err := describeBytes(f.file[:n]); err == nil {
					t.Errorf("the first %d of %d bytes are described without an error", n, len(f.file))
				}
			}
		})
	}
}

// A flipped bit never panics. In a zip archive, whose entries carry checksums, it is either seen or without effect.
func TestFlippedBits(t *testing.T) {
	for name, f := range wholeFiles(t) {
		t.Run(name, func(t *testing.T) {
			want, err := readBytes(f.file)
			if err != nil {
				t.Fatal(err)
			}
			seen := 0
			altered := bytes.Clone(f.file)
			for i := 0; i < len(altered); i += 3 { // a third of the bytes, and with i%8 every bit
				altered[i] ^= 1 << (i % 8)
				got, err := readBytes(altered)
				altered[i] = f.file[i]
				if err != nil {
					seen++
				} else if want.Format == FormatZip && !reflect.DeepEqual(want.Tensors, got.Tensors) {
					t.Errorf("byte %d altered, and the tensors with it", i)
				}
			}
			if seen == 0 {
				t.Error("no alteration was seen")
			}
		})
	}
}
