package durable

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
)

type document struct {
	Name string `json:"name"`
	Note string `json:"note"`
}

func TestAnyChangedByteOfASealedDocumentIsFound(t *testing.T) {
	want := document{"a", `a note with "checksum": "00000000" in it`}
	raw, err := SealJSON(want)
	if err != nil {
		t.Fatal(err)
	}
	var got document
	if err := OpenJSON(raw, &got); err != nil || got != want {
		t.Fatalf("%+v, %v", got, err)
	}
	for i := range raw {
		for bit := range 8 {
			raw[i] ^= 1 << bit
			if err := CheckJSON(raw); !errors.Is(err, ErrAltered) {
				t.Errorf("bit %d of byte %d: %v\n%s", bit, i, err, raw)
			}
			raw[i] ^= 1 << bit
		}
	}
	for n := range raw {
		if err := CheckJSON(raw[:n]); !errors.Is(err, ErrAltered) {
			t.Errorf("cut to %d bytes: %v", n, err)
		}
	}
}

func TestLineEndsOfAnotherSystemAreNoDamage(t *testing.T) {
	raw, err := SealJSON(document{"a", "b"})
	if err != nil {
		t.Fatal(err)
	}
	crlf := bytes.ReplaceAll(raw, []byte("\n"), []byte("\r\n"))
	var got document
	if err := OpenJSON(crlf, &got); err != nil || got != (document{"a", "b"}) {
		t.Errorf("%+v, %v", got, err)
	}
	if err := CheckJSON(bytes.Replace(crlf, []byte("a"), []byte("c"), 1)); !errors.Is(err, ErrAltered) {
		t.Errorf("changed beside that: %v", err)
	}
}

func TestFirstMember(t *testing.T) {
	for raw, want := range map[string]string{`{"a":1,"b":2}`: "a", ` { "b" : [`: "b", `{}`: "", `[]`: "", `{`: "", "": "", "text": "", `"a"`: "", `{1`: ""} {
		if got := FirstMember([]byte(raw)); got != want {
			t.Errorf("%s: %q, want %q", raw, got, want)
		}
	}
}

func TestErrorsOfJSONNameNoTypesOfGo(t *testing.T) {
	for raw, want := range map[string]string{
		`[]`:         "what stands there is of the wrong kind: array",
		`{"name":1}`: "what stands as name is of the wrong kind: number",
		`{"name"`:    "unexpected end of JSON input",
	} {
		if got := ExplainJSON(json.Unmarshal([]byte(raw), new(document))); got.Error() != want {
			t.Errorf("%s: %v", raw, got)
		}
	}
}

func TestOnlyAnObjectIsSealed(t *testing.T) {
	for name, v := range map[string]any{"list": []int{1}, "number": 1, "empty object": struct{}{}} {
		if raw, err := SealJSON(v); err == nil {
			t.Errorf("%s: %s", name, raw)
		}
	}
}

func TestNothingIsWrittenThroughADeskThatIsGone(t *testing.T) {
	dir := t.TempDir()
	desk, path := filepath.Join(dir, "desk"), filepath.Join(dir, "f")
	if err := WriteFileThrough(desk, path, func(io.Writer) error { return nil }); err == nil {
		t.Error("written without a desk")
	}
	if err := os.Mkdir(desk, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := WriteFileThrough(desk, path, func(w io.Writer) error { _, err := io.WriteString(w, "old"); return err }); err != nil {
		t.Fatal(err)
	}
	err := WriteFileThrough(desk, path, func(w io.Writer) error {
		if _, err := io.WriteString(w, "new"); err != nil {
			return err
		}
		return os.Rename(desk, desk+".taken")
	})
	if err == nil {
		t.Error("written through a desk that was taken")
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != "old" {
		t.Errorf("%q, %v", got, err)
	}
}
