package weights

import (
	"archive/tar"
	"archive/zip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/big"
	"strings"
)

// readZip reads what torch.save writes since 1.6: a zip archive of one folder with the object's pickle in data.pkl and
// each storage, raw, in data/KEY.
func readZip(src source) (*File, error) {
	zr, err := zip.NewReader(src.r, src.size)
	if err != nil {
		return nil, fmt.Errorf("it begins like a zip archive, but its directory at the end cannot be read (%w); "+
			"the file is truncated or altered", err)
	}
	entries := make(map[string]*zip.File, len(zr.File))
	var folder string
	pickles := 0
	for _, f := range zr.File {
		if entries[f.Name] != nil {
			return nil, fmt.Errorf("the archive has two entries named %q; the file is altered", f.Name)
		}
		entries[f.Name] = f
		if dir, ok := strings.CutSuffix(f.Name, "data.pkl"); ok && strings.Count(dir, "/") <= 1 &&
			(dir == "" || strings.HasSuffix(dir, "/")) {
			folder = dir
			pickles++
		}
	}
	if pickles != 1 {
		return nil, fmt.Errorf("the archive has %d entries data.pkl, and torch.save writes one: "+
			"it was not written by torch.save", pickles)
	}
	if entries[folder+"constants.pkl"] != nil {
		return nil, errors.New("it is a TorchScript program (torch.jit.save), not a state dict; " +
			"save it with torch.save(model.state_dict(), path)")
	}
	if f := entries[folder+"byteorder"]; f != nil {
		pos, err := checkEntry(src, f, 16)
		if err != nil {
			return nil, err
		}
		order, err := src.bytes(pos, int64(f.UncompressedSize64))
		if err != nil {
			return nil, err
		}
		if string(order) != "little" {
			return nil, fmt.Errorf("its byte order is %q; only little-endian files can be read", order)
		}
	}

	storages := make(map[string]*storage)
	b := torchBuilder{persist: func(id any) (any, error) {
		s, key, _, err := storageOf(id, 5)
		if err != nil {
			return nil, err
		}
		if known := storages[key]; known != nil {
			return sameStorage(known, s, key)
		}
		f := entries[folder+"data/"+key]
		if f == nil {
			return nil, fmt.Errorf("storage %q is missing in the archive; the file is altered", key)
		}
		if f.UncompressedSize64%uint64(s.dtype.size()) != 0 || f.UncompressedSize64/uint64(s.dtype.size()) != uint64(s.n) {
			return nil, fmt.Errorf("storage %q has %d bytes in place of %d elements of %d; the file is altered",
				key, f.UncompressedSize64, s.n, s.dtype.size())
		}
		if s.pos, err = checkEntry(src, f, src.size); err != nil {
			return nil, err
		}
		storages[key] = s
		return s, nil
	}}
	f := entries[folder+"data.pkl"]
	pos, err := checkEntry(src, f, maxPickle)
	if err != nil {
		return nil, err
	}
	object, _, err := unpickleAt(src, pos, int64(f.UncompressedSize64), b)
	if err != nil {
		return nil, err
	}
	ts, err := tensors(src, object)
	return &File{Tensors: ts, Format: FormatZip}, err
}

// checkEntry checks that an entry is stored as it is and agrees with its checksum, and returns where its bytes begin.
func checkEntry(src source, f *zip.File, most int64) (int64, error) {
	if f.Method != zip.Store || f.CompressedSize64 != f.UncompressedSize64 {
		return 0, fmt.Errorf("entry %q is compressed; torch.save stores entries as they are", f.Name)
	}
	if f.UncompressedSize64 > uint64(most) {
		return 0, fmt.Errorf("entry %q has %d bytes, more than the %d it may have", f.Name, f.UncompressedSize64, most)
	}
	pos, err := f.DataOffset()
	if err == nil {
		err = src.has(pos, int64(f.UncompressedSize64))
	}
	if err != nil {
		return 0, fmt.Errorf("entry %q: %w", f.Name, err)
	}
	r, err := f.Open()
	if err == nil {
		_, err = io.Copy(io.Discard, r)
		r.Close()
	}
	if err != nil {
		return 0, fmt.Errorf("entry %q cannot be read (%w); the file is truncated or altered", f.Name, err)
	}
	return pos, nil
}

// storageOf reads the persistent id ("storage", class, key, location, elements) of a storage, with further fields where
// length is more than 5.
func storageOf(id any, length int) (s *storage, key string, rest tuple, err error) {
	t, ok := id.(tuple)
	if ok && len(t) == length && t[0] == "storage" {
		class, okClass := t[1].(storageClass)
		key, okKey := t[2].(string)
		n, okN := t[4].(int64)
		if okClass && okKey && okN && n >= 0 {
			return &storage{dtype: dtype(class), n: n, pos: -1}, key, t[5:], nil
		}
	}
	return nil, "", nil, fmt.Errorf("malformed pickle: a persistent id that names no storage")
}

// sameStorage sees that a storage that is named again is named alike.
func sameStorage(known, again *storage, key string) (*storage, error) {
	if known.dtype != again.dtype || known.n != again.n {
		return nil, fmt.Errorf("storage %q is named twice, with different types or sizes; the file is altered", key)
	}
	return known, nil
}

// readLegacy reads what torch.save wrote from 0.1.10 to 1.5: five pickles (magic number, protocol version, system,
// object, keys of the storages) and then the storages in the order of the keys, each with its count of elements in
// 8 bytes before it.
func readLegacy(src source) (*File, error) {
	magic, _ := new(big.Int).SetString("1950a86a20f9469cfc6c", 16) // torch/serialization.py, MAGIC_NUMBER
	v, at, err := unpickleAt(src, 0, maxPickle, torchBuilder{})
	if err != nil {
		return nil, err
	}
	if n, ok := v.(*big.Int); !ok || n.Cmp(magic) != 0 {
		return nil, errors.New("it is a Python pickle, but torch.save did not write it")
	}
	v, at, err = unpickleAt(src, at, maxPickle, torchBuilder{})
	if err != nil {
		return nil, err
	}
	if v != int64(1001) { // torch/serialization.py, PROTOCOL_VERSION
		return nil, errors.New("torch's legacy container has a protocol version other than 1001")
	}
	if at, err = readSystem(src, at); err != nil {
		return nil, err
	}

	storages := make(map[string]*storage)
	views := make(map[string]*storage)
	b := torchBuilder{persist: func(id any) (any, error) {
		s, key, rest, err := storageOf(id, 6)
		if err != nil {
			return nil, err
		}
		if known := storages[key]; known != nil {
			if s, err = sameStorage(known, s, key); err != nil {
				return nil, err
			}
		}
		storages[key] = s
		if rest[0] == nil {
			return s, nil
		}
		view, ok := rest[0].(tuple) // key, first element, elements
		if ok && len(view) == 3 {
			viewKey, okKey := view[0].(string)
			first, okFirst := view[1].(int64)
			n, okN := view[2].(int64)
			if okKey && okFirst && okN {
				if views[viewKey] == nil {
					if views[viewKey], err = s.view(first, n); err != nil {
						return nil, err
					}
				}
				return views[viewKey], nil
			}
		}
		return nil, errors.New("malformed pickle: a view of a storage that cannot be read")
	}}
	object, at, err := unpickleAt(src, at, maxPickle, b)
	if err != nil {
		return nil, err
	}
	v, at, err = unpickleAt(src, at, maxPickle, torchBuilder{})
	if err != nil {
		return nil, err
	}
	keys, ok := v.(*list)
	if !ok {
		return nil, errors.New("the list of storages is missing; the file is altered")
	}
	for _, k := range keys.items {
		key, _ := k.(string)
		s := storages[key]
		if s == nil || s.pos >= 0 {
			return nil, errors.New("the list of storages does not match the tensors; the file is altered")
		}
		if at, err = s.place(src, at); err != nil {
			return nil, fmt.Errorf("storage %q: %w", key, err)
		}
	}
	ts, err := tensors(src, object)
	return &File{Tensors: ts, Format: FormatLegacy}, err
}

// readSystem reads the pickle that says what machine wrote the file, and sees that it was little-endian.
func readSystem(src source, at int64) (int64, error) {
	v, at, err := unpickleAt(src, at, maxPickle, torchBuilder{})
	if err != nil {
		return 0, err
	}
	d, ok := v.(*dict)
	if !ok {
		return 0, errors.New("the description of the writing system is missing; the file is altered")
	}
	if little, _ := d.get("little_endian"); little != true {
		return 0, errors.New("it was written on a big-endian machine; only little-endian files can be read")
	}
	return at, nil
}

// view is n elements of s from first on.
func (s *storage) view(first, n int64) (*storage, error) {
	if first < 0 || n < 0 || first > s.n || n > s.n-first {
		return nil, fmt.Errorf("a view of %d elements from %d on of a storage of %d; the file is altered", n, first, s.n)
	}
	return &storage{dtype: s.dtype, n: n, base: s, first: first}, nil
}

// place tells s that its count and elements lie at byte at, and returns what follows them.
func (s *storage) place(src source, at int64) (int64, error) {
	b, err := src.bytes(at, 8)
	if err != nil {
		return 0, err
	}
	if n := int64(binary.LittleEndian.Uint64(b)); n != s.n {
		return 0, fmt.Errorf("%d elements where the pickle promises %d; the file is truncated or altered", n, s.n)
	}
	s.pos = at + 8
	if _, err := s.position(src); err != nil {
		return 0, err
	}
	return s.pos + s.n*s.dtype.size(), nil
}

// readTar reads what torch.save wrote before 0.1.10: a tar archive of sys_info, the storages, the tensors over them and
// the pickle of the object, which refers to tensors by number.
func readTar(src source) (*File, error) {
	type member struct{ at, end int64 }
	members := make(map[string]member)
	section := io.NewSectionReader(src.r, 0, src.size)
	for tr := tar.NewReader(section); ; {
		h, err := tr.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("the tar archive cannot be read (%w); the file is truncated or altered", err)
		}
		at, err := section.Seek(0, io.SeekCurrent)
		if err == nil {
			err = src.has(at, h.Size)
		}
		if err != nil {
			return nil, fmt.Errorf("member %q: %w", h.Name, err)
		}
		if _, again := members[h.Name]; again || h.Typeflag != tar.TypeReg {
			return nil, fmt.Errorf("member %q is no plain file or is there twice; the file is altered", h.Name)
		}
		members[h.Name] = member{at, at + h.Size}
	}
	for _, name := range []string{"sys_info", "storages", "tensors", "pickle"} {
		if _, ok := members[name]; !ok {
			return nil, fmt.Errorf("the tar archive has no member %q: it is truncated, or torch.save did not write it", name)
		}
	}
	// Nothing of a member may be read behind its end.
	within := func(m member) source { return source{r: src.r, size: m.end} }

	sys := members["sys_info"]
	if _, err := readSystem(within(sys), sys.at); err != nil {
		return nil, err
	}
	storages, err := readTarStorages(within(members["storages"]), members["storages"].at)
	if err != nil {
		return nil, fmt.Errorf("member \"storages\": %w", err)
	}
	strideds, err := readTarTensors(within(members["tensors"]), members["tensors"].at, storages)
	if err != nil {
		return nil, fmt.Errorf("member \"tensors\": %w", err)
	}
	b := torchBuilder{persist: func(id any) (any, error) {
		if key, ok := id.(string); ok && strideds[key] != nil {
			return strideds[key], nil
		}
		return nil, errors.New("malformed pickle: a reference to a tensor that is not there")
	}}
	p := members["pickle"]
	object, _, err := unpickleAt(within(p), p.at, maxPickle, b)
	if err != nil {
		return nil, err
	}
	ts, err := tensors(src, object)
	return &File{Tensors: ts, Format: FormatTar}, err
}

// readTriple unpickles the description of a storage or a tensor, three values, and returns where it ends. what is its
// name in errors.
func readTriple(src source, at int64, what string) (tuple, int64, error) {
	v, at, err := unpickleAt(src, at, maxPickle, torchBuilder{})
	if err != nil {
		return nil, 0, err
	}
	t, ok := v.(tuple)
	if !ok || len(t) != 3 {
		return nil, 0, fmt.Errorf("a %s's description cannot be read", what)
	}
	return t, at, nil
}

// readTarStorages reads a count, so many storages (a pickled (key, location, class) and then the count of elements and the
// elements), and a list of views (key, key of the whole, first element, elements).
func readTarStorages(src source, at int64) (map[int64]*storage, error) {
	n, at, err := readCount(src, at)
	if err != nil {
		return nil, err
	}
	storages := make(map[int64]*storage)
	for range n {
		var t tuple
		if t, at, err = readTriple(src, at, "storage"); err != nil {
			return nil, err
		}
		key, okKey := t[0].(int64)
		class, okClass := t[2].(storageClass)
		if !okKey || !okClass || storages[key] != nil {
			return nil, errors.New("a storage's description cannot be read")
		}
		b, err := src.bytes(at, 8)
		if err != nil {
			return nil, err
		}
		s := &storage{dtype: dtype(class), n: int64(binary.LittleEndian.Uint64(b)), pos: -1}
		if s.n < 0 {
			return nil, errors.New("a storage has a negative size; the file is altered")
		}
		if at, err = s.place(src, at); err != nil {
			return nil, err
		}
		storages[key] = s
	}
	v, _, err := unpickleAt(src, at, maxPickle, torchBuilder{})
	if err != nil {
		return nil, err
	}
	views, ok := v.(*list)
	if !ok {
		return nil, errors.New("the list of views is missing")
	}
	for _, item := range views.items {
		view, ok := ints(item)
		if !ok || len(view) != 4 || storages[view[1]] == nil {
			return nil, errors.New("a view of a storage cannot be read")
		}
		if storages[view[0]], err = storages[view[1]].view(view[2], view[3]); err != nil {
			return nil, err
		}
	}
	return storages, nil
}

// readTarTensors reads a count and so many tensors: a pickled (key, key of the storage, class), then dimensions (4 bytes,
// and 4 of padding), shape, strides and offset in elements (8 bytes each). Keys are in decimal, as the pickle has them.
func readTarTensors(src source, at int64, storages map[int64]*storage) (map[string]*strided, error) {
	n, at, err := readCount(src, at)
	if err != nil {
		return nil, err
	}
	out := make(map[string]*strided)
	for range n {
		var t tuple
		if t, at, err = readTriple(src, at, "tensor"); err != nil {
			return nil, err
		}
		key, okKey := t[0].(int64)
		storageKey, okStorage := t[1].(int64)
		if !okKey || !okStorage || storages[storageKey] == nil {
			return nil, errors.New("a tensor's description cannot be read")
		}
		b, err := src.bytes(at, 4)
		if err != nil {
			return nil, err
		}
		at += 8
		dims := int64(binary.LittleEndian.Uint32(b))
		if b, err = src.bytes(at, 8*(2*dims+1)); err != nil {
			return nil, err
		}
		at += int64(len(b))
		numbers := make([]int64, 2*dims+1)
		for i := range numbers {
			numbers[i] = int64(binary.LittleEndian.Uint64(b[8*i:]))
		}
		out[fmt.Sprint(key)] = &strided{storages[storageKey], numbers[2*dims], numbers[:dims], numbers[dims : 2*dims]}
	}
	return out, nil
}

func readCount(src source, at int64) (n, next int64, err error) {
	v, next, err := unpickleAt(src, at, maxPickle, torchBuilder{})
	if err != nil {
		return 0, 0, err
	}
	n, ok := v.(int64)
	if !ok || n < 0 {
		return 0, 0, errors.New("its count cannot be read")
	}
	return n, next, nil
}
