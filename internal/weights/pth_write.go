package weights

import (
	"archive/zip"
	"bufio"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"strconv"
)

// WritePTH writes a state dict as torch.save does since 1.6 (the zip container), for torch.load with weights_only=True
// and load_state_dict with strict=True. Equal arguments give equal bytes.
func WritePTH(w io.Writer, ts []Tensor) error {
	if err := writePTH(w, ts); err != nil {
		return fmt.Errorf("cannot write .pth: %w", err)
	}
	return nil
}

func writePTH(w io.Writer, ts []Tensor) error {
	if err := checkTensors(ts); err != nil {
		return err
	}
	a := newAlignedZip(w)
	text := func(s string) func(*bufio.Writer) { return func(w *bufio.Writer) { w.WriteString(s) } }
	if err := a.add("archive/data.pkl", text(pickleStateDict(ts))); err != nil {
		return err
	}
	if err := a.add("archive/byteorder", text("little")); err != nil {
		return err
	}
	for i, t := range ts {
		write := func(w *bufio.Writer) { writeElements(w, t) }
		if err := a.add("archive/data/"+strconv.Itoa(i), write); err != nil {
			return err
		}
	}
	// The container's version: kProducedFileFormatVersion of torch's caffe2/serialize/versions.h.
	if err := a.add("archive/version", text("3\n")); err != nil {
		return err
	}
	return a.zw.Close()
}

// alignedZip writes stored entries whose data begins at a multiple of 64 bytes, as torch's own writer does, so that
// torch can map them into memory.
type alignedZip struct {
	zw  *zip.Writer
	out *counter
}

func newAlignedZip(w io.Writer) *alignedZip {
	out := &counter{w: w}
	return &alignedZip{zip.NewWriter(out), out}
}

// add writes an entry; data is called twice, first for the checksum, and must write the same both times.
func (a *alignedZip) add(name string, data func(*bufio.Writer)) error {
	const (
		alignment   = 64
		localHeader = 30 // bytes before the name
		extraHeader = 4
		paddingID   = "FB" // torch's own id of the field that pads
	)
	if err := a.zw.Flush(); err != nil {
		return err
	}
	sum := &counter{w: io.Discard}
	if err := buffered(sum, data); err != nil {
		return err
	}
	unpadded := a.out.n + localHeader + int64(len(name)) + extraHeader
	padding := (alignment - unpadded%alignment) % alignment
	extra := binary.LittleEndian.AppendUint16([]byte(paddingID), uint16(padding))
	for range padding {
		extra = append(extra, 'Z')
	}
	entry, err := a.zw.CreateRaw(&zip.FileHeader{
		Name: name, Method: zip.Store, Extra: extra, CRC32: sum.crc,
		CompressedSize64: uint64(sum.n), UncompressedSize64: uint64(sum.n),
	})
	if err != nil {
		return err
	}
	return buffered(entry, data)
}

func buffered(w io.Writer, data func(*bufio.Writer)) error {
	bw := bufio.NewWriterSize(w, 1<<16)
	data(bw)
	return bw.Flush()
}

// counter counts the bytes that pass, and sums them up.
type counter struct {
	w   io.Writer
	n   int64
	crc uint32
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	c.crc = crc32.Update(c.crc, crc32.IEEETable, b[:n])
	return n, err
}

// pickleStateDict writes, in protocol 2,
//
//	OrderedDict([(name, _rebuild_tensor_v2(storage, 0, shape, stride, False, OrderedDict())), …])
//
// where storage is the persistent id ("storage", class, key, "cpu", elements).
func pickleStateDict(ts []Tensor) string {
	const (
		memoOrderedDict = iota
		memoRebuild
		memoStorage
		memoCPU
		memoFloat
		memoLong
	)
	p := pickler{b: []byte("\x80\x02")} // PROTO 2
	p.once(memoOrderedDict, "ccollections\nOrderedDict\n")
	p.raw(")R(") // EMPTY_TUPLE REDUCE MARK
	for i, t := range ts {
		p.text(t.Name)
		p.once(memoRebuild, "ctorch._utils\n_rebuild_tensor_v2\n")
		p.raw("((") // MARK MARK
		p.onceText(memoStorage, "storage")
		if t.Float != nil {
			p.once(memoFloat, "ctorch\nFloatStorage\n")
		} else {
			p.once(memoLong, "ctorch\nLongStorage\n")
		}
		p.text(strconv.Itoa(i))
		p.onceText(memoCPU, "cpu")
		p.int(len(t.Float) + len(t.Int))
		p.raw("tQ") // TUPLE BINPERSID
		p.int(0)
		p.raw("(")
		stride := make([]int, len(t.Shape))
		for k, step := len(t.Shape)-1, 1; k >= 0; k-- {
			stride[k] = step
			step *= max(t.Shape[k], 1)
		}
		for _, d := range t.Shape {
			p.int(d)
		}
		p.raw("t(")
		for _, s := range stride {
			p.int(s)
		}
		p.raw("t\x89") // TUPLE NEWFALSE
		p.once(memoOrderedDict, "")
		p.raw(")RtR") // EMPTY_TUPLE REDUCE TUPLE REDUCE
	}
	p.raw("u.") // SETITEMS STOP
	return string(p.b)
}

type pickler struct {
	b    []byte
	seen [256]bool
}

func (p *pickler) raw(s string) { p.b = append(p.b, s...) }

// once writes op and remembers its value, or recalls the value.
func (p *pickler) once(memo byte, op string) {
	if p.seen[memo] {
		p.b = append(p.b, 'h', memo) // BINGET
		return
	}
	p.seen[memo] = true
	p.b = append(append(p.b, op...), 'q', memo) // BINPUT
}

func (p *pickler) onceText(memo byte, s string) { p.once(memo, textOp(s)) }

func (p *pickler) text(s string) { p.raw(textOp(s)) }

func textOp(s string) string { // BINUNICODE
	return "X" + string(binary.LittleEndian.AppendUint32(nil, uint32(len(s)))) + s
}

// int writes a number that is not negative.
func (p *pickler) int(n int) {
	switch {
	case n <= math.MaxUint8:
		p.b = append(p.b, 'K', byte(n)) // BININT1
	case n <= math.MaxUint16:
		p.b = binary.LittleEndian.AppendUint16(append(p.b, 'M'), uint16(n)) // BININT2
	case n <= math.MaxInt32:
		p.b = binary.LittleEndian.AppendUint32(append(p.b, 'J'), uint32(n)) // BININT
	default:
		p.b = binary.LittleEndian.AppendUint64(append(p.b, 0x8a, 8), uint64(n)) // LONG1
	}
}
