package jpeg

import "math/bits"

// dcFirst reads a block's DC but for its lowest bits (T.81, G.1.2.1).
func (s *scan) dcFirst(c *component, b *[64]int16) error {
	r := &s.d.bits
	size := r.symbol(c.dc)
	if size < 0 {
		return errCode
	}
	if size > 0 {
		c.pred += extend(r.take(size), size)
	}
	b[0] = int16(c.pred << s.low)
	return nil
}

// acFirst reads a band of a block's coefficients but for their lowest bits (T.81, G.1.2.2).
func (s *scan) acFirst(c *component, at int) error {
	d := s.d
	if d.eobRun > 0 {
		d.eobRun--
		return nil
	}
	r, b := &d.bits, c.block(at)
	for k := s.first; k <= s.last; k++ {
		symbol := r.symbol(c.ac)
		if symbol < 0 {
			return errCode
		}
		run, size := symbol>>4, symbol&15
		if size == 0 {
			if run < 15 {
				d.eobRun = r.run(run) - 1
				return nil
			}
			k += 15
			continue
		}
		k += run
		if k > s.last {
			return errRun
		}
		b[zigzag[k]&63] = int16(extend(r.take(size), size) << s.low)
		c.filled[at] |= 1 << k
	}
	return nil
}

// run reads how many blocks end here, this one among them: EOBn of T.81, table G.1.
func (r *bitReader) run(n int) int {
	if n == 0 {
		return 1
	}
	return 1<<n + int(r.take(n))
}

// acRefine reads one bit more of a band of a block's coefficients (T.81, G.1.2.3): a correction of each that is not 0
// already, and the signs of those that this bit makes so.
func (s *scan) acRefine(c *component, at int) error {
	d := s.d
	r, b := &d.bits, c.block(at)
	bit := int16(1) << s.low
	k := s.first
	for d.eobRun == 0 && k <= s.last {
		symbol := r.symbol(c.ac)
		if symbol < 0 {
			return errCode
		}
		run, size := symbol>>4, symbol&15
		value := int16(0)
		switch {
		case size == 1:
			value = -bit
			if r.take(1) != 0 {
				value = bit
			}
		case size > 1:
			return errCode
		case run < 15:
			d.eobRun = r.run(run)
			continue
		}
		if k = s.correct(b, c.filled[at], k, run, bit); k > s.last {
			if value != 0 {
				return errRun
			}
			break
		}
		if value != 0 {
			b[zigzag[k]&63] = value
			c.filled[at] |= 1 << k
		}
		k++
	}
	if d.eobRun > 0 {
		s.correct(b, c.filled[at], k, 64, bit)
		d.eobRun--
	}
	return nil
}

// correct reads the corrections of the coefficients from k on that are not 0, which filled tells, until it has passed over
// zeros others, and returns where the next other one is, which may be past the last.
func (s *scan) correct(b *[64]int16, filled uint64, k, zeros int, bit int16) int {
	r := &s.d.bits
	acc, n := r.acc, r.n
	for k <= s.last {
		gap := bits.TrailingZeros64(filled >> (k & 63))
		if gap > zeros {
			k += zeros
			break
		}
		zeros -= gap
		if k += gap; k > s.last {
			break
		}
		if n == 0 {
			r.acc, r.n = acc, n
			r.refill()
			acc, n = r.acc, r.n
		}
		if v := &b[zigzag[k]&63]; int64(acc) < 0 && *v&bit == 0 {
			if *v > 0 {
				*v += bit
			} else {
				*v -= bit
			}
		}
		acc <<= 1
		n--
		k++
	}
	r.acc, r.n = acc, n
	return k
}
