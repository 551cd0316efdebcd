package data

import (
	"errors"
	"fmt"
	"image"
	"image/color"
	"io"
	"math"
)

// netpbmHeader is the head of a PGM or PPM file: magic, columns, rows and the value of white.
type netpbmHeader struct {
	kind         byte // '2', '3': text; '5', '6': bytes
	w, h, maxval int
	rest         []byte // the samples
}

func (n netpbmHeader) channels() int {
	if n.kind == '3' || n.kind == '6' {
		return 3
	}
	return 1
}

func parseNetpbm(b []byte) (netpbmHeader, error) {
	n := netpbmHeader{kind: b[1]}
	s := netpbmScanner{b: b[2:]}
	for _, field := range []struct {
		name string
		at   *int
	}{{"width", &n.w}, {"height", &n.h}, {"white value", &n.maxval}} {
		v, err := s.number()
		if err != nil {
			return n, fmt.Errorf("%s: %w", field.name, err)
		}
		*field.at = v
	}
	if n.maxval < 1 || n.maxval > math.MaxUint16 {
		return n, fmt.Errorf("white value %d is not between 1 and 65535", n.maxval)
	}
	n.rest = s.b
	if n.kind == '5' || n.kind == '6' {
		if len(s.b) == 0 {
			return n, io.ErrUnexpectedEOF
		}
		n.rest = s.b[1:] // exactly one space after the white value
	}
	return n, nil
}

// netpbmScanner reads decimal numbers between white space and comments.
type netpbmScanner struct{ b []byte }

func (s *netpbmScanner) number() (int, error) {
	for len(s.b) > 0 {
		c := s.b[0]
		if c == '#' {
			for len(s.b) > 0 && s.b[0] != '\n' {
				s.b = s.b[1:]
			}
		} else if c == ' ' || (c >= '\t' && c <= '\r') {
			s.b = s.b[1:]
		} else {
			break
		}
	}
	if len(s.b) == 0 {
		return 0, io.ErrUnexpectedEOF
	}
	v, digits := 0, 0
	for len(s.b) > 0 && s.b[0] >= '0' && s.b[0] <= '9' {
		v = 10*v + int(s.b[0]-'0')
		if digits++; digits > 9 {
			return 0, errors.New("a number is too long")
		}
		s.b = s.b[1:]
	}
	if digits == 0 {
		return 0, fmt.Errorf("a number was expected, not %q", s.b[0])
	}
	return v, nil
}

func netpbmConfig(b []byte) (image.Config, error) {
	n, err := parseNetpbm(b)
	return image.Config{ColorModel: color.RGBAModel, Width: n.w, Height: n.h}, err
}

// decodeNetpbm scales samples to 8 bits, v·255/white rounded to the nearest, as Pillow does for up to 8 bits.
func decodeNetpbm(b []byte) (*Image, error) {
	n, err := parseNetpbm(b)
	if err != nil {
		return nil, err
	}
	if err := checkSize(n.w, n.h); err != nil {
		return nil, err
	}
	count := n.w * n.h * n.channels()
	sampleBytes := 1
	if n.kind == '2' || n.kind == '3' {
		// Each number needs a digit and, but for the last, a space: a short file must not reserve memory for a large one.
		if len(n.rest) < 2*count-1 {
			return nil, io.ErrUnexpectedEOF
		}
	} else {
		if n.maxval > 255 {
			sampleBytes = 2
		}
		if len(n.rest) < count*sampleBytes {
			return nil, io.ErrUnexpectedEOF
		}
	}
	img := NewImage(n.w, n.h)
	text := netpbmScanner{b: n.rest}
	repeat := 3 / n.channels()
	for i := range count {
		var v int
		switch {
		case n.kind == '2' || n.kind == '3':
			if v, err = text.number(); err != nil {
				return nil, err
			}
		case sampleBytes == 2:
			v = int(n.rest[2*i])<<8 | int(n.rest[2*i+1])
		default:
			v = int(n.rest[i])
		}
		if v > n.maxval {
			if n.kind == '2' || n.kind == '3' {
				return nil, fmt.Errorf("sample %d is above the white value %d", v, n.maxval)
			}
			v = n.maxval
		}
		s := uint8((2*v*255 + n.maxval) / (2 * n.maxval))
		for c := range repeat {
			img.Pix[i*repeat+c] = s
		}
	}
	return img, nil
}
