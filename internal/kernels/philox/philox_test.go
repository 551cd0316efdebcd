package philox

import "testing"

// The known-answer vectors that Random123 publishes for philox4x32 with 10 rounds.
func TestBlockKnownAnswers(t *testing.T) {
	tests := []struct {
		name string
		key  [2]uint32
		ctr  [4]uint32
		want [4]uint32
	}{
		{"zeros", [2]uint32{}, [4]uint32{}, [4]uint32{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
		{"ones", [2]uint32{^uint32(0), ^uint32(0)}, [4]uint32{^uint32(0), ^uint32(0), ^uint32(0), ^uint32(0)},
			[4]uint32{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
		{"digits of pi", [2]uint32{0xa4093822, 0x299f31d0}, [4]uint32{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
			[4]uint32{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := Block(test.key, test.ctr); got != test.want {
				t.Errorf("Block(%08x, %08x) = %08x, want %08x", test.key, test.ctr, got, test.want)
			}
		})
	}
}

func BenchmarkBlock(b *testing.B) {
	b.SetBytes(16)
	var sum uint32
	for i := range b.N {
		block := Block([2]uint32{1, 2}, [4]uint32{uint32(i)})
		sum += block[0] ^ block[1] ^ block[2] ^ block[3]
	}
	sink = sum
}

var sink uint32
