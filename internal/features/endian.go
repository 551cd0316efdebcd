package features

import (
	"encoding/binary"
	"math"
	"math/bits"
	"unsafe"
)

// littleEndian says whether numbers lie in memory as they do in a file.
var littleEndian = binary.NativeEndian.Uint16([]byte{1, 0}) == 1

// bytesOf is the memory of v.
func bytesOf(v []float32) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(v))), 4*len(v))
}

// toHost makes numbers of a file's bytes that were read to v.
func toHost(v []float32) {
	if littleEndian {
		return
	}
	for i, x := range v {
		v[i] = math.Float32frombits(bits.ReverseBytes32(math.Float32bits(x)))
	}
}

// littleEndianBytes is v as it lies in a file.
func littleEndianBytes(v []float32) []byte {
	if littleEndian {
		return bytesOf(v)
	}
	b := make([]byte, 0, 4*len(v))
	for _, x := range v {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
	}
	return b
}
