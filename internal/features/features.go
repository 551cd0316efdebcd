// Package features owns files of features: what the frozen part of a network says of each picture of a split, computed once
// and read by every run that trains on from there.
//
// A file is
//
//	magic, length of the header (uint32)
//	header (JSON): what the features are of, their shape, how many there are
//	for each block of pictures the SHA-256 of its number and its features; zeros until it is there
//	features, float32, one picture after the other
//
// with little-endian numbers, the features beginning at a multiple of 4096 bytes. It is made under another name, block by
// block, so that a computation that is interrupted goes on where it was, and gets its own name when it is whole. A file is
// known by the hash of its header, so that whoever asks for it has said what it must hold.
//
// The file is mapped into memory where the system can, so that all runs of a machine share one copy of it.
package features

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"sync"
	"sync/atomic"

	"github.com/ftrun/ftrun/internal/durable"
)

// BlockPictures is the number of pictures that are computed, and checked, together.
const BlockPictures = 32

const (
	magic     = "ftrunFT1"
	alignment = 4096
)

// Content says what a file of features holds.
type Content struct {
	// Of is all that the features depend on, as JSON.
	Of json.RawMessage
	// Shape is the rows, columns and channels of a picture's features.
	Shape [3]int
	// Pictures is how many there are.
	Pictures int
}

// header is the file's, before the hashes. Marshalling it gives the same bytes each time.
func (c Content) header() []byte {
	raw, err := json.Marshal(struct {
		Of       json.RawMessage `json:"of"`
		Shape    [3]int          `json:"shape"`
		Pictures int             `json:"pictures"`
		Block    int             `json:"pictures_per_block"`
	}{c.Of, c.Shape, c.Pictures, BlockPictures})
	if err != nil {
		panic("features: a description that is no JSON: " + err.Error())
	}
	b := binary.LittleEndian.AppendUint32([]byte(magic), uint32(len(raw)))
	return append(b, raw...)
}

// Hash names the content: 32 hexadecimal digits.
func (c Content) Hash() string {
	sum := sha256.Sum256(c.header())
	return hex.EncodeToString(sum[:16])
}

// Len is the number of elements of a picture's features.
func (c Content) Len() int { return c.Shape[0] * c.Shape[1] * c.Shape[2] }

// Blocks is the number of blocks; the last may be smaller than the others.
func (c Content) Blocks() int { return (c.Pictures + BlockPictures - 1) / BlockPictures }

// Bytes is the size of the file.
func (c Content) Bytes() int64 { return c.data() + 4*int64(c.Pictures)*int64(c.Len()) }

// sums is where the blocks' hashes begin, data where the features do.
func (c Content) sums() int64 { return int64(len(c.header())) }
func (c Content) data() int64 {
	end := c.sums() + sha256.Size*int64(c.Blocks())
	return (end + alignment - 1) / alignment * alignment
}

// span is the pictures of a block: lo to hi−1.
func (c Content) span(block int) (lo, hi int) {
	return block * BlockPictures, min((block+1)*BlockPictures, c.Pictures)
}

// DamagedError says that a file is not what was written.
type DamagedError struct {
	Path   string
	Blocks int // that are damaged; 0: it is not a file of this content at all
}

func (e *DamagedError) Error() string {
	if e.Blocks == 0 {
		return fmt.Sprintf("the features in %s are damaged: the file's beginning or its size is not what was written", e.Path)
	}
	return fmt.Sprintf("the features in %s are damaged: %d of their blocks are not what was written", e.Path, e.Blocks)
}

// File is a whole file of features. It is for concurrent use.
type File struct {
	content Content
	at      int64 // where the features begin
	source  source
}

// source is a file's bytes.
type source interface {
	io.ReaderAt
	io.Closer
}

// Open opens a file and checks all that is in it, with that many goroutines. What is not as it was written is a
// *DamagedError; where there is no file the error is fs.ErrNotExist.
func Open(path string, c Content, threads int) (*File, error) {
	src, err := open(path)
	if err != nil {
		return nil, err
	}
	f := &File{c, c.data(), src}
	good, err := f.check(path, threads)
	bad := 0
	for _, ok := range good {
		if !ok {
			bad++
		}
	}
	if err == nil && bad > 0 {
		err = &DamagedError{path, bad}
	}
	if err != nil {
		return nil, errors.Join(err, src.Close())
	}
	return f, nil
}

// check says which blocks are as they were written.
func (f *File) check(path string, threads int) ([]bool, error) {
	c := f.content
	want := c.header()
	head := make([]byte, len(want)+sha256.Size*c.Blocks())
	if _, err := f.source.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	var tail [1]byte
	n, _ := f.source.ReadAt(tail[:], c.Bytes()-1)
	beyond, _ := f.source.ReadAt(tail[:], c.Bytes())
	if string(head[:len(want)]) != string(want) || n != 1 || beyond != 0 {
		return nil, &DamagedError{Path: path}
	}
	good := make([]bool, c.Blocks())
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(max(threads, 1), len(good)) {
		workers.Go(func() {
			values := make([]float32, BlockPictures*c.Len())
			for {
				block := int(next.Add(1)) - 1
				if block >= len(good) {
					return
				}
				lo, hi := c.span(block)
				part := values[:(hi-lo)*c.Len()]
				// A block that can't be read is as good as a damaged one.
				good[block] = f.read(part, lo) == nil && sum(block, part) == [sha256.Size]byte(head[len(want)+sha256.Size*block:])
			}
		})
	}
	workers.Wait()
	return good, nil
}

// Content is what the file holds.
func (f *File) Content() Content { return f.content }

// Read copies the features of picture i, (rows, columns, channels), to dst.
func (f *File) Read(dst []float32, i int) error {
	if i < 0 || i >= f.content.Pictures || len(dst) != f.content.Len() {
		panic(fmt.Sprintf("features: picture %d of %d into %d numbers of %d", i, f.content.Pictures, len(dst), f.content.Len()))
	}
	return f.read(dst, i)
}

// read copies from picture i on.
func (f *File) read(dst []float32, i int) error {
	if _, err := f.source.ReadAt(bytesOf(dst), f.at+4*int64(i)*int64(f.content.Len())); err != nil {
		return fmt.Errorf("reading features: %w", err)
	}
	toHost(dst)
	return nil
}

// Close gives the memory back. Nothing must be read any more.
func (f *File) Close() error { return f.source.Close() }

// sum is the SHA-256 of a block: of its number, so that a block can't stand for another, and of its features.
func sum(block int, values []float32) (s [sha256.Size]byte) {
	h := sha256.New()
	h.Write(binary.LittleEndian.AppendUint64(nil, uint64(block)))
	if littleEndian {
		h.Write(bytesOf(values))
	} else {
		var word [4]byte
		for _, v := range values {
			binary.LittleEndian.PutUint32(word[:], math.Float32bits(v))
			h.Write(word[:])
		}
	}
	h.Sum(s[:0])
	return s
}

// openPlain opens a file to be read as it is.
func openPlain(path string) (source, error) { return durable.Open(path) }
