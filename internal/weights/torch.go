package weights

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/big"
	"unicode/utf8"
)

// The objects of which torch's pickles consist, beside plain data.
type (
	// storage is a run of n elements in the file, or a part of another storage.
	storage struct {
		dtype dtype
		n     int64    // elements
		pos   int64    // of the first byte in the file; -1 until the container has told
		base  *storage // of a view, else nil
		first int64    // of a view: its first element in base
	}
	// strided is a tensor as torch keeps it: element i0,i1,… is storage[offset + i0*stride0 + i1*stride1 + …].
	strided struct {
		storage       *storage
		offset        int64
		shape, stride []int64
	}
	// parameter is a torch.nn.Parameter that NEWOBJ has made and BUILD fills.
	parameter struct{ t *strided }

	function     string // one of the functions that torchBuilder calls
	storageClass dtype
	tensorClass  struct{} // torch.FloatTensor and so on, which only the tar container mentions
)

const (
	orderedDict     function = "collections.OrderedDict"
	torchSize       function = "torch.Size"
	rebuildTensor   function = "torch._utils._rebuild_tensor"
	rebuildTensorV2 function = "torch._utils._rebuild_tensor_v2"
	rebuildParam    function = "torch._utils._rebuild_parameter"
	parameterClass  function = "torch.nn.parameter.Parameter"
)

// globals is all that a file may name.
var globals = func() map[string]any {
	g := make(map[string]any)
	for _, f := range []function{
		orderedDict, torchSize, rebuildTensor, rebuildTensorV2, rebuildParam, parameterClass,
	} {
		g[string(f)] = f
	}
	for name, d := range map[string]dtype{
		"Float": float32Type, "Double": float64Type, "Half": float16Type, "BFloat16": bfloat16Type,
		"Long": int64Type, "Int": int32Type, "Short": int16Type, "Char": int8Type, "Byte": uint8Type, "Bool": boolType,
	} {
		g["torch."+name+"Storage"] = storageClass(d)
		g["torch."+name+"Tensor"] = tensorClass{}
		g["torch.cuda."+name+"Tensor"] = tensorClass{}
	}
	return g
}()

func refusedGlobal(module, name string) error {
	return fmt.Errorf("the file asks for the Python object %q, and a weights file may only build tensors; "+
		"it was refused and nothing of it was run. If you trust its author, save the tensors alone: "+
		"torch.save(model.state_dict(), path)", module+"."+name)
}

// torchBuilder builds tensors and what holds them. persist looks a storage or a tensor up by its persistent id.
type torchBuilder struct {
	persist func(id any) (any, error)
}

func (torchBuilder) global(module, name string) (any, error) {
	if v, ok := globals[module+"."+name]; ok {
		return v, nil
	}
	return nil, refusedGlobal(module, name)
}

func (torchBuilder) call(callable any, args tuple) (any, error) {
	f, ok := callable.(function)
	if !ok {
		return nil, fmt.Errorf("the file calls %s, and a weights file may only build tensors; it was refused",
			describe(callable))
	}
	switch {
	case f == orderedDict && len(args) == 0:
		return &dict{ordered: true}, nil
	case f == orderedDict && len(args) == 1: // as Python 2 wrote it: a list of pairs
		return orderedDictOf(args[0])
	case f == torchSize && len(args) == 1:
		if t, ok := args[0].(tuple); ok {
			return t, nil
		}
		if l, ok := args[0].(*list); ok {
			return tuple(l.items), nil
		}
	case f == rebuildTensor && len(args) == 4, // storage, offset, size, stride
		f == rebuildTensorV2 && (len(args) == 6 || len(args) == 7): // and requires_grad, hooks, metadata
		st, ok := args[0].(*storage)
		offset, okOffset := args[1].(int64)
		shape, okShape := ints(args[2])
		stride, okStride := ints(args[3])
		if ok && okOffset && okShape && okStride {
			return &strided{st, offset, shape, stride}, nil
		}
	case f == rebuildParam && len(args) == 3: // data, requires_grad, hooks
		if t, ok := args[0].(*strided); ok {
			return t, nil
		}
	}
	return nil, fmt.Errorf("malformed pickle: unknown arguments for %s", f)
}

func orderedDictOf(pairs any) (any, error) {
	malformed := errors.New("malformed pickle: an ordered dictionary is not made of pairs")
	l, ok := pairs.(*list)
	if !ok {
		return nil, malformed
	}
	d := &dict{ordered: true}
	for _, p := range l.items {
		pair, ok := p.(tuple)
		if pl, isList := p.(*list); isList {
			pair, ok = pl.items, true
		}
		if !ok || len(pair) != 2 {
			return nil, malformed
		}
		d.keys, d.values = append(d.keys, pair[0]), append(d.values, pair[1])
	}
	return d, nil
}

func (torchBuilder) create(class any, args tuple) (any, error) {
	if class != parameterClass || len(args) > 0 {
		return nil, fmt.Errorf("the file makes an object of %s, and a weights file may only build tensors; it was refused",
			describe(class))
	}
	return &parameter{}, nil
}

func (torchBuilder) build(object, state any) error {
	switch o := object.(type) {
	case *dict: // attributes of an OrderedDict, such as _metadata: versions of modules, which we don't need
		if _, ok := state.(*dict); ok && o.ordered {
			return nil
		}
	case *parameter: // (data, gradient, hooks, requires_grad, …)
		if t, ok := state.(tuple); ok && len(t) > 0 && o.t == nil {
			if data, ok := t[0].(*strided); ok {
				o.t = data
				return nil
			}
		}
	}
	return fmt.Errorf("the file sets the state of %s, and a weights file may only build tensors; it was refused",
		describe(object))
}

func (b torchBuilder) persistent(id any) (any, error) {
	if b.persist == nil {
		return nil, errors.New("malformed pickle: it refers to storages where there are none")
	}
	return b.persist(id)
}

// stateDict returns the mapping from names to tensors in a file's object.
func stateDict(object any) (*dict, error) {
	d, ok := object.(*dict)
	if !ok {
		return nil, fmt.Errorf("the file holds %s and not a state dict (names and their tensors); "+
			"save it with torch.save(model.state_dict(), path)", describe(object))
	}
	for _, key := range []string{"state_dict", "model"} {
		if v, ok := d.get(key); ok {
			if inner, ok := v.(*dict); ok {
				return inner, nil
			}
		}
	}
	return d, nil
}

// tensors reads the numbers of all tensors of a file's object.
func tensors(src source, object any) ([]Tensor, error) {
	d, err := stateDict(object)
	if err != nil {
		return nil, err
	}
	// Several tensors may share a storage, and strides may repeat elements; so a small file could ask for any amount of
	// memory. An element takes a byte or more, hence files without such tricks stay below their size.
	budget := src.size
	ts := make([]Tensor, 0, len(d.keys))
	for i, key := range d.keys {
		name, ok := key.(string)
		if !ok || !utf8.ValidString(name) {
			return nil, fmt.Errorf("the state dict has a key that is no name but %s", describe(key))
		}
		v := d.values[i]
		if p, ok := v.(*parameter); ok && p.t != nil {
			v = p.t
		}
		t, ok := v.(*strided)
		if !ok {
			return nil, fmt.Errorf("entry %q is %s; a state dict holds tensors only", name, describe(v))
		}
		out, err := t.read(src, &budget)
		if err != nil {
			return nil, fmt.Errorf("tensor %q: %w", name, err)
		}
		out.Name = name
		ts = append(ts, out)
	}
	return ts, nil
}

// read fetches the tensor's elements in C order. Its count of elements is taken from the budget.
func (t *strided) read(src source, budget *int64) (Tensor, error) {
	elements, err := count(t.shape)
	if err != nil {
		return Tensor{}, err
	}
	if elements > *budget {
		return Tensor{}, fmt.Errorf("the file promises more elements than it has bytes; it is truncated or altered")
	}
	*budget -= elements
	if len(t.stride) != len(t.shape) {
		return Tensor{}, fmt.Errorf("%d dimensions, but %d strides", len(t.shape), len(t.stride))
	}

	// The elements lie between offset and last. Products are checked against the storage before they can overflow.
	st := t.storage
	last := t.offset
	dense, expected := true, int64(1)
	for i := len(t.shape) - 1; i >= 0 && elements > 0; i-- {
		steps, stride := t.shape[i]-1, t.stride[i]
		if steps == 0 {
			continue // torch leaves the stride of a dimension of one element open
		}
		if stride < 0 || stride > st.n/steps {
			return Tensor{}, outside(st)
		}
		last += steps * stride
		if last < 0 || last >= st.n {
			return Tensor{}, outside(st)
		}
		dense = dense && stride == expected
		expected *= t.shape[i]
	}
	if t.offset < 0 || t.offset > st.n || elements > 0 && last >= st.n {
		return Tensor{}, outside(st)
	}

	out := src.newTensor(st.dtype, t.shape, elements)
	if elements == 0 {
		return out, nil
	}
	pos, err := st.position(src)
	if err != nil {
		return Tensor{}, err
	}
	if src.described {
		return out, nil
	}
	pos += t.offset * st.dtype.size()
	if dense {
		return out, decodeDense(src, pos, st.dtype, out)
	}
	raw, err := src.bytes(pos, (last-t.offset+1)*st.dtype.size())
	if err != nil {
		return Tensor{}, err
	}
	decodeStrided(raw, st.dtype, t.shape, t.stride, out)
	return out, nil
}

func outside(st *storage) error {
	return fmt.Errorf("it reaches outside of its storage of %d elements; the file is altered", st.n)
}

// count multiplies a shape out; more elements than fit an int are an error.
func count(shape []int64) (int64, error) {
	const most = int64(^uint(0)>>1) / 8
	n, empty := int64(1), false
	for _, d := range shape {
		switch {
		case d < 0:
			return 0, fmt.Errorf("a negative dimension in shape %d", shape)
		case d == 0:
			empty = true
		case n > most/d:
			return 0, fmt.Errorf("shape %d has more elements than fit in memory", shape)
		default:
			n *= d
		}
	}
	if empty {
		return 0, nil
	}
	return n, nil
}

// position returns where the storage's first byte lies, having seen that all of it is in the file.
func (s *storage) position(src source) (int64, error) {
	pos := s.pos
	if s.base != nil {
		base, err := s.base.position(src)
		if err != nil {
			return 0, err
		}
		pos = base + s.first*s.dtype.size()
	}
	if pos < 0 {
		return 0, errors.New("the file has no data for it; the file is altered")
	}
	if s.n > src.size/s.dtype.size() {
		return 0, src.has(pos, src.size+1)
	}
	return pos, src.has(pos, s.n*s.dtype.size())
}

// decodeDense decodes consecutive elements from pos on.
func decodeDense(src source, pos int64, d dtype, out Tensor) error {
	size := int(d.size())
	elements := len(out.Float) + len(out.Int)
	if err := src.has(pos, int64(elements*size)); err != nil {
		return err
	}
	const chunk = 1 << 14 // elements
	buf := make([]byte, min(elements, chunk)*size)
	for done := 0; done < elements; done += chunk {
		n := min(elements-done, chunk)
		b := buf[:n*size]
		if read, err := src.r.ReadAt(b, pos+int64(done*size)); read < len(b) {
			return err
		}
		switch {
		case d == float32Type: // nearly all of nearly every file
			for i, dst := 0, out.Float[done:done+n]; i < n; i++ {
				dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
			}
		case d.isFloat():
			for i, dst := 0, out.Float[done:done+n]; i < n; i++ {
				dst[i] = d.float(b[i*size:])
			}
		default:
			for i, dst := 0, out.Int[done:done+n]; i < n; i++ {
				dst[i] = d.int(b[i*size:])
			}
		}
	}
	return nil
}

// decodeStrided gathers the elements of shape and stride from raw, which begins with the first one.
func decodeStrided(raw []byte, d dtype, shape, stride []int64, out Tensor) {
	index := make([]int64, len(shape))
	at := int64(0)
	for i := range len(out.Float) + len(out.Int) {
		if out.Float != nil {
			out.Float[i] = d.float(raw[at*d.size():])
		} else {
			out.Int[i] = d.int(raw[at*d.size():])
		}
		for k := len(shape) - 1; k >= 0; k-- {
			index[k]++
			at += stride[k]
			if index[k] < shape[k] {
				break
			}
			at -= index[k] * stride[k]
			index[k] = 0
		}
	}
}

// ints returns the elements of a tuple of integers.
func ints(v any) ([]int64, bool) {
	t, ok := v.(tuple)
	if !ok {
		return nil, false
	}
	out := make([]int64, len(t))
	for i, e := range t {
		if out[i], ok = e.(int64); !ok {
			return nil, false
		}
	}
	return out, true
}

// describe names the kind of a value for an error.
func describe(v any) string {
	switch v := v.(type) {
	case nil:
		return "None"
	case bool:
		return "a truth value"
	case int64, *big.Int, float64:
		return "a number"
	case string:
		return "a string"
	case tuple:
		return "a tuple"
	case *list:
		return "a list"
	case *dict:
		return "a dictionary"
	case *strided, *parameter:
		return "a tensor"
	case *storage:
		return "a storage"
	case function:
		return "the Python object " + string(v)
	case storageClass, tensorClass:
		return "a class of torch's storages or tensors"
	default:
		return "an unfinished value"
	}
}
