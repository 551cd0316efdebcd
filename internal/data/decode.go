package data

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/image/bmp"
	"golang.org/x/image/tiff"
	"golang.org/x/image/webp"

	"github.com/ftrun/ftrun/internal/durable"
	"github.com/ftrun/ftrun/internal/jpeg"
)

// Extensions are the names' ends by which ImageFolder knows a picture, in torchvision's order. GIF is not among them.
var Extensions = []string{".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp"}

// IsPictureName reports whether a file's name ends in one of Extensions, in either case.
func IsPictureName(name string) bool {
	ext := strings.ToLower(filepath.Ext(name))
	for _, e := range Extensions {
		if ext == e {
			return true
		}
	}
	return false
}

// format is one kind of file. Files are told apart by their first bytes, never by their names, as Pillow does.
type format struct {
	name   string
	magic  string // '?' stands for any byte
	config func([]byte) (image.Config, error)
	decode func([]byte) (*Image, error)
	// whole reports cheaply that the file does not look cut off; nil where only decoding tells.
	whole func([]byte) bool
}

var formats = []format{
	{"JPEG", "\xff\xd8\xff", jpegConfig, decodeJPEG, jpegWhole},
	{"PNG", "\x89PNG\r\n\x1a\n", viaReader(png.DecodeConfig), decodeVia(png.Decode), pngWhole},
	{"WebP", "RIFF????WEBP", viaReader(webp.DecodeConfig), decodeWebP, nil},
	{"BMP", "BM", viaReader(bmp.DecodeConfig), decodeVia(bmp.Decode), nil},
	{"TIFF", "II*\x00", viaReader(tiff.DecodeConfig), decodeVia(tiff.Decode), nil},
	{"TIFF", "MM\x00*", viaReader(tiff.DecodeConfig), decodeVia(tiff.Decode), nil},
	{"PGM", "P2", netpbmConfig, decodeNetpbm, nil},
	{"PPM", "P3", netpbmConfig, decodeNetpbm, nil},
	{"PGM", "P5", netpbmConfig, decodeNetpbm, nil},
	{"PPM", "P6", netpbmConfig, decodeNetpbm, nil},
}

// sniff finds a file's format, or says what the file is instead.
func sniff(b []byte) (*format, error) {
	for i := range formats {
		if hasMagic(b, formats[i].magic) {
			return &formats[i], nil
		}
	}
	switch {
	case len(b) == 0:
		return nil, errors.New("the file is empty")
	case hasMagic(b, "GIF8"):
		return nil, errors.New("this is a GIF whatever its name says, often a \"not available\" notice: delete or convert it")
	case hasMagic(b, "<!") || hasMagic(b, "<h"):
		return nil, errors.New("this is a web page, not a picture: delete or download it again")
	}
	return nil, errors.New("not a JPEG, PNG, WebP, BMP, TIFF, PPM or PGM file: delete or replace it")
}

func hasMagic(b []byte, magic string) bool {
	if len(b) < len(magic) {
		return false
	}
	for i := range len(magic) {
		if magic[i] != '?' && magic[i] != b[i] {
			return false
		}
	}
	return true
}

// DecodeFile turns a picture file into RGB as Pillow's Image.open(…).convert("RGB") does: palettes are looked up, grey is
// repeated, alpha is dropped, CMYK is multiplied out, and EXIF orientation is left alone. Where Pillow clips 16-bit grey to
// 8 bits, its high byte is taken instead. Errors are *PictureError with the path.
func DecodeFile(path string) (*Image, error) { return decodeFile(path, "") }

// errChanged is about a file that was replaced after it was hashed, or before that with its old size and time.
var errChanged = errors.New("its content is not what was planned with: plan again; if that does not help, the file kept its " +
	"size and time when it changed, so touch it or delete hashes.json in the store first")

// decodeFile is DecodeFile of a file whose content has the SHA-256 sum, in hex, or any where sum is empty.
func decodeFile(path, sum string) (*Image, error) {
	b, err := durable.ReadFile(path)
	if err == nil && sum != "" {
		if got := sha256.Sum256(b); hex.EncodeToString(got[:]) != sum {
			err = errChanged
		}
	}
	if err == nil {
		var img *Image
		if img, err = decodeBytes(b); err == nil {
			return img, nil
		}
	}
	return nil, &PictureError{Path: path, Err: plainError(err)}
}

func decodeBytes(b []byte) (img *Image, err error) {
	f, err := sniff(b)
	if err != nil {
		return nil, err
	}
	cfg, err := f.config(b)
	if err != nil {
		return nil, fmt.Errorf("broken or unsupported %s: %w", f.name, cutOff(err))
	}
	if err := checkSize(cfg.Width, cfg.Height); err != nil {
		return nil, err
	}
	// A decoder that trips over a hostile file is that file's fault, and must not end the run of all the others.
	defer func() {
		if p := recover(); p != nil {
			img, err = nil, fmt.Errorf("broken %s: the decoder gave up: %v", f.name, p)
		}
	}()
	if img, err = f.decode(b); err != nil {
		return nil, fmt.Errorf("broken or unsupported %s: %w", f.name, cutOff(err))
	}
	return img, nil
}

// cutOff words the decoders' "unexpected EOF" for people.
func cutOff(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return errors.New("the file ends too early, it was cut off: replace it")
	}
	return err
}

// plainError strips the path from an *os.PathError: a PictureError names it already.
func plainError(err error) error {
	var pe *os.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

// check finds what is wrong with a file's content without decoding it where its header and its end tell enough.
func check(b []byte) error {
	f, err := sniff(b)
	if err != nil {
		return err
	}
	if f.whole != nil && f.whole(b) {
		cfg, err := f.config(b)
		if err != nil {
			return fmt.Errorf("broken or unsupported %s: %w", f.name, cutOff(err))
		}
		return checkSize(cfg.Width, cfg.Height)
	}
	_, err = decodeBytes(b)
	return err
}

func jpegConfig(b []byte) (image.Config, error) {
	w, h, err := jpeg.Size(b)
	return image.Config{Width: w, Height: h}, err
}

func decodeJPEG(b []byte) (*Image, error) {
	pix, w, h, err := jpeg.Decode(b)
	if err != nil {
		return nil, err
	}
	return &Image{W: w, H: h, Pix: pix}, nil
}

// jpegWhole looks for the end-of-image marker near the end: inside compressed data it cannot occur.
func jpegWhole(b []byte) bool {
	return bytes.Contains(b[max(0, len(b)-64<<10):], []byte{0xff, 0xd9})
}

func pngWhole(b []byte) bool {
	return bytes.Contains(b[max(0, len(b)-4<<10):], []byte("IEND"))
}

func viaReader(config func(io.Reader) (image.Config, error)) func([]byte) (image.Config, error) {
	return func(b []byte) (image.Config, error) { return config(bytes.NewReader(b)) }
}

func decodeVia(decode func(io.Reader) (image.Image, error)) func([]byte) (*Image, error) {
	return func(b []byte) (*Image, error) {
		src, err := decode(bytes.NewReader(b))
		if err != nil {
			return nil, err
		}
		return toRGB(src), nil
	}
}

// toRGB converts what the decoders return.
func toRGB(src image.Image) *Image {
	r := src.Bounds()
	dst := NewImage(r.Dx(), r.Dy())
	for y := range dst.H {
		out := dst.Pix[3*y*dst.W : 3*(y+1)*dst.W]
		switch s := src.(type) {
		case *image.Gray:
			row := s.Pix[y*s.Stride:]
			for x := range dst.W {
				v := row[x]
				out[3*x], out[3*x+1], out[3*x+2] = v, v, v
			}
		case *image.Gray16:
			row := s.Pix[y*s.Stride:]
			for x := range dst.W {
				v := row[2*x]
				out[3*x], out[3*x+1], out[3*x+2] = v, v, v
			}
		case *image.Paletted:
			row := s.Pix[y*s.Stride:]
			for x := range dst.W {
				rgb(out[3*x:], s.Palette[row[x]])
			}
		case *image.NRGBA:
			dropFourth(out, s.Pix[y*s.Stride:], 1)
		case *image.NRGBA64:
			dropFourth(out, s.Pix[y*s.Stride:], 2)
		default: // premultiplied RGBA in 8 or 16 bits, opaque most of the time
			for x := range dst.W {
				rgb(out[3*x:], src.At(r.Min.X+x, r.Min.Y+y))
			}
		}
	}
	return dst
}

// rgb writes a colour without its alpha.
func rgb(out []uint8, c color.Color) {
	n, ok := c.(color.NRGBA)
	if !ok {
		n = color.NRGBAModel.Convert(c).(color.NRGBA)
	}
	out[0], out[1], out[2] = n.R, n.G, n.B
}

// dropFourth copies the high bytes of three of four channels, each of size bytes.
func dropFourth(out, row []uint8, size int) {
	for i, j := 0, 0; i < len(out); i, j = i+3, j+4*size {
		out[i], out[i+1], out[i+2] = row[j], row[j+size], row[j+2*size]
	}
}
