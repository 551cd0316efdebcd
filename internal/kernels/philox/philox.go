// Package philox is the Philox4x32-10 counter-based random number generator: a bijection of a 128-bit counter under a
// 64-bit key, so that any number of a stream is had directly from its address, in any order and on any device.
//
// Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011 (Random123).
package philox

import "math/bits"

const (
	rounds = 10

	// Multipliers M0, M1 and Weyl increments W0, W1 of the paper: the increments are the golden ratio and sqrt(3)−1 in
	// 32-bit fixed point.
	m0, m1 = 0xd2511f53, 0xcd9e8d57
	w0, w1 = 0x9e3779b9, 0xbb67ae85
)

// Block returns the four random words at counter ctr under key.
func Block(key [2]uint32, ctr [4]uint32) [4]uint32 {
	keys := RoundKeys(key)
	return Rounds(&keys, ctr)
}

// RoundKeys are the keys that key gives the rounds.
func RoundKeys(key [2]uint32) (keys [rounds][2]uint32) {
	for i := range keys {
		keys[i] = key
		key[0] += w0
		key[1] += w1
	}
	return keys
}

// Rounds is Block for a key whose RoundKeys are at hand.
func Rounds(keys *[rounds][2]uint32, ctr [4]uint32) [4]uint32 {
	c0, c1, c2, c3 := ctr[0], ctr[1], ctr[2], ctr[3]
	for _, k := range keys {
		hi0, lo0 := bits.Mul32(m0, c0)
		hi1, lo1 := bits.Mul32(m1, c2)
		c0, c1, c2, c3 = hi1^c1^k[0], lo1, hi0^c3^k[1], lo0
	}
	return [4]uint32{c0, c1, c2, c3}
}
