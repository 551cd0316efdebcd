package weights

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func safetensorsFile(header, data string) []byte {
	return append(binary.LittleEndian.AppendUint64(nil, uint64(len(header))), header+data...)
}

// sample has every kind of tensor in an order in which alignment is not given.
func sample() []Tensor {
	return []Tensor{
		{Name: "odd", Shape: []int{3}, Float: []float32{1, -0.5, float32(math.Inf(-1))}},
		{Name: "bn.num_batches_tracked", Shape: []int{}, Int: []int64{math.MinInt64}},
		{Name: "conv.weight", Shape: []int{2, 1, 2, 2}, Float: []float32{1, 2, 3, 4, 5, 6, 7, math.SmallestNonzeroFloat32}},
		{Name: "empty", Shape: []int{0, 3}, Float: []float32{}},
		{Name: `quoted "é" <&>`, Shape: []int{2}, Int: []int64{1, 2}},
	}
}

func TestRoundTrips(t *testing.T) {
	metadata := map[string]string{"format": "pt", "arch": "tiny", "é\n": "<\"&>"}
	for name, write := range map[Format]func(io.Writer) error{
		FormatSafetensors: func(w io.Writer) error { return WriteSafetensors(w, sample(), metadata) },
		FormatZip:         func(w io.Writer) error { return WritePTH(w, sample()) },
	} {
		t.Run(string(name), func(t *testing.T) {
			var a, b bytes.Buffer
			if err := errors.Join(write(&a), write(&b)); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(a.Bytes(), b.Bytes()) {
				t.Error("two writes differ")
			}
			f, err := readBytes(a.Bytes())
			if err != nil {
				t.Fatal(err)
			}
			if f.Format != name {
				t.Errorf("format %q, want %q", f.Format, name)
			}
			if d := cmp.Diff(sample(), f.Tensors); d != "" {
				t.Errorf("tensors (-want +got):\n%s", d)
			}
			if name == FormatSafetensors && !cmp.Equal(metadata, f.Metadata) {
				t.Errorf("metadata %q, want %q", f.Metadata, metadata)
			}
		})
	}
}

func TestWriteNoTensors(t *testing.T) {
	for name, write := range map[string]func(io.Writer) error{
		"safetensors": func(w io.Writer) error { return WriteSafetensors(w, nil, nil) },
		"pth":         func(w io.Writer) error { return WritePTH(w, nil) },
	} {
		var b bytes.Buffer
		if err := write(&b); err != nil {
			t.Fatal(err)
		}
		if f, err := readBytes(b.Bytes()); err != nil || len(f.Tensors) != 0 {
			t.Errorf("%s: %v, %v", name, f, err)
		}
	}
}

// The bytes follow the published format; safetensors 0.8 read a file of this function alike.
func TestSafetensorsLayout(t *testing.T) {
	var b bytes.Buffer
	err := WriteSafetensors(&b, []Tensor{
		{Name: "w", Shape: []int{1}, Float: []float32{1}}, {Name: "n", Shape: []int{}, Int: []int64{2}},
	}, map[string]string{"b": "2", "a": "1"})
	if err != nil {
		t.Fatal(err)
	}
	header := `{"__metadata__":{"a":"1","b":"2"},"w":{"dtype":"F32","shape":[1],"data_offsets":[8,12]},` +
		`"n":{"dtype":"I64","shape":[],"data_offsets":[0,8]}}`
	for len(header)%8 != 0 {
		header += " "
	}
	want := safetensorsFile(header, int64s(2)+floats(1))
	if d := cmp.Diff(string(want), b.String()); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestPTHLayout(t *testing.T) {
	var b bytes.Buffer
	if err := WritePTH(&b, sample()); err != nil {
		t.Fatal(err)
	}
	zr, err := zip.NewReader(bytes.NewReader(b.Bytes()), int64(b.Len()))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range zr.File {
		names = append(names, f.Name)
		at, err := f.DataOffset()
		if err != nil {
			t.Fatal(err)
		}
		if at%64 != 0 || f.Method != zip.Store {
			t.Errorf("%s lies at %d with method %d; torch stores at multiples of 64", f.Name, at, f.Method)
		}
	}
	want := []string{"archive/data.pkl", "archive/byteorder", "archive/data/0", "archive/data/1", "archive/data/2",
		"archive/data/3", "archive/data/4", "archive/version"}
	if d := cmp.Diff(want, names); d != "" {
		t.Errorf("entries (-want +got):\n%s", d)
	}
}

func TestWriteRefusesWhatCannotBeRead(t *testing.T) {
	for _, tt := range []struct {
		reason string
		ts     []Tensor
		want   string
	}{
		{"neither floats nor integers", []Tensor{{Name: "w", Shape: []int{0}}}, "either floats or integers"},
		{"both", []Tensor{{Name: "w", Float: []float32{1}, Int: []int64{1}}}, "either floats or integers"},
		{"too few elements", []Tensor{{Name: "w", Shape: []int{2}, Float: []float32{1}}}, "1 elements in place of 2"},
		{"a negative dimension", []Tensor{{Name: "w", Shape: []int{-1}, Float: []float32{1}}}, "negative dimension"},
		{"a name twice", []Tensor{{Name: "w", Float: []float32{1}}, {Name: "w", Float: []float32{1}}}, `two tensors are named "w"`},
		{"a name that is not UTF-8", []Tensor{{Name: "\xff", Float: []float32{1}}}, "not UTF-8"},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			for _, err := range []error{WriteSafetensors(io.Discard, tt.ts, nil), WritePTH(io.Discard, tt.ts)} {
				if err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("error %v, want %q", err, tt.want)
				}
			}
		})
	}
	err := WriteSafetensors(io.Discard, []Tensor{{Name: metadataKey, Float: []float32{1}}}, nil)
	if err == nil || !strings.Contains(err.Error(), metadataKey) {
		t.Errorf("a tensor named %s: error %v", metadataKey, err)
	}
}

func TestWriteToFullDisk(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("no /dev/full on this system")
	}
	defer full.Close()
	for _, err := range []error{WriteSafetensors(full, sample(), nil), WritePTH(full, sample())} {
		if !errors.Is(err, syscall.ENOSPC) || !strings.HasPrefix(err.Error(), "cannot write ") {
			t.Errorf("error %v, want one that says that no space is left", err)
		}
	}
}

// room is a writer that fails once n bytes have come.
type room int

func (r *room) Write(b []byte) (int, error) {
	if len(b) > int(*r) {
		n := int(*r)
		*r = 0
		return n, syscall.ENOSPC
	}
	*r -= room(len(b))
	return len(b), nil
}

func TestWriteFailsAnywhere(t *testing.T) {
	for name, write := range map[string]func(io.Writer) error{
		"safetensors": func(w io.Writer) error { return WriteSafetensors(w, sample(), nil) },
		"pth":         func(w io.Writer) error { return WritePTH(w, sample()) },
	} {
		var b bytes.Buffer
		if err := write(&b); err != nil {
			t.Fatal(err)
		}
		for n := 0; n < b.Len(); n += 7 {
			if r := room(n); !errors.Is(write(&r), syscall.ENOSPC) {
				t.Fatalf("%s: no error with room for %d of %d bytes", name, n, b.Len())
			}
		}
	}
}

func TestSafetensorsIsStrict(t *testing.T) {
	entry := func(dtype, shape, offsets string) string {
		return `{"dtype":"` + dtype + `","shape":` + shape + `,"data_offsets":` + offsets + `}`
	}
	a := entry("F32", "[1]", "[0,4]")
	for _, tt := range []struct{ name, header, data, want string }{
		{"nothing of the header", `{`, "", "header cannot be read"},
		{"a list", `{]`, "", "header cannot be read"},
		{"not UTF-8", "{\"\xff\":" + a + "}", "1234", "not UTF-8"},
		{"something behind the header", `{}x`, "", "follows the JSON object"},
		{"a name twice", `{"a":` + a + `,"a":` + a + `}`, "1234", "comes twice"},
		{"an unknown field", `{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":1}}`, "1234", "unknown field"},
		{"no shape", `{"a":{"dtype":"F32","data_offsets":[0,4]}}`, "1234", "no shape"},
		{"no offsets", `{"a":{"dtype":"F32","shape":[1]}}`, "1234", "truncated or altered"},
		{"an unknown type", `{"a":` + entry("F8_E4M3", "[4]", "[0,4]") + `}`, "1234", `"F8_E4M3"`},
		{"a fraction", `{"a":` + entry("F32", "[1.5]", "[0,4]") + `}`, "1234", "header cannot be read"},
		{"a negative dimension", `{"a":` + entry("F32", "[-1]", "[0,4]") + `}`, "1234", "negative dimension"},
		{"a negative offset", `{"a":` + entry("F32", "[1]", "[-4,0]") + `}`, "1234", "truncated or altered"},
		{"offsets turned round", `{"a":` + entry("F32", "[1]", "[4,0]") + `}`, "1234", "truncated or altered"},
		{"10^12 elements", `{"a":` + entry("F32", "[1000000,1000000]", "[0,4]") + `}`, "1234", "in place of 4000000000000"},
		{"2^80 elements", `{"a":` + entry("F32", "[1099511627776,1099511627776]", "[0,4]") + `}`, "1234", "more elements than fit"},
		{"data that is missing", `{"a":` + entry("F32", "[2]", "[0,8]") + `}`, "1234", "truncated or altered"},
		{"bytes and shape that differ", `{"a":` + entry("F32", "[1]", "[0,8]") + `}`, "12345678", "8 bytes in place of 4"},
		{"a hole at the start", `{"a":` + entry("F32", "[1]", "[4,8]") + `}`, "12345678", "overlap or leave a hole"},
		{"a hole in the middle", `{"a":` + a + `,"b":` + entry("F32", "[1]", "[8,12]") + `}`, "123456789abc", "overlap or leave a hole"},
		{"overlap", `{"a":` + a + `,"b":` + entry("F32", "[1]", "[2,6]") + `}`, "123456", "overlap or leave a hole"},
		{"bytes behind the last", `{"a":` + a + `}`, "12345", "follow the last tensor"},
		{"metadata that is no string", `{"__metadata__":{"a":1},"a":` + a + `}`, "1234", "__metadata__"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := readBytes(safetensorsFile(tt.header, tt.data))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
	huge := append(binary.LittleEndian.AppendUint64(nil, maxSafetensorsHeader), "{}"...)
	if _, err := readBytes(huge); err == nil || !strings.Contains(err.Error(), "ends too early") {
		t.Errorf("a header of 100 MB that is not there: error %v", err)
	}
}

func TestSafetensorsTypes(t *testing.T) {
	for _, tt := range []struct {
		dtype, data string
		want        Tensor
	}{
		{"F32", floats(1.5), Tensor{Float: []float32{1.5}}},
		{"F64", int64s(int64(math.Float64bits(0.1))), Tensor{Float: []float32{0.1}}},
		{"F16", "\x00\xc1", Tensor{Float: []float32{-2.5}}},
		{"BF16", "\x49\xc0", Tensor{Float: []float32{-3.140625}}},
		{"I64", int64s(-1 << 62), Tensor{Int: []int64{-1 << 62}}},
		{"I32", "\xfe\xff\xff\xff", Tensor{Int: []int64{-2}}},
		{"I16", "\xfe\xff", Tensor{Int: []int64{-2}}},
		{"I8", "\xfe", Tensor{Int: []int64{-2}}},
		{"U8", "\xfe", Tensor{Int: []int64{254}}},
		{"BOOL", "\x01", Tensor{Int: []int64{1}}},
	} {
		t.Run(tt.dtype, func(t *testing.T) {
			offsets := string(appendJSON(nil, []int{0, len(tt.data)}))
			f, err := readBytes(safetensorsFile(`{"x":{"dtype":"`+tt.dtype+`","shape":[1],"data_offsets":`+offsets+`}}`, tt.data))
			if err != nil {
				t.Fatal(err)
			}
			tt.want.Name, tt.want.Shape = "x", []int{1}
			if d := cmp.Diff([]Tensor{tt.want}, f.Tensors); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}
