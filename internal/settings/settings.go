// Package settings says how the settings of two trainings differ, so that a comparison of plans and one of results give a
// change one name. Settings are JSON objects, as a plan file and a baseline hold them.
package settings

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Change is a value that differs. nil: it is not set there.
type Change struct {
	Setting string          `json:"setting"` // as in the file: "optimizer.lr", "augment.ops[1].params.degrees"
	Before  json.RawMessage `json:"before"`
	After   json.RawMessage `json:"after"`
}

// Differences lists the values in which two objects differ, sorted by name; path is what the names begin with. An object that
// is missing is one without members; lists of objects of one length are compared element by element, other lists are values.
// An error says that one of them is no JSON.
func Differences(path string, before, after json.RawMessage) ([]Change, error) {
	a, err := tree(before)
	if err != nil {
		return nil, err
	}
	b, err := tree(after)
	if err != nil {
		return nil, err
	}
	return walk(nil, path, a, b), nil
}

// Canonical is JSON without its blanks, and with an object's members in order. Nothing is null.
func Canonical(raw json.RawMessage) (json.RawMessage, error) {
	v, err := tree(raw)
	if err != nil {
		return nil, err
	}
	return encoded(v), nil
}

// tree decodes JSON. Numbers keep their text.
func tree(raw json.RawMessage) (v any, err error) {
	if len(raw) == 0 { // left out in the file
		return nil, nil
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	err = d.Decode(&v)
	return v, err
}

// walk appends the leaves in which two trees differ.
func walk(changes []Change, path string, a, b any) []Change {
	objectA, isA := a.(map[string]any)
	objectB, isB := b.(map[string]any)
	if (isA || a == nil) && (isB || b == nil) && (isA || isB) {
		members := maps.Clone(objectA)
		if members == nil {
			members = map[string]any{}
		}
		maps.Copy(members, objectB)
		for _, name := range slices.Sorted(maps.Keys(members)) {
			changes = walk(changes, strings.TrimPrefix(path+"."+name, "."), objectA[name], objectB[name])
		}
		return changes
	}
	listA, isA := a.([]any)
	listB, isB := b.([]any)
	if isA && isB && len(listA) == len(listB) && slices.ContainsFunc(listA, isObject) {
		for i := range listA {
			changes = walk(changes, fmt.Sprintf("%s[%d]", path, i), listA[i], listB[i])
		}
		return changes
	}
	before, after := leaf(a), leaf(b)
	if !bytes.Equal(before, after) {
		changes = append(changes, Change{path, before, after})
	}
	return changes
}

func isObject(v any) bool {
	_, is := v.(map[string]any)
	return is
}

func leaf(v any) json.RawMessage {
	if v == nil {
		return nil
	}
	return encoded(v)
}

// encoded writes what tree has decoded.
func encoded(v any) json.RawMessage {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(fmt.Sprintf("settings: what was JSON is none: %v", err))
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
