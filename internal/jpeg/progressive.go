package jpeg

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
func (s *scan) acFirst(c *component, b *[64]int16) error {
	d := s.d
	if d.eobRun > 0 {
		d.eobRun--
		return nil
	}
	r := &d.bits
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
func (s *scan) acRefine(c *component, b *[64]int16) error {
	d := s.d
	r := &d.bits
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
		if k = s.correct(b, k, run, bit); k > s.last {
			if value != 0 {
				return errRun
			}
			break
		}
		if value != 0 {
			b[zigzag[k]&63] = value
		}
		k++
	}
	if d.eobRun > 0 {
		s.correct(b, k, 64, bit)
		d.eobRun--
	}
	return nil
}

// correct reads the corrections from coefficient k on, over zeros coefficients that are 0, and returns where the next of
// those is.
func (s *scan) correct(b *[64]int16, k, zeros int, bit int16) int {
	r := &s.d.bits
	acc, n := r.acc, r.n
	for ; k <= s.last; k++ {
		v := &b[zigzag[k]&63]
		if *v == 0 {
			if zeros == 0 {
				break
			}
			zeros--
			continue
		}
		if n == 0 {
			r.acc, r.n = acc, n
			r.refill()
			acc, n = r.acc, r.n
		}
		if int64(acc) < 0 && *v&bit == 0 {
			if *v > 0 {
				*v += bit
			} else {
				*v -= bit
			}
		}
		acc <<= 1
		n--
	}
	r.acc, r.n = acc, n
	return k
}
