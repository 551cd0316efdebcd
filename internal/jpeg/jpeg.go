// Package jpeg owns the decoding of JPEG pictures to RGB: baseline, extended sequential and progressive Huffman files of
// 8 bits a sample, in grey, YCbCr, RGB, CMYK and YCCK.
//
//	file → segments (markers.go) → coefficients (huffman.go, scan.go, progressive.go) → samples (idct.go)
//	     → full width and height (upsample.go) → RGB (color.go)
//
// Its pixels are, to the bit, those of libjpeg-turbo with its defaults, as Pillow uses it: the "islow" inverse transform,
// "fancy" upsampling of chroma, JFIF's conversion in 16-bit fixed point. Nothing else has both that and the speed: the
// standard library's decoder rounds its transform otherwise and takes several times as long
// (docs/decisions/0010-a-jpeg-decoder-of-our-own.md).
//
// One thing of libjpeg's is left out: it smooths the blocks of progressive files whose finest bits were never sent.
package jpeg

import (
	"fmt"
	"io"
	"sync"
)

// Size reads the size in pixels from a file's header. Errors are those of Decode.
func Size(file []byte) (w, h int, err error) {
	d := decoder{file: file}
	if err := d.readUntilFrame(); err != nil {
		return 0, 0, err
	}
	return d.w, d.h, nil
}

// Decode returns the picture in RGB: the byte of row y, column x, channel c is pix[(y*w+x)*3+c]. CMYK is multiplied out as
// Pillow does; grey is repeated. The error of a file that was cut off is io.ErrUnexpectedEOF. The caller bounds the size
// beforehand, with Size: a header of a few bytes may claim 65535×65535 pixels.
func Decode(file []byte) (pix []uint8, w, h int, err error) {
	d := decoders.Get().(*decoder)
	defer d.release()
	d.file = file
	if err := d.readUntilFrame(); err != nil {
		return nil, 0, 0, err
	}
	if err := d.readScans(); err != nil {
		return nil, 0, 0, err
	}
	if d.progressive {
		d.transformAll()
	}
	return d.toRGB(), d.w, d.h, nil
}

// decoder holds one file's state, and memory that the next file takes over.
type decoder struct {
	file []byte
	at   int // the next byte to read

	w, h        int
	progressive bool
	allocated   bool
	components  []component
	hMax, vMax  int // the largest sampling factors: an MCU is 8·hMax × 8·vMax pixels
	mcusX       int
	mcusY       int

	quant    [4]*[64]uint16 // in natural order
	dc, ac   [4]*huffman
	interval int // MCUs between restart markers; 0: there are none

	jfif, adobe    bool
	adobeTransform uint8

	bits   bitReader
	eobRun int        // blocks that end without further bits: progressive only
	rows   [4][]uint8 // what upsampling makes of one row of each component

	kept [4]storage // memory of earlier files' components
}

var decoders = sync.Pool{New: func() any { return new(decoder) }}

// keptBytes is the most memory of one component that waits for the next file.
const keptBytes = 32 << 20

// release forgets the file and keeps the memory, where that is of ordinary size.
func (d *decoder) release() {
	for i, c := range d.components {
		if c.pix != nil && 2*cap(c.coef)+cap(c.pix) <= keptBytes {
			d.kept[i] = c.storage
		}
	}
	*d = decoder{bits: bitReader{buf: d.bits.buf[:0]}, rows: d.rows, kept: d.kept}
	if cap(d.bits.buf) > keptBytes {
		d.bits.buf = nil
	}
	decoders.Put(d)
}

// component is one channel as it is stored.
type component struct {
	id    uint8
	h, v  int // sampling factors, 1 to 4: blocks of an MCU sideways and downwards
	table uint8
	quant [128]int16 // each row of 8 twice, for two blocks side by side

	w, height        int // samples that belong to the picture
	blocksX, blocksY int // blocks of whole MCUs; blocksX rounded up to even
	seen             bool
	pred             int32 // the DC before
	dc, ac           *huffman
	stride           int // from a row of pix to the next

	storage
}

// storage is a component's memory.
type storage struct {
	// coef holds coefficients in natural order, 64 a block, block (x, y) as number y·blocksX+x: all of a progressive
	// picture, else those of one row of MCUs, which are 0 before each.
	coef []int16
	// filled has, for each block of a progressive picture, a bit for each coefficient in zigzag order that is not 0, but for
	// DC.
	filled []uint64
	// pix holds samples, the one at (x, y) at origin+y·stride+x. Left and right of each row is memory for repeated ends.
	pix []uint8
}

// margin is the memory on either side of a row of samples: what a vector reads or writes too much.
const margin = 32

const origin = margin

// block is where the coefficients of block at lie.
func (c *component) block(at int) *[64]int16 { return (*[64]int16)(c.coef[64*at : 64*at+64]) }

// allocate lays out the components' memory, when the first scan begins. A frame's header of a few bytes may claim any size,
// but every block takes a bit at least.
func (d *decoder) allocate() error {
	blocks := 0
	for _, c := range d.components {
		blocks += ceil(ceil(d.w*c.h, d.hMax), 8) * ceil(ceil(d.h*c.v, d.vMax), 8)
	}
	if blocks > 8*(len(d.file)-d.at) {
		return io.ErrUnexpectedEOF
	}
	for i := range d.components {
		c := &d.components[i]
		c.w, c.height = ceil(d.w*c.h, d.hMax), ceil(d.h*c.v, d.vMax)
		c.blocksX, c.blocksY = (d.mcusX*c.h+1)&^1, d.mcusY*c.v
		blocks := c.blocksX * c.v
		if d.progressive {
			blocks = c.blocksX * c.blocksY
			c.filled = grow(d.kept[i].filled, blocks)
			clear(c.filled)
		}
		c.coef = grow(d.kept[i].coef, 64*blocks)
		clear(c.coef)
		c.stride = margin + 8*c.blocksX + margin
		c.pix = grow(d.kept[i].pix, c.stride*8*c.blocksY)
		d.kept[i] = storage{}
	}
	d.allocated = true
	return nil
}

// maxScans is the most scans of a file: encoders write about ten. Without a bound, scans of some bytes that each pass over
// a large picture could keep a thread for hours.
const maxScans = 500

// readScans reads what follows the frame's header up to the end of the picture.
func (d *decoder) readScans() error {
	scans := 0
	for {
		marker, body, err := d.segment()
		if err != nil {
			return err
		}
		switch {
		case marker == markerEOI:
			for _, c := range d.components {
				if !c.seen {
					return fmt.Errorf("the data of channel %d is missing", c.id)
				}
			}
			return nil
		case marker == markerSOS:
			if scans++; scans > maxScans {
				return fmt.Errorf("it has more than %d scans", maxScans)
			}
			err = d.scan(body)
		case isFrame(marker):
			err = fmt.Errorf("there is a second frame in it")
		default:
			err = d.table(marker, body)
		}
		if err != nil {
			return err
		}
	}
}

func ceil(a, b int) int { return (a + b - 1) / b }

func grow[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}
