package reports

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/ftrun/ftrun/internal/settings"
)

// changedSettings lists the settings of a configuration that are not the same on both sides: "optimizer.lr: 0.01 → 0.1".
func changedSettings(base, newer *ConfigResults) []string {
	if base.Settings == nil || newer.Settings == nil || bytes.Equal(base.Settings, newer.Settings) {
		return nil
	}
	differences, err := settings.Differences("", base.Settings, newer.Settings)
	if err != nil { // nothing is known of settings that can't be read
		return nil
	}
	var changed []string
	for _, d := range differences {
		changed = append(changed, fmt.Sprintf("%s: %s → %s", d.Setting, SettingText(d.Before), SettingText(d.After)))
	}
	return changed
}

// SettingText is the value of a changed setting for people: a list with commas, operations by their kinds alone, and "not set"
// for nil. What is empty, or can't be read, stands there as JSON.
func SettingText(value json.RawMessage) string {
	if value == nil {
		return "not set"
	}
	var operations []struct{ Kind string }
	if json.Unmarshal(value, &operations) == nil && len(operations) > 0 {
		kinds := make([]string, len(operations))
		for i, o := range operations {
			kinds[i] = o.Kind
		}
		if !slices.Contains(kinds, "") {
			return strings.Join(kinds, ", ")
		}
	}
	if text, err := settingText(value); err == nil && text != "" {
		return text
	}
	return string(value)
}

// setting is a setting's name, with dots, and its value for people.
type setting struct{ Name, Text string }

// listSettings lists the settings of a JSON object in its order; those of objects in it have a dot in their name.
func listSettings(object json.RawMessage) ([]setting, error) {
	dec := json.NewDecoder(bytes.NewReader(object))
	dec.UseNumber()
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, errSettings
	}
	var out []setting
	err := listObject(dec, "", &out)
	return out, err
}

// listObject reads on behind an opening brace.
func listObject(dec *json.Decoder, prefix string, out *[]setting) error {
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
			if err := listObject(inner, name+".", out); err != nil {
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
		for _, x := range list {
			s, err := settingText(x)
			if err != nil {
				return "", err
			}
			parts = append(parts, s)
		}
		return strings.Join(parts, ", "), nil
	case '{':
		all, err := listSettings(value)
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

// errSettings says that settings are no JSON object.
var errSettings = errors.New("they are no JSON object")
