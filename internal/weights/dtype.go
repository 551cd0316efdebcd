package weights

import (
	"encoding/binary"
	"math"
)

// dtype is the type of a file's elements. All of them are little-endian.
type dtype uint8

const (
	float32Type dtype = iota + 1
	float64Type
	float16Type
	bfloat16Type
	int64Type
	int32Type
	int16Type
	int8Type
	uint8Type
	boolType
)

// size is in bytes.
func (d dtype) size() int64 {
	switch d {
	case float64Type, int64Type:
		return 8
	case float32Type, int32Type:
		return 4
	case float16Type, bfloat16Type, int16Type:
		return 2
	default:
		return 1
	}
}

func (d dtype) isFloat() bool { return d <= bfloat16Type }

// float decodes the element at the start of b; d is a floating-point type.
func (d dtype) float(b []byte) float32 {
	switch d {
	case float32Type:
		return math.Float32frombits(binary.LittleEndian.Uint32(b))
	case float64Type:
		return float32(math.Float64frombits(binary.LittleEndian.Uint64(b)))
	case float16Type:
		return float16(binary.LittleEndian.Uint16(b))
	default:
		return math.Float32frombits(uint32(binary.LittleEndian.Uint16(b)) << 16) // bfloat16: the upper half of a float32
	}
}

// int decodes the element at the start of b; d is an integer type or bool.
func (d dtype) int(b []byte) int64 {
	switch d {
	case int64Type:
		return int64(binary.LittleEndian.Uint64(b))
	case int32Type:
		return int64(int32(binary.LittleEndian.Uint32(b)))
	case int16Type:
		return int64(int16(binary.LittleEndian.Uint16(b)))
	case int8Type:
		return int64(int8(b[0]))
	case boolType:
		if b[0] != 0 {
			return 1
		}
		return 0
	default:
		return int64(b[0])
	}
}

// float16 widens an IEEE 754 binary16: 1 bit sign, 5 bits exponent with bias 15, 10 bits fraction.
func float16(h uint16) float32 {
	sign := uint32(h>>15) << 31
	exponent := uint32(h >> 10 & 0x1f)
	fraction := uint32(h & 0x3ff)
	switch exponent {
	case 0: // zero and subnormal: fraction * 2^-24, exact in float32
		f := float32(fraction) * (1.0 / (1 << 24))
		return math.Float32frombits(sign | math.Float32bits(f))
	case 0x1f: // infinity and NaN
		return math.Float32frombits(sign | 0xff<<23 | fraction<<13)
	default:
		return math.Float32frombits(sign | (exponent-15+127)<<23 | fraction<<13)
	}
}
