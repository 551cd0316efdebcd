package settings

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

func TestDifferences(t *testing.T) {
	for _, test := range []struct{ name, before, after, want string }{
		{"nothing", `{"a": 1, "b": [1, 2]}`, `{"b":[1,2],"a":1}`, ""},
		{"a value", `{"o": {"lr": 0.10}}`, `{"o": {"lr": 0.2}}`, "o.lr 0.10 0.2"},
		{"set, and no longer", `{"a": 1, "o": {"b": "x"}}`, `{"o": {}, "c": [1]}`, `a 1 -; c - [1]; o.b "x" -`},
		{"an object that is missing", `{}`, `{"o": {"a": {"b": 1}}}`, "o.a.b - 1"},
		{"an element's member", `{"ops": [{"kind": "flip"}, {"kind": "turn", "p": 1}]}`, `{"ops": [{"kind": "flip"}, {"kind": "turn", "p": 2}]}`, "ops[1].p 1 2"},
		{"lists of two lengths", `{"ops": [{"kind": "flip"}]}`, `{"ops": []}`, `ops [{"kind":"flip"}] []`},
		{"a list of numbers", `{"at": [1, 2]}`, `{"at": [1, 3]}`, "at [1,2] [1,3]"},
		{"what HTML escapes", `{"a": "<"}`, `{"a": "&"}`, `a "<" "&"`},
		{"no settings", ``, `{"a": 1}`, "a - 1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			changes, err := Differences("", json.RawMessage(test.before), json.RawMessage(test.after))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, c := range changes {
				text := func(v json.RawMessage) string {
					if v == nil {
						return "-"
					}
					return string(v)
				}
				got = append(got, fmt.Sprint(c.Setting, " ", text(c.Before), " ", text(c.After)))
			}
			if got := strings.Join(got, "; "); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
	if _, err := Differences("", json.RawMessage(`{"a"`), nil); err == nil {
		t.Error("what is no JSON has differences")
	}
}

func TestCanonical(t *testing.T) {
	for in, want := range map[string]string{"": "null", " {\"b\": 1.0,\n \"a\": [1, 2]}": `{"a":[1,2],"b":1.0}`} {
		if got, err := Canonical(json.RawMessage(in)); err != nil || string(got) != want {
			t.Errorf("%q: %q, want %q (%v)", in, got, want, err)
		}
	}
}
