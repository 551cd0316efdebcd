package data

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
)

// Draws come from named streams: a stream's start is the SHA-256 of its name, so any draw of any epoch can be had without
// the ones before it. The arithmetic is written out here because results must not change with the standard library.

// streamKey is the common part of the names of many streams.
type streamKey [sha256.Size]byte

// newStreamKey hashes parts, each with its length, so that ("ab", "c") and ("a", "bc") differ.
func newStreamKey(parts ...string) streamKey {
	h := sha256.New()
	var n [8]byte
	for _, p := range parts {
		binary.LittleEndian.PutUint64(n[:], uint64(len(p)))
		h.Write(n[:])
		h.Write([]byte(p))
	}
	return streamKey(h.Sum(nil))
}

// stream is the generator SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
type stream struct{ state uint64 }

// stream names one stream by up to three numbers.
func (k *streamKey) stream(a, b, c uint64) stream {
	var buf [sha256.Size + 24]byte
	copy(buf[:], k[:])
	binary.LittleEndian.PutUint64(buf[sha256.Size:], a)
	binary.LittleEndian.PutUint64(buf[sha256.Size+8:], b)
	binary.LittleEndian.PutUint64(buf[sha256.Size+16:], c)
	sum := sha256.Sum256(buf[:])
	return stream{binary.LittleEndian.Uint64(sum[:])}
}

func (s *stream) uint64() uint64 {
	s.state += 0x9e3779b97f4a7c15
	z := s.state
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// float64 is uniform in [0, 1).
func (s *stream) float64() float64 { return float64(s.uint64()>>11) * (1.0 / (1 << 53)) }

// uniform is uniform in [lo, hi).
func (s *stream) uniform(lo, hi float64) float64 { return lo + s.float64()*(hi-lo) }

// intn is uniform in [0, n), without bias (Lemire, Fast random integer generation in an interval, 2019).
func (s *stream) intn(n int) int {
	bound := uint64(n)
	hi, lo := bits.Mul64(s.uint64(), bound)
	if lo < bound {
		for threshold := -bound % bound; lo < threshold; {
			hi, lo = bits.Mul64(s.uint64(), bound)
		}
	}
	return int(hi)
}

// permutation is a random order of 0 … n-1 (Fisher and Yates).
func (s *stream) permutation(n int) []int {
	p := make([]int, n)
	for i := range p {
		j := s.intn(i + 1)
		p[i] = p[j]
		p[j] = i
	}
	return p
}
