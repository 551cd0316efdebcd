package weights

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"

	"github.com/ftrun/ftrun/internal/durable"
)

// sealKey is the entry of a sealed file's metadata that holds its checksum.
const sealKey = "ftrun.checksum"

// WriteSealed is WriteSafetensors of a file that holds its own checksum, so that OpenSealed finds any damage. The seal is
// an entry of the metadata; to other programs the file is like any other.
func WriteSealed(w io.Writer, ts []Tensor, metadata map[string]string) error {
	sealed := map[string]string{}
	maps.Copy(sealed, metadata)
	sealed[sealKey] = durable.Blank
	var sum durable.Sum
	if err := WriteSafetensors(&sum, ts, sealed); err != nil {
		return err
	}
	sealed[sealKey] = sum.Digits()
	return WriteSafetensors(w, ts, sealed)
}

// OpenSealed is Open of a file that WriteSealed wrote. What is not as it was written is durable.ErrAltered.
func OpenSealed(path string) (*File, error) {
	if err := checkSeal(path); err != nil {
		return nil, fmt.Errorf("cannot read weights %s: %w", path, err)
	}
	return Open(path)
}

func checkSeal(path string) error {
	f, size, err := openRegular(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if size == 0 {
		return errors.New("it is empty")
	}
	src := source{r: f, size: size}
	b, err := src.bytes(0, 8)
	if err != nil {
		return fmt.Errorf("%w: %w", durable.ErrAltered, err)
	}
	header, err := src.bytes(8, int64(binary.LittleEndian.Uint64(b)))
	if err != nil {
		return fmt.Errorf("%w: %w", durable.ErrAltered, err)
	}
	key := []byte(`"` + sealKey + `":"`)
	at := bytes.Index(header, key)
	if at < 0 {
		return fmt.Errorf("%w (it has none)", durable.ErrAltered)
	}
	return durable.CheckSeal(f, int64(8+at+len(key)), size)
}
