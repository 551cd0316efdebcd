package weights

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"unicode/utf8"
)

// The container of github.com/huggingface/safetensors: the length of the header in 8 bytes, the header as a JSON object
// from names to types, shapes and places, and the tensors' bytes without holes. Strings of the object "__metadata__" are
// free.
const (
	maxSafetensorsHeader = 100_000_000 // the format's own limit, in bytes
	metadataKey          = "__metadata__"
)

var safetensorsTypes = map[string]dtype{
	"F32": float32Type, "F64": float64Type, "F16": float16Type, "BF16": bfloat16Type,
	"I64": int64Type, "I32": int32Type, "I16": int16Type, "I8": int8Type, "U8": uint8Type, "BOOL": boolType,
}

// looksLikeSafetensors tells the container: the header's length is reasonable and the header begins with a brace.
func looksLikeSafetensors(head []byte) bool {
	return len(head) > 8 && head[8] == '{' && binary.LittleEndian.Uint64(head) <= maxSafetensorsHeader
}

type safetensorsEntry struct {
	Dtype   string  `json:"dtype"`
	Shape   []int64 `json:"shape"`
	Offsets []int64 `json:"data_offsets"`
}

func readSafetensors(src source) (*File, error) {
	b, err := src.bytes(0, 8)
	if err != nil {
		return nil, err
	}
	length := int64(binary.LittleEndian.Uint64(b))
	header, err := src.bytes(8, length)
	if err != nil {
		return nil, err
	}
	entries, names, metadata, err := parseSafetensorsHeader(header)
	if err != nil {
		return nil, fmt.Errorf("the header cannot be read: %w", err)
	}

	file := &File{Metadata: metadata, Format: FormatSafetensors, Tensors: make([]Tensor, len(names))}
	start := 8 + length
	for i, e := range entries {
		d, ok := safetensorsTypes[e.Dtype]
		if !ok {
			return nil, fmt.Errorf("tensor %q has the type %q, which cannot be read", names[i], e.Dtype)
		}
		n, err := count(e.Shape)
		if err != nil {
			return nil, fmt.Errorf("tensor %q: %w", names[i], err)
		}
		if len(e.Offsets) != 2 || e.Offsets[0] < 0 || e.Offsets[1] < e.Offsets[0] || e.Offsets[1] > src.size-start {
			return nil, fmt.Errorf("tensor %q lies at %d of %d bytes; the file is truncated or altered",
				names[i], e.Offsets, src.size-start)
		}
		if e.Offsets[1]-e.Offsets[0] != n*d.size() {
			return nil, fmt.Errorf("tensor %q has %d bytes in place of %d", names[i], e.Offsets[1]-e.Offsets[0], n*d.size())
		}
	}
	order := slices.Clone(entries)
	slices.SortStableFunc(order, func(a, b safetensorsEntry) int {
		return cmp.Or(cmp.Compare(a.Offsets[0], b.Offsets[0]), cmp.Compare(a.Offsets[1], b.Offsets[1]))
	})
	end := int64(0)
	for _, e := range order {
		if e.Offsets[0] != end {
			return nil, fmt.Errorf("the tensors overlap or leave a hole at byte %d of the data", min(end, e.Offsets[0]))
		}
		end = e.Offsets[1]
	}
	if end != src.size-start {
		return nil, fmt.Errorf("%d bytes follow the last tensor; the file is altered", src.size-start-end)
	}

	for i, e := range entries {
		d := safetensorsTypes[e.Dtype]
		n, _ := count(e.Shape)
		t := src.newTensor(d, e.Shape, n)
		t.Name = names[i]
		if src.described {
			file.Tensors[i] = t
			continue
		}
		if err := decodeDense(src, start+e.Offsets[0], d, t); err != nil {
			return nil, fmt.Errorf("tensor %q: %w", names[i], err)
		}
		file.Tensors[i] = t
	}
	return file, nil
}

// parseSafetensorsHeader keeps the order of the names, which a map would lose, and refuses names that come twice.
func parseSafetensorsHeader(header []byte) (
	entries []safetensorsEntry, names []string, metadata map[string]string, err error,
) {
	if !utf8.Valid(header) {
		return nil, nil, nil, errors.New("it is not UTF-8")
	}
	dec := json.NewDecoder(bytes.NewReader(header))
	dec.DisallowUnknownFields()
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, nil, nil, errors.New("it is not a JSON object")
	}
	seen := make(map[string]bool)
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return nil, nil, nil, err
		}
		name, _ := t.(string)
		if seen[name] {
			return nil, nil, nil, fmt.Errorf("the name %q comes twice", name)
		}
		seen[name] = true
		if name == metadataKey {
			if err := dec.Decode(&metadata); err != nil {
				return nil, nil, nil, fmt.Errorf("%s: %w", metadataKey, err)
			}
			continue
		}
		var e safetensorsEntry
		if err := dec.Decode(&e); err != nil {
			return nil, nil, nil, fmt.Errorf("tensor %q: %w", name, err)
		}
		if e.Shape == nil {
			return nil, nil, nil, fmt.Errorf("tensor %q has no shape", name)
		}
		names, entries = append(names, name), append(entries, e)
	}
	if _, err := dec.Token(); err != nil {
		return nil, nil, nil, err
	}
	if rest := bytes.TrimLeft(header[dec.InputOffset():], " "); len(rest) > 0 {
		return nil, nil, nil, errors.New("something follows the JSON object")
	}
	return entries, names, metadata, nil
}

// WriteSafetensors writes the tensors, as F32 and I64, in the format of github.com/huggingface/safetensors. Equal
// arguments give equal bytes. The header keeps the order of ts; the data is aligned to 8 bytes, and for that the int64
// tensors lie before the float32 ones. metadata may be nil.
func WriteSafetensors(w io.Writer, ts []Tensor, metadata map[string]string) error {
	if err := checkTensors(ts); err != nil {
		return fmt.Errorf("cannot write safetensors: %w", err)
	}
	header := []byte("{")
	key := func(s string) {
		if len(header) > 1 {
			header = append(header, ',')
		}
		header = append(appendJSON(header, s), ':')
	}
	if len(metadata) > 0 {
		key(metadataKey)
		for i, k := range slices.Sorted(maps.Keys(metadata)) {
			header = append(header, "{,"[min(i, 1)])
			header = append(appendJSON(header, k), ':')
			header = appendJSON(header, metadata[k])
		}
		header = append(header, '}')
	}
	next := [2]int{}
	for _, t := range ts {
		next[1] += 8 * len(t.Int) // where the float32 tensors begin
	}
	for _, t := range ts {
		if t.Name == metadataKey {
			return fmt.Errorf("cannot write safetensors: no tensor can be named %q", metadataKey)
		}
		kind, typ, size := 0, "I64", 8*len(t.Int)
		if t.Float != nil {
			kind, typ, size = 1, "F32", 4*len(t.Float)
		}
		key(t.Name)
		header = fmt.Appendf(header, `{"dtype":%q,"shape":`, typ)
		header = appendJSON(header, append([]int{}, t.Shape...))
		header = fmt.Appendf(header, `,"data_offsets":[%d,%d]}`, next[kind], next[kind]+size)
		next[kind] += size
	}
	header = append(header, '}')
	for len(header)%8 != 0 {
		header = append(header, ' ')
	}
	if len(header) > maxSafetensorsHeader {
		return fmt.Errorf("cannot write safetensors: a header of %d bytes is longer than the format's %d",
			len(header), maxSafetensorsHeader)
	}

	bw := bufio.NewWriterSize(w, 1<<16)
	bw.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(header)))) // bufio keeps the first error until Flush
	bw.Write(header)
	for _, ints := range []bool{true, false} {
		for _, t := range ts {
			if (t.Int != nil) == ints {
				writeElements(bw, t)
			}
		}
	}
	if err := bw.Flush(); err != nil {
		return fmt.Errorf("cannot write safetensors: %w", err)
	}
	return nil
}

// appendJSON appends a string or a slice of integers.
func appendJSON(b []byte, v any) []byte {
	j, err := json.Marshal(v)
	if err != nil {
		panic(err) // neither can fail
	}
	return append(b, j...)
}

// writeElements writes a tensor's elements, little-endian. Errors stay in the writer.
func writeElements(w *bufio.Writer, t Tensor) {
	const chunk = 4096
	buf := make([]byte, 0, 8*chunk)
	for part := range slices.Chunk(t.Float, chunk) {
		buf = buf[:0]
		for _, f := range part {
			buf = binary.LittleEndian.AppendUint32(buf, math.Float32bits(f))
		}
		w.Write(buf)
	}
	for part := range slices.Chunk(t.Int, chunk) {
		buf = buf[:0]
		for _, i := range part {
			buf = binary.LittleEndian.AppendUint64(buf, uint64(i))
		}
		w.Write(buf)
	}
}

// checkTensors sees that tensors can be written: names unique and valid, as many elements as the shape says.
func checkTensors(ts []Tensor) error {
	if err := uniqueNames(ts); err != nil {
		return err
	}
	for _, t := range ts {
		if !utf8.ValidString(t.Name) {
			return fmt.Errorf("the name %q is not UTF-8", t.Name)
		}
		if (t.Float == nil) == (t.Int == nil) {
			return fmt.Errorf("tensor %q must have either floats or integers", t.Name)
		}
		shape := make([]int64, len(t.Shape))
		for i, d := range t.Shape {
			shape[i] = int64(d)
		}
		n, err := count(shape)
		if err != nil {
			return fmt.Errorf("tensor %q: %w", t.Name, err)
		}
		if have := int64(len(t.Float) + len(t.Int)); have != n {
			return fmt.Errorf("tensor %q of shape %d has %d elements in place of %d", t.Name, t.Shape, have, n)
		}
	}
	return nil
}
