package jpeg

import (
	"encoding/binary"
	"errors"
	"io"
	"slices"
)

var (
	errCode = errors.New("the compressed data is damaged: there is no such code")
	errRun  = errors.New("the compressed data is damaged: a block has more than 64 coefficients")
	errEnd  = errors.New("the compressed data is damaged: it ends before the picture does")
	errScan = errors.New("a scan's header is malformed")
)

// scan reads a scan: its header b, and the data that follow it.
func (d *decoder) scan(b []byte) error {
	if len(b) < 1 {
		return errScan
	}
	n := int(b[0])
	if n < 1 || n > len(d.components) || len(b) != 4+2*n {
		return errScan
	}
	s := scan{d: d, first: int(b[1+2*n]), last: int(b[2+2*n]), high: uint(b[3+2*n] >> 4), low: uint(b[3+2*n] & 15)}
	for i := range n {
		c := d.component(b[1+2*i])
		dc, ac := b[2+2*i]>>4, b[2+2*i]&15
		if c == nil || slices.Contains(s.components, c) || dc > 3 || ac > 3 {
			return errScan
		}
		c.dc, c.ac = d.dc[dc], d.ac[ac]
		s.components = append(s.components, c)
	}
	if err := s.check(); err != nil {
		return err
	}
	if !d.allocated {
		if err := d.allocate(); err != nil {
			return err
		}
	}
	for _, c := range s.components {
		if err := c.begin(d.quant[c.table]); err != nil {
			return err
		}
		c.seen = c.seen || !d.progressive || s.first == 0
	}
	return s.read()
}

// component finds a component by its number; nil where there is none.
func (d *decoder) component(id uint8) *component {
	for i := range d.components {
		if d.components[i].id == id {
			return &d.components[i]
		}
	}
	return nil
}

// begin takes the quantisation table that stands at a component's first scan; later ones are not for it.
func (c *component) begin(q *[64]uint16) error {
	if c.seen {
		return nil
	}
	if q == nil {
		return errors.New("a quantisation table is missing")
	}
	for i, v := range q {
		at := i/8*16 + i%8
		c.quant[at], c.quant[at+8] = int16(v), int16(v)
	}
	return nil
}

// scan is the part of the coefficients that one scan holds.
type scan struct {
	d           *decoder
	components  []*component
	first, last int  // coefficients, in zigzag order
	high, low   uint // progressive: the lowest bit of earlier scans, 0 for none; the lowest bit of this one
}

func (s *scan) check() error {
	if s.d.progressive {
		dc := s.first == 0
		if s.first > s.last || s.last > 63 || dc && s.last != 0 || !dc && len(s.components) != 1 || s.low > 13 ||
			s.high != 0 && s.high != s.low+1 {
			return errScan
		}
	}
	for _, c := range s.components {
		needDC := !s.d.progressive || s.first == 0 && s.high == 0
		needAC := !s.d.progressive || s.first > 0
		if needDC && c.dc == nil || needAC && c.ac == nil {
			return errors.New("a Huffman table is missing")
		}
	}
	return nil
}

// read decodes the scan's data. Where it is of several components they come MCU by MCU; one alone comes block by block, and
// without the blocks that only fill up an MCU.
func (s *scan) read() error {
	d := s.d
	mcusX, mcusY := d.mcusX, d.mcusY
	alone := len(s.components) == 1
	if alone {
		c := s.components[0]
		mcusX, mcusY = ceil(c.w, 8), ceil(c.height, 8)
	}
	s.restart()
	left, restarts := d.interval, 0
	for y := range mcusY {
		for x := range mcusX {
			if d.interval > 0 {
				if left == 0 {
					if err := d.passRestart(restarts); err != nil {
						return err
					}
					s.restart()
					restarts++
					left = d.interval
				}
				left--
			}
			for _, c := range s.components {
				h, v := c.h, c.v
				if alone {
					h, v = 1, 1
				}
				for i := range v {
					row := i
					if d.progressive {
						row = y*v + i
					}
					for j := range h {
						if err := s.block(c, row*c.blocksX+x*h+j); err != nil {
							return err
						}
					}
				}
			}
		}
		if !d.progressive {
			for _, c := range s.components {
				v := c.v
				if alone {
					v = 1
				}
				for i := range v {
					c.transform(i, y*v+i)
				}
			}
		}
	}
	return nil
}

// restart begins the data after the scan's header or a restart marker.
func (s *scan) restart() {
	s.d.at = s.d.bits.fill(s.d.file, s.d.at)
	s.d.eobRun = 0
	for _, c := range s.components {
		c.pred = 0
	}
}

// passRestart reads the n-th restart marker.
func (d *decoder) passRestart(n int) error {
	for d.at < len(d.file) && d.file[d.at] == 0xff {
		d.at++
	}
	if d.at >= len(d.file) {
		return io.ErrUnexpectedEOF
	}
	if d.file[d.at] != markerRST0+uint8(n%8) {
		return errors.New("the compressed data is damaged: a restart marker is missing")
	}
	d.at++
	return nil
}

// block reads what the scan holds of the component's block at.
func (s *scan) block(c *component, at int) error {
	r := &s.d.bits
	var err error
	switch {
	case !s.d.progressive:
		err = r.sequential(c.block(at), c)
	case s.first == 0 && s.high == 0:
		err = s.dcFirst(c, c.block(at))
	case s.first == 0:
		if r.bit() != 0 {
			c.block(at)[0] |= 1 << s.low
		}
	case s.high == 0:
		err = s.acFirst(c, at)
	default:
		err = s.acRefine(c, at)
	}
	if err == nil && r.overrun() {
		err = errEnd
	}
	if err != nil && r.overrun() && s.d.at >= len(s.d.file) {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// sequential reads a whole block of a baseline or extended sequential file.
func (r *bitReader) sequential(b *[64]int16, c *component) error {
	size := r.symbol(c.dc)
	if size < 0 {
		return errCode
	}
	if size > 0 {
		c.pred += extend(r.take(size), size)
	}
	b[0] = int16(c.pred)

	acc, n, at := r.acc, r.n, r.at
	buf, h := r.buf, c.ac
	var err error
	for k := uint32(1); k < 64; k++ {
		if n < 32 {
			acc |= binary.BigEndian.Uint64(buf[at:]) >> (n & 63)
			at += int((63 - n) >> 3)
			n |= 56
		}
		e := h.look[acc>>(64-lookBits)]
		length := uint(e & lookLength)
		acc <<= length & 63
		n -= length
		if e&lookWhole != 0 {
			k += e >> 12 & 15
			if k > 63 {
				err = errRun
				break
			}
			b[zigzag[k]&63] = int16(e >> 16)
			continue
		}
		symbol := int(e >> 8 & 255)
		if e == 0 {
			if symbol, length = h.long(acc); symbol < 0 {
				err = errCode
				break
			}
			acc <<= length & 63
			n -= length
		}
		size := uint(symbol & 15)
		if size == 0 {
			if symbol != 0xf0 {
				break // the rest is 0
			}
			k += 15
			continue
		}
		k += uint32(symbol >> 4)
		if k > 63 {
			err = errRun
			break
		}
		b[zigzag[k]&63] = int16(extend(int32(acc>>(64-size&63)), int(size)))
		acc <<= size
		n -= size
	}
	r.acc, r.n, r.at = acc, n, at
	return err
}
