package planner

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Name is how people see a run: its sweep and labels, "tutorial[arch=resnet18, mode=extract] seed 0".
func (p *Plan) Name(r *Run) string {
	return fmt.Sprintf("%s seed %d", p.Configs[r.Config].Name(), r.Seed)
}

// Name is how people see a configuration: "tutorial[arch=resnet18, mode=extract]".
func (c *Config) Name() string {
	if len(c.Labels) == 0 {
		return c.Sweep
	}
	parts := make([]string, len(c.Labels))
	for i, l := range c.Labels {
		parts[i] = l.Axis + "=" + l.Text()
	}
	return c.Sweep + "[" + strings.Join(parts, ", ") + "]"
}

// Text is the label's value for people: a string without its quotes, an object by its name where it has one, else as
// name=value pairs, anything else as JSON.
func (l *Label) Text() string { return text(l.Value) }

func text(value json.RawMessage) string {
	var s string
	if json.Unmarshal(value, &s) == nil {
		return s
	}
	var object map[string]json.RawMessage
	if json.Unmarshal(value, &object) == nil && object != nil {
		if json.Unmarshal(object["name"], &s) == nil && s != "" {
			return s
		}
		parts := make([]string, 0, len(object))
		for _, name := range slices.Sorted(maps.Keys(object)) {
			parts = append(parts, name+"="+text(object[name]))
		}
		return strings.Join(parts, " ")
	}
	// Where the value was read from an indented file, it has line breaks.
	var compact bytes.Buffer
	if json.Compact(&compact, value) != nil {
		return string(value)
	}
	return compact.String()
}

// Description is one run with everything that the plan says of it: what config.json keeps.
type Description struct {
	Run      Run      `json:"run"`
	Config   Config   `json:"configuration"`
	Settings Settings `json:"settings"`
	Dataset  Dataset  `json:"dataset"`
}

// Describe gathers a run's description.
func (p *Plan) Describe(r *Run) Description {
	return Description{Run: *r, Config: p.Configs[r.Config], Settings: p.Settings[r.Settings], Dataset: p.Datasets[r.Dataset]}
}
