package reports

import (
	"errors"
	"fmt"
	"strings"
)

// classCode writes predicted classes as a string: each class, counted from 0, is a number to base 62, of as many digits as
// the last class needs. Of up to 62 classes each picture takes one character.
type classCode struct {
	classes, digits int
}

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

func newClassCode(classes int) classCode {
	digits := 1
	for n := len(base62); n < classes; n *= len(base62) {
		digits++
	}
	return classCode{classes, digits}
}

func (c classCode) encode(predicted []int32) string {
	out := make([]byte, len(predicted)*c.digits)
	for i, class := range predicted {
		for k := c.digits - 1; k >= 0; k-- {
			out[i*c.digits+k] = base62[int(class)%len(base62)]
			class /= int32(len(base62))
		}
	}
	return string(out)
}

// decode reads the classes of so many pictures; an empty string is those of none.
func (c classCode) decode(text string, pictures int) ([]int32, error) {
	if text == "" {
		return nil, nil
	}
	if len(text) != pictures*c.digits {
		return nil, fmt.Errorf("it predicts %d pictures of %d", len(text)/c.digits, pictures)
	}
	out := make([]int32, pictures)
	for i := range out {
		class := 0
		for _, digit := range []byte(text[i*c.digits : (i+1)*c.digits]) {
			v := strings.IndexByte(base62, digit)
			if v < 0 {
				return nil, errors.New("what it predicts is no text of letters and digits")
			}
			class = class*len(base62) + v
		}
		if class >= c.classes {
			return nil, fmt.Errorf("it predicts class %d of %d", class, c.classes)
		}
		out[i] = int32(class)
	}
	return out, nil
}
