package weights

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/big"
	"slices"
	"unicode/utf8"
)

// maxPickle bounds the pickle of a file, in bytes. A value costs up to a hundred bytes of memory per byte of pickle; the
// state dict of the biggest network in the catalogue takes 0.1 MB.
const maxPickle = 16 << 20

// errPickleEnds is returned where a pickle's bytes end before its STOP.
var errPickleEnds = errors.New("the pickle ends too early; the file is truncated or altered")

// The values of an unpickler's stack are nil, bool, int64, *big.Int, float64, string, and these:
type (
	tuple []any
	list  struct{ items []any }
	dict  struct {
		keys    []any
		values  []any
		ordered bool // made by collections.OrderedDict
	}
	mark struct{}
)

// get returns the value of the last entry under a string key.
func (d *dict) get(key string) (any, bool) {
	for i, k := range slices.Backward(d.keys) {
		if k == key {
			return d.values[i], true
		}
	}
	return nil, false
}

// builder makes values for the opcodes that reach outside of plain data. The unpickler decides nothing about them.
type builder interface {
	global(module, name string) (any, error)    // GLOBAL, STACK_GLOBAL, INST
	call(callable any, args tuple) (any, error) // REDUCE
	create(class any, args tuple) (any, error)  // NEWOBJ
	build(object any, state any) error          // BUILD
	persistent(id any) (any, error)             // BINPERSID
}

// unpickler is the stack machine of Python's pickle, protocols 2 to 5 (format: CPython's Lib/pickletools.py), with the
// opcodes that plain data and the builder need. The others are refused. It is our own because a library's machine would
// have to be as strict: gopickle's resolves some globals without asking its caller, calls lists, ignores a BUILD that it
// does not know, and takes as much memory as a length in the file says.
type unpickler struct {
	data  []byte
	pos   int
	stack []any
	marks []int // heights of the stack at each MARK
	memo  map[uint32]any
	b     builder
}

// unpickleAt reads one pickle at off, of no more than limit bytes, and returns the value and the offset behind it.
func unpickleAt(src source, off, limit int64, b builder) (value any, next int64, err error) {
	limit = min(limit, maxPickle, src.size-off)
	// Pickles carry no length. Small ones stand between gigabytes of numbers, so the window grows as needed.
	for window := int64(4 << 10); ; window *= 8 {
		window = min(window, limit)
		data, err := src.bytes(off, window)
		if err != nil {
			return nil, 0, err
		}
		u := unpickler{data: data, memo: map[uint32]any{}, b: b}
		value, err := u.run()
		switch {
		case err == nil:
			return value, off + int64(u.pos), nil
		case !errors.Is(err, errPickleEnds):
			return nil, 0, fmt.Errorf("at byte %d of its pickle: %w", u.pos, err)
		case window < limit:
			continue
		case limit == maxPickle:
			return nil, 0, fmt.Errorf("the file's pickle is longer than %d MB, which no weights need", maxPickle>>20)
		}
		return nil, 0, err
	}
}

func (u *unpickler) run() (any, error) {
	for {
		op, err := u.byte()
		if err != nil {
			return nil, err
		}
		if op == '.' { // STOP
			v, err := u.pop()
			if err == nil && len(u.stack) != 0 {
				err = errors.New("malformed pickle: values are left over at its end")
			}
			return v, err
		}
		if err := u.step(op); err != nil {
			return nil, err
		}
	}
}

func (u *unpickler) step(op byte) error {
	switch op {
	case 0x80: // PROTO
		version, err := u.byte()
		if err == nil && (version < 2 || version > 5) {
			err = fmt.Errorf("pickle protocol %d is none of 2 to 5", version)
		}
		return err
	case 0x95: // FRAME: a hint for reading ahead
		_, err := u.take(8)
		return err

	case 'N': // NONE
		u.push(nil)
	case 0x88, 0x89: // NEWTRUE, NEWFALSE
		u.push(op == 0x88)
	case 'K': // BININT1
		b, err := u.byte()
		if err != nil {
			return err
		}
		u.push(int64(b))
	case 'M': // BININT2
		b, err := u.take(2)
		if err != nil {
			return err
		}
		u.push(int64(binary.LittleEndian.Uint16(b)))
	case 'J': // BININT
		b, err := u.take(4)
		if err != nil {
			return err
		}
		u.push(int64(int32(binary.LittleEndian.Uint32(b))))
	case 0x8a: // LONG1
		return u.long()
	case 'G': // BINFLOAT
		b, err := u.take(8)
		if err != nil {
			return err
		}
		u.push(math.Float64frombits(binary.BigEndian.Uint64(b)))
	case 'X', 0x8c, 'T', 'U', 'B', 'C': // (SHORT_)BINUNICODE; Python 2's (SHORT_)BINSTRING; (SHORT_)BINBYTES
		return u.text(op)

	case ')': // EMPTY_TUPLE
		u.push(tuple{})
	case 0x85, 0x86, 0x87: // TUPLE1, TUPLE2, TUPLE3
		items, err := u.popN(int(op) - 0x84)
		if err != nil {
			return err
		}
		u.push(tuple(items))
	case '(': // MARK
		u.marks = append(u.marks, len(u.stack))
		u.push(mark{})
	case 't': // TUPLE
		items, err := u.popMark()
		if err != nil {
			return err
		}
		u.push(tuple(items))
	case ']': // EMPTY_LIST
		u.push(&list{})
	case 'a', 'e': // APPEND, APPENDS
		items, err := u.operands(op == 'e', 1)
		if err != nil {
			return err
		}
		l, ok := u.top().(*list)
		if !ok {
			return fmt.Errorf("the file appends to %s", describe(u.top()))
		}
		l.items = append(l.items, items...)
	case '}': // EMPTY_DICT
		u.push(&dict{})
	case 's', 'u': // SETITEM, SETITEMS
		items, err := u.operands(op == 'u', 2)
		if err != nil {
			return err
		}
		d, ok := u.top().(*dict)
		if !ok {
			return fmt.Errorf("the file sets an item of %s", describe(u.top()))
		}
		if len(items)%2 != 0 {
			return errors.New("malformed pickle: a key without a value")
		}
		for i := 0; i < len(items); i += 2 {
			d.keys, d.values = append(d.keys, items[i]), append(d.values, items[i+1])
		}

	case 'q', 'r', 0x94: // BINPUT, LONG_BINPUT, MEMOIZE
		key := uint32(len(u.memo))
		if op != 0x94 {
			var err error
			if key, err = u.memoKey(op == 'r'); err != nil {
				return err
			}
		}
		if err := u.need(1); err != nil {
			return err
		}
		u.memo[key] = u.top()
	case 'h', 'j': // BINGET, LONG_BINGET
		key, err := u.memoKey(op == 'j')
		if err != nil {
			return err
		}
		v, ok := u.memo[key]
		if !ok {
			return fmt.Errorf("malformed pickle: nothing was remembered under %d", key)
		}
		u.push(v)

	case 'c', 'i': // GLOBAL; INST, refused but named
		module, err := u.line()
		if err != nil {
			return err
		}
		name, err := u.line()
		if err != nil {
			return err
		}
		if op == 'i' {
			return refusedGlobal(module, name)
		}
		return u.pushResult(u.b.global(module, name))
	case 0x93: // STACK_GLOBAL
		names, err := u.popN(2)
		if err != nil {
			return err
		}
		module, ok1 := names[0].(string)
		name, ok2 := names[1].(string)
		if !ok1 || !ok2 {
			return errors.New("malformed pickle: the name of a global is not a string")
		}
		return u.pushResult(u.b.global(module, name))
	case 'R', 0x81: // REDUCE, NEWOBJ
		operands, err := u.popN(2)
		if err != nil {
			return err
		}
		args, ok := operands[1].(tuple)
		if !ok {
			return fmt.Errorf("malformed pickle: arguments are %s, not a tuple", describe(operands[1]))
		}
		if op == 'R' {
			return u.pushResult(u.b.call(operands[0], args))
		}
		return u.pushResult(u.b.create(operands[0], args))
	case 'b': // BUILD
		state, err := u.popN(1)
		if err != nil {
			return err
		}
		if err := u.need(1); err != nil {
			return err
		}
		return u.b.build(u.top(), state[0])
	case 'Q': // BINPERSID
		id, err := u.pop()
		if err != nil {
			return err
		}
		return u.pushResult(u.b.persistent(id))

	default:
		return fmt.Errorf("the file's pickle has the opcode 0x%02x, which no state dict needs; it was refused", op)
	}
	return nil
}

func (u *unpickler) push(v any) { u.stack = append(u.stack, v) }

func (u *unpickler) pushResult(v any, err error) error {
	if err == nil {
		u.push(v)
	}
	return err
}

// top is the value on top of the stack, nil where there is none.
func (u *unpickler) top() any {
	if len(u.stack) == 0 {
		return nil
	}
	return u.stack[len(u.stack)-1]
}

// need checks that n values lie on the stack above the last mark.
func (u *unpickler) need(n int) error {
	base := 0
	if len(u.marks) > 0 {
		base = u.marks[len(u.marks)-1] + 1
	}
	if len(u.stack)-base < n {
		return errors.New("malformed pickle: a value is missing")
	}
	return nil
}

func (u *unpickler) pop() (any, error) {
	v, err := u.popN(1)
	if err != nil {
		return nil, err
	}
	return v[0], nil
}

// popN takes n values off; the slice is the caller's.
func (u *unpickler) popN(n int) ([]any, error) {
	if err := u.need(n); err != nil {
		return nil, err
	}
	at := len(u.stack) - n
	items := slices.Clone(u.stack[at:])
	u.stack = u.stack[:at]
	return items, nil
}

// popMark takes the values above the last mark off, and the mark.
func (u *unpickler) popMark() ([]any, error) {
	if len(u.marks) == 0 {
		return nil, errors.New("malformed pickle: a mark is missing")
	}
	at := u.marks[len(u.marks)-1]
	items := slices.Clone(u.stack[at+1:])
	u.stack, u.marks = u.stack[:at], u.marks[:len(u.marks)-1]
	return items, nil
}

// operands takes n values off, or all above the last mark, and sees that there is something below to receive them.
func (u *unpickler) operands(marked bool, n int) ([]any, error) {
	var items []any
	var err error
	if marked {
		items, err = u.popMark()
	} else {
		items, err = u.popN(n)
	}
	if err != nil {
		return nil, err
	}
	return items, u.need(1)
}

func (u *unpickler) take(n int) ([]byte, error) {
	if n > len(u.data)-u.pos {
		return nil, errPickleEnds
	}
	b := u.data[u.pos : u.pos+n]
	u.pos += n
	return b, nil
}

func (u *unpickler) byte() (byte, error) {
	b, err := u.take(1)
	if err != nil {
		return 0, err
	}
	return b[0], nil
}

func (u *unpickler) line() (string, error) {
	n := slices.Index(u.data[u.pos:], '\n')
	if n < 0 {
		return "", errPickleEnds
	}
	b, err := u.take(n + 1)
	return string(b[:n]), err
}

func (u *unpickler) memoKey(long bool) (uint32, error) {
	if long {
		b, err := u.take(4)
		if err != nil {
			return 0, err
		}
		return binary.LittleEndian.Uint32(b), nil
	}
	b, err := u.byte()
	return uint32(b), err
}

// long reads a two's complement little-endian integer of up to 255 bytes.
func (u *unpickler) long() error {
	n, err := u.byte()
	if err != nil {
		return err
	}
	b, err := u.take(int(n))
	if err != nil {
		return err
	}
	be := slices.Clone(b)
	slices.Reverse(be)
	v := new(big.Int).SetBytes(be)
	if n > 0 && be[0]&0x80 != 0 {
		v.Sub(v, new(big.Int).Lsh(big.NewInt(1), 8*uint(n)))
	}
	if v.IsInt64() {
		u.push(v.Int64())
	} else {
		u.push(v)
	}
	return nil
}

func (u *unpickler) text(op byte) error {
	var n uint32
	if op == 0x8c || op == 'U' || op == 'C' {
		b, err := u.byte()
		if err != nil {
			return err
		}
		n = uint32(b)
	} else {
		b, err := u.take(4)
		if err != nil {
			return err
		}
		n = binary.LittleEndian.Uint32(b)
	}
	if n > math.MaxInt32 {
		return errors.New("malformed pickle: a string of more than 2 GB")
	}
	b, err := u.take(int(n))
	if err != nil {
		return err
	}
	if (op == 'X' || op == 0x8c) && !utf8.Valid(b) {
		return errors.New("malformed pickle: a string is not UTF-8")
	}
	u.push(string(b))
	return nil
}
