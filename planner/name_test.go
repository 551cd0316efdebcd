package planner

import (
	"encoding/json"
	"testing"
)

func TestLabelText(t *testing.T) {
	for _, test := range []struct{ name, value, want string }{
		{"a string", `"resnet18"`, "resnet18"},
		{"a number", `0.001`, "0.001"},
		{"a bool", `true`, "true"},
		{"an object", `{"lr":0.1,"epochs":3}`, "epochs=3 lr=0.1"},
		{"an object with a name", `{"name":"gentle","lr":0.1}`, "gentle"},
		{"an object whose name is no text", `{"name":3,"lr":0.1}`, "lr=0.1 name=3"},
		{"an object with an empty name", `{"name":"","lr":0.1}`, "lr=0.1 name="},
		{"a list in an indented file", "{\"keep\": [\n  \"head\",\n  \"layer4.**\"\n]}", `keep=["head","layer4.**"]`},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := Label{Axis: "x", Value: json.RawMessage(test.value)}
			if got := l.Text(); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
