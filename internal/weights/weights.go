// Package weights owns files of trained parameters: it reads PyTorch's .pth in its three containers and .safetensors,
// writes both, knows torchvision's published files by name, address and checksum, and keeps them in a cache.
//
// A .pth file is a Python pickle, and a pickle is a program. The reader here knows only the names of which state dicts
// are made, and builds tensors for them; whatever else a file asks for is refused by name, and nothing is ever called.
// All sizes in a file are checked against the bytes that are there before memory is taken for them.
package weights

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/ftrun/ftrun/internal/durable"
)

// Tensor is one named array: C order, in torch's own layout (a convolution's weight is (out, in, height, width)).
// Exactly one of Float and Int is non-nil, and its length is the product of Shape; a scalar's Shape is empty.
type Tensor struct {
	Name  string
	Shape []int
	Float []float32 // float64 is rounded to nearest, float16 and bfloat16 are exact
	Int   []int64   // integers and booleans, such as num_batches_tracked
}

// File is a file of weights that was read whole.
type File struct {
	Tensors  []Tensor          // in the file's order, names unique
	SHA256   string            // of the file's bytes, 64 lower-case hex digits
	Metadata map[string]string // of a .safetensors file; nil where there is none
	Format   Format
}

// Format is the container of a File, found from its content.
type Format string

// The containers that Open reads.
const (
	FormatZip         Format = "pth-zip"    // torch.save since 1.6
	FormatLegacy      Format = "pth-legacy" // torch.save from 0.1.10 to 1.5: consecutive pickles, then raw storages
	FormatTar         Format = "pth-tar"    // torch.save before 0.1.10
	FormatSafetensors Format = "safetensors"
)

// Lookup returns the tensor of that name.
func (f *File) Lookup(name string) (*Tensor, bool) {
	for i := range f.Tensors {
		if f.Tensors[i].Name == name {
			return &f.Tensors[i], true
		}
	}
	return nil, false
}

// Open reads the weights file at path. The container is told by content, never by extension.
//
// A .pth file's object must be a state dict, or a checkpoint that holds one as "state_dict" or "model". Two habits of
// other programs are undone on the way: the prefix "module." of torch's DataParallel, where every name has it, and the
// names of DenseNet's layers in the published files ("denselayer1.norm.1.weight" for "denselayer1.norm1.weight").
//
// A file that is truncated, altered where that can be seen (zip entries carry a checksum; the other containers do not),
// or that asks for anything but tensors is an error.
func Open(path string) (*File, error) {
	f, size, err := openRegular(path)
	if err != nil {
		return nil, fmt.Errorf("cannot open weights: %w", err)
	}
	defer f.Close()
	file, err := read(source{r: f, size: size})
	if err != nil {
		return nil, fmt.Errorf("cannot read weights %s: %w", path, err)
	}
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return nil, fmt.Errorf("cannot read weights %s: %w", path, err)
	}
	file.SHA256 = hex.EncodeToString(h.Sum(nil))
	return file, nil
}

// Describe is Open without the numbers: a tensor has its name and shape, and of Float and Int one that is empty and not nil;
// there is no SHA256. It wants no memory to speak of, and finds what Open does not take.
func Describe(path string) (*File, error) {
	f, size, err := openRegular(path)
	if err != nil {
		return nil, fmt.Errorf("cannot open weights: %w", err)
	}
	defer f.Close()
	file, err := read(source{r: f, size: size, described: true})
	if err != nil {
		return nil, fmt.Errorf("cannot read weights %s: %w", path, err)
	}
	return file, nil
}

// openRegular is durable.Open that tells the size, too.
func openRegular(path string) (*os.File, int64, error) {
	f, err := durable.Open(path)
	if errors.Is(err, durable.ErrNoFile) {
		return nil, 0, fmt.Errorf("%s is not a regular file", path)
	}
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, info.Size(), nil
}

// SHA256 returns the checksum of the file at path as 64 lower-case hex digits.
func SHA256(path string) (string, error) {
	f, _, err := openRegular(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// source is the file being read. Its fields are never negative.
type source struct {
	r         io.ReaderAt
	size      int64
	described bool // the numbers are not wanted
}

// newTensor makes room for n elements of the shape, where they are wanted.
func (s source) newTensor(d dtype, shape []int64, n int64) Tensor {
	t := Tensor{Shape: make([]int, len(shape))}
	for i, dim := range shape {
		t.Shape[i] = int(dim)
	}
	if s.described {
		n = 0
	}
	if d.isFloat() {
		t.Float = make([]float32, n)
	} else {
		t.Int = make([]int64, n)
	}
	return t
}

// bytes reads n bytes at off. It takes memory only for what the file has.
func (s source) bytes(off, n int64) ([]byte, error) {
	if err := s.has(off, n); err != nil {
		return nil, err
	}
	b := make([]byte, n)
	if _, err := s.r.ReadAt(b, off); err != nil && !(errors.Is(err, io.EOF) && off+n == s.size) {
		return nil, err
	}
	return b, nil
}

// has tells whether n bytes at off lie within the file.
func (s source) has(off, n int64) error {
	if off < 0 || n < 0 || off > s.size || n > s.size-off {
		return fmt.Errorf("the file ends too early: it has %d bytes and promises %d from byte %d on; "+
			"it is truncated or altered", s.size, n, off)
	}
	return nil
}

// read tells the container and reads the tensors.
func read(src source) (*File, error) {
	head, err := src.bytes(0, min(src.size, 512))
	if err != nil {
		return nil, err
	}
	var file *File
	switch {
	case looksLikeSafetensors(head):
		file, err = readSafetensors(src)
	case bytes.HasPrefix(head, []byte("PK\x03\x04")) || bytes.HasPrefix(head, []byte("PK\x05\x06")):
		file, err = readZip(src)
	case len(head) > 262 && string(head[257:262]) == "ustar":
		file, err = readTar(src)
	case bytes.HasPrefix(head, []byte("\x80")): // PROTO of the first pickle
		file, err = readLegacy(src)
	default:
		return nil, notWeights(head)
	}
	if err != nil {
		return nil, err
	}
	mendNames(file.Tensors)
	return file, uniqueNames(file.Tensors)
}

// notWeights says what a file is that is none of the containers.
func notWeights(head []byte) error {
	what := "it begins like none of PyTorch's containers (zip, tar, pickle) and not like safetensors"
	text := bytes.ToLower(bytes.TrimSpace(head))
	switch {
	case len(head) == 0:
		what = "it is empty"
	case bytes.HasPrefix(text, []byte("<!doctype")) || bytes.HasPrefix(text, []byte("<html")) ||
		bytes.HasPrefix(text, []byte("<?xml")):
		what = "it is a web page, probably an error message that was saved in place of the file"
	case bytes.HasPrefix(text, []byte("version https://git-lfs")):
		what = "it is a Git LFS pointer; fetch the file itself with \"git lfs pull\""
	}
	return fmt.Errorf("not a weights file: %s", what)
}
