package durable

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"regexp"
)

// A sealed file holds its own checksum: eight hexadecimal digits that stand after a key which its format chooses. They are
// the CRC-32C of the whole file with zeros in their place. Any change of up to four bytes in a row is found for certain,
// any other with all but one chance in 2³².

// Blank is what counts in the place of a seal's digits.
const Blank = "00000000"

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// ErrAltered says that a sealed file is not what was written.
var ErrAltered = errors.New("it is damaged or was edited: its checksum does not fit its content")

// Sum computes the digits of a seal over what is written to it, in which Blank stands for them.
type Sum struct{ crc uint32 }

// Write adds to the sum.
func (s *Sum) Write(p []byte) (int, error) {
	s.crc = crc32.Update(s.crc, castagnoli, p)
	return len(p), nil
}

// Digits gives the digits.
func (s *Sum) Digits() string { return fmt.Sprintf("%08x", s.crc) }

// CheckSeal holds a file of size bytes against its seal, whose digits stand at byte at.
func CheckSeal(r io.ReaderAt, at, size int64) error {
	digits := make([]byte, len(Blank))
	if at < 0 || at > size-int64(len(Blank)) {
		return ErrAltered
	}
	if _, err := r.ReadAt(digits, at); err != nil && err != io.EOF {
		return err
	}
	var sum Sum
	if _, err := io.Copy(&sum, io.NewSectionReader(r, 0, at)); err != nil {
		return err
	}
	io.WriteString(&sum, Blank)
	end := at + int64(len(Blank))
	if _, err := io.Copy(&sum, io.NewSectionReader(r, end, size-end)); err != nil {
		return err
	}
	if sum.Digits() != string(digits) {
		return ErrAltered
	}
	return nil
}

// The seal of a JSON document is its last member.
const (
	sealHead = ",\n  \"checksum\": \""
	sealTail = "\"\n}\n"
)

var jsonSeal = regexp.MustCompile(`"checksum": ?"([^"]*)"\s*\}\s*$`)

// SealJSON writes v, whose JSON must be an object with members, indented and sealed.
func SealJSON(v any) ([]byte, error) {
	raw, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return nil, err
	}
	body, ok := bytes.CutSuffix(raw, []byte("\n}"))
	if !ok {
		return nil, fmt.Errorf("%T is no JSON object", v)
	}
	var sum Sum
	sum.Write(body)
	return append(body, sum.EndJSON()...), nil
}

// EndJSON gives the end of a JSON document whose beginning, without the closing brace, was written to the sum.
func (s *Sum) EndJSON() string {
	io.WriteString(s, sealHead+Blank+sealTail)
	return sealHead + s.Digits() + sealTail
}

// FirstMember is the name of a JSON object's first member, by which documents tell what they are; "" where there is none.
func FirstMember(raw []byte) string {
	dec := json.NewDecoder(bytes.NewReader(raw))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return ""
	}
	t, _ := dec.Token()
	name, _ := t.(string)
	return name
}

// ExplainJSON tells an error of decoding JSON without the types of Go in its text.
func ExplainJSON(err error) error {
	var wrong *json.UnmarshalTypeError
	switch {
	case !errors.As(err, &wrong):
		return err
	case wrong.Field == "":
		return fmt.Errorf("what stands there is of the wrong kind: %s", wrong.Value)
	}
	return fmt.Errorf("what stands as %s is of the wrong kind: %s", wrong.Field, wrong.Value)
}

// OpenJSON decodes a sealed JSON document into v. What is not as it was sealed is ErrAltered.
func OpenJSON(raw []byte, v any) error {
	if err := CheckJSON(raw); err != nil {
		return err
	}
	return json.Unmarshal(raw, v)
}

// CheckJSON holds a JSON document against its seal. Lines that end with CR LF, as version control may write them on some
// systems, count as those that were written: JSON has no CR that means anything.
func CheckJSON(raw []byte) error {
	raw = bytes.ReplaceAll(raw, []byte("\r\n"), []byte("\n"))
	tail := raw[max(0, len(raw)-64):]
	at := jsonSeal.FindSubmatchIndex(tail)
	if at == nil || at[3]-at[2] != len(Blank) {
		return fmt.Errorf("%w (it has none at its end)", ErrAltered)
	}
	from := len(raw) - len(tail) + at[2]
	var sum Sum
	sum.Write(raw[:from])
	io.WriteString(&sum, Blank)
	sum.Write(raw[from+len(Blank):])
	if sum.Digits() != string(raw[from:from+len(Blank)]) {
		return ErrAltered
	}
	return nil
}
