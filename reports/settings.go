package reports

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// changedSettings lists the settings of a configuration that are not the same on both sides: "optimizer.lr: 0.01 → 0.1".
func changedSettings(base, newer *ConfigResults) []string {
	if base.Settings == nil || newer.Settings == nil || bytes.Equal(base.Settings, newer.Settings) {
		return nil
	}
	old, new := map[string]string{}, map[string]string{}
	flatten(old, "", base.Settings)
	flatten(new, "", newer.Settings)
	names := maps.Clone(old)
	maps.Copy(names, new)
	var changed []string
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if old[name] != new[name] {
			changed = append(changed, fmt.Sprintf("%s: %s → %s", name, orNone(old[name]), orNone(new[name])))
		}
	}
	return changed
}

// flatten notes the JSON of each member of an object under its path; lists are members whole.
func flatten(into map[string]string, path string, value json.RawMessage) {
	var members map[string]json.RawMessage
	if json.Unmarshal(value, &members) != nil || members == nil {
		into[path] = string(value)
		return
	}
	if path != "" {
		path += "."
	}
	for name, v := range members {
		flatten(into, path+name, v)
	}
}

func orNone(setting string) string {
	if setting == "" {
		return "none"
	}
	return setting
}
