package jpeg

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Markers, by their names in ITU-T T.81, table B.1.
const (
	markerSOF0  = 0xc0 // baseline
	markerSOF1  = 0xc1 // extended sequential
	markerSOF2  = 0xc2 // progressive
	markerDHT   = 0xc4
	markerJPG   = 0xc8
	markerSOF9  = 0xc9 // the first of those with arithmetic coding
	markerDAC   = 0xcc
	markerSOF15 = 0xcf
	markerRST0  = 0xd0
	markerRST7  = 0xd7
	markerSOI   = 0xd8
	markerEOI   = 0xd9
	markerSOS   = 0xda
	markerDQT   = 0xdb
	markerDRI   = 0xdd
	markerAPP0  = 0xe0
	markerAPP14 = 0xee
	markerTEM   = 0x01
)

// isFrame reports whether a marker begins a frame of any kind.
func isFrame(marker uint8) bool {
	return marker >= markerSOF0 && marker <= markerSOF15 && marker != markerDHT && marker != markerJPG && marker != markerDAC
}

// zigzag is the natural index, 8·row + column, of the coefficient that is stored k-th. Beyond the last one stand 16 more:
// a run that leads past the block writes there to its last place instead of testing at every step.
var zigzag = [64 + 16]uint8{
	0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5,
	12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21, 28,
	35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51,
	58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
	63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63,
}

// segment reads the next marker and, where it has one, the body that follows it. Bytes between segments that belong to
// none are passed over, as libjpeg does.
func (d *decoder) segment() (marker uint8, body []byte, err error) {
	for {
		for d.at < len(d.file) && d.file[d.at] != 0xff {
			d.at++
		}
		for d.at < len(d.file) && d.file[d.at] == 0xff {
			d.at++
		}
		if d.at >= len(d.file) {
			return 0, nil, io.ErrUnexpectedEOF
		}
		marker = d.file[d.at]
		d.at++
		switch {
		case marker == 0 || marker == markerTEM || marker >= markerRST0 && marker <= markerRST7:
			continue
		case marker == markerSOI || marker == markerEOI:
			return marker, nil, nil
		}
		if d.at+2 > len(d.file) {
			return 0, nil, io.ErrUnexpectedEOF
		}
		n := int(binary.BigEndian.Uint16(d.file[d.at:]))
		if n < 2 {
			return 0, nil, fmt.Errorf("the segment of marker %#x has the length %d", marker, n)
		}
		if d.at+n > len(d.file) {
			return 0, nil, io.ErrUnexpectedEOF
		}
		body = d.file[d.at+2 : d.at+n]
		d.at += n
		return marker, body, nil
	}
}

// readUntilFrame reads the tables before the frame's header, and that.
func (d *decoder) readUntilFrame() error {
	if len(d.file) < 2 || d.file[0] != 0xff || d.file[1] != markerSOI {
		return errors.New("it does not begin as a JPEG file does")
	}
	d.at = 2
	for {
		marker, body, err := d.segment()
		if err != nil {
			return err
		}
		switch {
		case isFrame(marker):
			return d.frame(marker, body)
		case marker == markerSOS:
			return errors.New("a scan comes before the header that tells the size")
		case marker == markerEOI:
			return errors.New("there is no picture in it")
		}
		if err := d.table(marker, body); err != nil {
			return err
		}
	}
}

// table reads a segment that may stand anywhere: tables, the restart interval, what APP segments tell of the colours.
func (d *decoder) table(marker uint8, b []byte) error {
	switch marker {
	case markerDQT:
		return d.quantTables(b)
	case markerDHT:
		return d.huffmanTables(b)
	case markerDRI:
		if len(b) != 2 {
			return fmt.Errorf("the restart interval has %d bytes, not 2", len(b))
		}
		d.interval = int(binary.BigEndian.Uint16(b))
	case markerAPP0:
		if len(b) >= 5 && string(b[:5]) == "JFIF\x00" {
			d.jfif = true
		}
	case markerAPP14:
		if len(b) >= 12 && string(b[:5]) == "Adobe" {
			d.adobe, d.adobeTransform = true, b[11]
		}
	case markerDAC:
		return errArithmetic
	}
	return nil
}

var errArithmetic = errors.New("it is coded arithmetically, which is not supported: save it anew as baseline or progressive JPEG")

func (d *decoder) quantTables(b []byte) error {
	for len(b) > 0 {
		precision, id := b[0]>>4, b[0]&15
		b = b[1:]
		size := 64
		if precision == 1 {
			size = 128
		}
		if precision > 1 || id > 3 || len(b) < size {
			return errors.New("a quantisation table is malformed")
		}
		q := new([64]uint16)
		for k := range 64 {
			if precision == 1 {
				q[zigzag[k]] = binary.BigEndian.Uint16(b[2*k:])
			} else {
				q[zigzag[k]] = uint16(b[k])
			}
		}
		d.quant[id] = q
		b = b[size:]
	}
	return nil
}

func (d *decoder) huffmanTables(b []byte) error {
	for len(b) > 0 {
		class, id := b[0]>>4, b[0]&15
		if class > 1 || id > 3 {
			return errHuffman
		}
		h, n, err := newHuffman(b[1:], class == 0)
		if err != nil {
			return err
		}
		if class == 0 {
			d.dc[id] = h
		} else {
			d.ac[id] = h
		}
		b = b[1+n:]
	}
	return nil
}

// frame reads the header that tells the size and the components.
func (d *decoder) frame(marker uint8, b []byte) error {
	switch {
	case marker >= markerSOF9:
		return errArithmetic
	case marker > markerSOF2:
		return errors.New("it is a lossless or hierarchical JPEG, which is not supported: save it anew as baseline JPEG")
	case len(b) < 6:
		return errors.New("the frame's header is too short")
	case b[0] != 8:
		return fmt.Errorf("it has %d bits a sample, and only 8 are supported: save it anew with 8", b[0])
	}
	d.progressive = marker == markerSOF2
	d.h, d.w = int(binary.BigEndian.Uint16(b[1:])), int(binary.BigEndian.Uint16(b[3:]))
	n := int(b[5])
	if n != 1 && n != 3 && n != 4 {
		return fmt.Errorf("it has %d channels, not 1, 3 or 4", n)
	}
	if len(b) != 6+3*n {
		return errors.New("the frame's header has a wrong length")
	}
	if d.w == 0 || d.h == 0 {
		return fmt.Errorf("%d×%d pixels: the picture is empty", d.w, d.h)
	}
	d.components = make([]component, n)
	for i := range d.components {
		c := &d.components[i]
		e := b[6+3*i:]
		c.id, c.h, c.v, c.table = e[0], int(e[1]>>4), int(e[1]&15), e[2]
		if c.h < 1 || c.h > 4 || c.v < 1 || c.v > 4 || c.table > 3 {
			return fmt.Errorf("channel %d has sampling factors %d×%d and quantisation table %d", c.id, c.h, c.v, c.table)
		}
		for _, other := range d.components[:i] {
			if other.id == c.id {
				return fmt.Errorf("two channels have the number %d", c.id)
			}
		}
		d.hMax, d.vMax = max(d.hMax, c.h), max(d.vMax, c.v)
	}
	for _, c := range d.components {
		if d.hMax%c.h != 0 || d.vMax%c.v != 0 {
			return fmt.Errorf("channel %d is sampled %d×%d times where others are %d×%d, which is not supported: save it anew",
				c.id, c.h, c.v, d.hMax, d.vMax)
		}
	}
	d.mcusX, d.mcusY = ceil(d.w, 8*d.hMax), ceil(d.h, 8*d.vMax)
	return nil
}
