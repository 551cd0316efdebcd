package jpeg

import (
	"bytes"
	"encoding/binary"
	"errors"
)

// lookBits is the number of bits that find most codes, and the value that follows the code, in one step.
const lookBits = 10

// huffman is a table of codes.
type huffman struct {
	// look tells, for the next lookBits bits, the code that they begin with: 0 where it is longer. Bits 0 to 5 are the
	// number of bits that it takes, bits 8 to 15 its symbol, and where bit 6 is set the bits of the value that follows are
	// taken too, and bits 16 to 31 are that value.
	look [1 << lookBits]uint32
	// limit[n] is beyond the greatest code of n bits and all shorter ones, followed by zeros up to 16 bits; offset[n] leads
	// from a code to its symbol's place.
	limit  [17]uint32
	offset [17]int32
	values [256]uint8
}

const (
	lookLength = 63
	lookWhole  = 1 << 6
)

var errHuffman = errors.New("a Huffman table is malformed")

// newHuffman reads a table from a DHT segment, of which it takes n bytes.
func newHuffman(b []byte, dc bool) (h *huffman, n int, err error) {
	if len(b) < 16 {
		return nil, 0, errHuffman
	}
	counts, b := b[:16], b[16:]
	h = new(huffman)
	code := uint32(0)
	for length := 1; length <= 16; length++ {
		count := int(counts[length-1])
		if n+count > len(b) || n+count > 256 {
			return nil, 0, errHuffman
		}
		h.offset[length] = int32(n) - int32(code)
		for range count {
			if code>>length != 0 {
				return nil, 0, errHuffman
			}
			symbol := b[n]
			if dc && symbol > 15 {
				return nil, 0, errHuffman
			}
			h.values[n] = symbol
			h.enter(code, length, symbol)
			code++
			n++
		}
		h.limit[length] = code << (16 - length)
		code <<= 1
	}
	return h, 16 + n, nil
}

// enter fills look for one code.
func (h *huffman) enter(code uint32, length int, symbol uint8) {
	rest := lookBits - length
	if rest < 0 {
		return
	}
	first := code << rest
	size := int(symbol & 15)
	for i := range uint32(1) << rest {
		e := uint32(symbol)<<8 | uint32(length)
		if size > 0 && size <= rest {
			value := extend(int32(i>>(rest-size)), size)
			e = uint32(value)<<16 | uint32(symbol)<<8 | lookWhole | uint32(length+size)
		}
		h.look[first+i] = e
	}
}

// extend is the value that size bits stand for (T.81, table F.1): those that begin with 0 are negative.
func extend(v int32, size int) int32 {
	if v < 1<<(size-1) {
		v += -1<<size + 1
	}
	return v
}

// bitReader reads the bits between two markers.
type bitReader struct {
	buf  []byte // the bytes without stuffing, then reach zeros
	size int    // bytes before those
	at   int    // the next byte to take
	acc  uint64 // bits to come, the first in the highest place
	n    uint   // how many of acc were counted in; those below are right or 0
}

// reach is more than the bytes that one block of 64 coefficients can take, at 31 bits each: who reads past the end
// finds zeros, and is told after the block.
const reach = 64*32/8 + 16

var zeros [reach]byte

// fill takes the data from file[from:] up to the next marker, and returns where that is: len(file) where there is none.
func (r *bitReader) fill(file []byte, from int) (marker int) {
	r.buf = r.buf[:0]
	at := from
	for {
		i := bytes.IndexByte(file[at:], 0xff)
		if i < 0 {
			r.buf = append(r.buf, file[at:]...)
			at = len(file)
			break
		}
		if at+i+1 < len(file) && file[at+i+1] == 0 { // a stuffed 0
			r.buf = append(r.buf, file[at:at+i+1]...)
			at += i + 2
			continue
		}
		r.buf = append(r.buf, file[at:at+i]...)
		if at += i; at+1 == len(file) {
			at++ // the file was cut off within a marker
		}
		break
	}
	r.size = len(r.buf)
	r.buf = append(r.buf, zeros[:]...)
	r.at, r.acc, r.n = 0, 0, 0
	return at
}

// overrun reports whether more bits were read than there are.
func (r *bitReader) overrun() bool { return r.at-int(r.n>>3) > r.size }

// refill makes sure of 56 bits.
func (r *bitReader) refill() {
	r.acc |= binary.BigEndian.Uint64(r.buf[r.at:]) >> (r.n & 63)
	r.at += int((63 - r.n) >> 3)
	r.n |= 56
}

// take returns the next size bits, 1 to 16. The caller has refilled.
func (r *bitReader) take(size int) int32 {
	v := r.acc >> (64 - uint(size)&63)
	r.acc <<= uint(size) & 63
	r.n -= uint(size)
	return int32(v)
}

// bit returns the next bit.
func (r *bitReader) bit() int32 {
	if r.n == 0 {
		r.refill()
	}
	return r.take(1)
}

// symbol reads one code, with at least 40 bits left after it. It returns −1 where there is no such code.
func (r *bitReader) symbol(h *huffman) int {
	r.refill()
	if e := h.look[r.acc>>(64-lookBits)]; e != 0 {
		length, symbol := e&lookLength, int(e>>8&255)
		if e&lookWhole != 0 {
			length -= uint32(symbol & 15)
		}
		r.acc <<= length
		r.n -= uint(length)
		return symbol
	}
	symbol, length := h.long(r.acc)
	r.acc <<= length
	r.n -= length
	return symbol
}

// long finds the code, of more than lookBits bits, that acc begins with.
func (h *huffman) long(acc uint64) (symbol int, length uint) {
	next := uint32(acc >> 48)
	for length := lookBits + 1; length <= 16; length++ {
		if next < h.limit[length] {
			return int(h.values[uint8(h.offset[length]+int32(next>>(16-length)))]), uint(length)
		}
	}
	return -1, 16
}
