package reports

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// setting is a setting's name, with dots, and its value for people.
type setting struct{ Name, Text string }

// flatten lists the settings of a JSON object in its order; those of objects in it have a dot in their name.
func flatten(object json.RawMessage) ([]setting, error) {
	dec := json.NewDecoder(bytes.NewReader(object))
	dec.UseNumber()
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, errSettings
	}
	var out []setting
	err := flattenObject(dec, "", &out)
	return out, err
}

// flattenObject reads on behind an opening brace.
func flattenObject(dec *json.Decoder, prefix string, out *[]setting) error {
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return err
		}
		name := prefix + key.(string)
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return err
		}
		if len(value) > 0 && value[0] == '{' {
			inner := json.NewDecoder(bytes.NewReader(value))
			inner.UseNumber()
			if _, err := inner.Token(); err != nil {
				return err
			}
			if err := flattenObject(inner, name+".", out); err != nil {
				return err
			}
			continue
		}
		text, err := settingText(value)
		if err != nil {
			return err
		}
		*out = append(*out, setting{name, text})
	}
	_, err := dec.Token()
	return err
}

// mostListed is the number of elements of a list that a setting shows.
const mostListed = 12

// settingText writes a value for people: a list with commas, an object in a list as its first text with the rest in
// brackets, "random_rotation (degrees 10)".
func settingText(value json.RawMessage) (string, error) {
	switch value[0] {
	case '"':
		var s string
		err := json.Unmarshal(value, &s)
		return s, err
	case '[':
		var list []json.RawMessage
		if err := json.Unmarshal(value, &list); err != nil {
			return "", err
		}
		var parts []string
		for i, x := range list {
			if i == mostListed {
				parts = append(parts, fmt.Sprintf("… (%d in all)", len(list)))
				break
			}
			s, err := settingText(x)
			if err != nil {
				return "", err
			}
			parts = append(parts, s)
		}
		return strings.Join(parts, ", "), nil
	case '{':
		all, err := flatten(value)
		if err != nil || len(all) == 0 {
			return "", err
		}
		var rest []string
		for _, s := range all[1:] {
			rest = append(rest, s.Name[strings.LastIndexByte(s.Name, '.')+1:]+" "+s.Text)
		}
		if rest == nil {
			return all[0].Text, nil
		}
		return all[0].Text + " (" + strings.Join(rest, ", ") + ")", nil
	}
	return string(value), nil
}

// common are the settings that all configurations have alike; those of a configuration that are not known say nothing.
func common(configs [][]setting) []setting {
	var out []setting
	first := true
	for _, settings := range configs {
		switch {
		case settings == nil:
		case first:
			out, first = append(out, settings...), false
		default:
			has := asSet(settings)
			kept := out[:0]
			for _, s := range out {
				if has[s] {
					kept = append(kept, s)
				}
			}
			out = kept
		}
	}
	return out
}

// differing are the settings that are not among the common ones.
func differing(settings, common []setting) []setting {
	has := asSet(common)
	var out []setting
	for _, s := range settings {
		if !has[s] {
			out = append(out, s)
		}
	}
	return out
}

func asSet(settings []setting) map[setting]bool {
	set := make(map[setting]bool, len(settings))
	for _, s := range settings {
		set[s] = true
	}
	return set
}
