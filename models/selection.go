package models

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/agext/levenshtein"

	"github.com/ftrun/ftrun/internal/nn"
)

// Head is the pattern that stands for the parameters of the reshaped last layer.
const Head = "head"

// Match says which entries of net.Params the patterns pick; only weights are picked, never buffers or counters.
//
// A pattern names parameters ("fc.bias") or modules, which stand for all that is in them ("layer4"), by their dotted
// parts: "*" stands for any letters within one part, "?" for one letter, and a part "**" for any number of parts,
// including none. "head" is the reshaped last layer, inception_v3's both.
//
// A pattern that picks nothing is a *NoMatchError, a malformed one another error.
func Match(net *nn.Net, patterns []string) ([]bool, error) {
	picked := make([]bool, len(net.Params))
	for _, pattern := range patterns {
		found, err := match(net, pattern)
		if err != nil {
			return nil, err
		}
		for i := range picked {
			picked[i] = picked[i] || found[i]
		}
	}
	return picked, nil
}

func match(net *nn.Net, pattern string) ([]bool, error) {
	parts := strings.Split(pattern, ".")
	for _, part := range parts {
		if _, err := path.Match(part, ""); err != nil || part == "" {
			return nil, fmt.Errorf("the pattern %q is malformed at %q", pattern, part)
		}
	}
	picked := make([]bool, len(net.Params))
	some, buffer := false, ""
	for i, p := range net.Params {
		hit := p.Head
		if pattern != Head {
			hit = matches(parts, strings.Split(p.Name, "."))
		}
		switch {
		case hit && p.Kind == nn.Weight:
			picked[i], some = true, true
		case hit && buffer == "":
			buffer = p.Name
		}
	}
	if some {
		return picked, nil
	}
	hint := suggestion(net, pattern)
	if buffer != "" {
		hint = fmt.Sprintf("%s is not trained but kept by batch norm", buffer)
	}
	return nil, &NoMatchError{Arch: net.Arch, Pattern: pattern, Hint: hint}
}

// NoMatchError is a pattern that is well formed and picks no parameter.
type NoMatchError struct {
	Arch, Pattern string
	Hint          string // what may have been meant, "did you mean \"fc\"?"
}

func (e *NoMatchError) Error() string {
	return fmt.Sprintf("the pattern %q picks no parameter of %s: %s", e.Pattern, e.Arch, e.Hint)
}

// matches says whether the pattern's parts stand for the name or a module that it is in.
func matches(pattern, name []string) bool {
	// reached[i]: the parts of the pattern so far stand for name[:i]. All ends are followed at once: going back to try
	// another length for each "**" would take exponential time.
	reached := make([]bool, len(name)+1)
	reached[0] = true
	for _, part := range pattern {
		if part == "**" {
			for i := range name {
				reached[i+1] = reached[i+1] || reached[i]
			}
			continue
		}
		for i := len(name); i > 0; i-- {
			ok, err := path.Match(part, name[i-1])
			reached[i] = reached[i-1] && ok && err == nil
		}
		reached[0] = false
	}
	return slices.Contains(reached, true)
}

// suggestion names the parameter or module that the pattern most likely stands for, or else the outermost modules.
func suggestion(net *nn.Net, pattern string) string {
	parts := strings.Split(pattern, ".")
	for len(parts) > 1 && strings.Trim(parts[len(parts)-1], "*") == "" {
		parts = parts[:len(parts)-1]
	}
	wanted := strings.Join(parts, ".")

	var names, outermost []string
	for _, p := range net.Params {
		if p.Kind != nn.Weight {
			continue
		}
		for i := range p.Name {
			if p.Name[i] == '.' {
				names = append(names, p.Name[:i])
			}
		}
		names = append(names, p.Name)
		first, _, _ := strings.Cut(p.Name, ".")
		if !slices.Contains(outermost, first) {
			outermost = append(outermost, first)
		}
	}
	best, distance := "", (len(wanted)+2)/3+1 // about a third of the letters may be wrong
	for _, name := range append(names, Head) {
		if d := levenshtein.Distance(wanted, name, nil); d < distance {
			best, distance = name, d
		}
	}
	if best == "" {
		return "its outermost modules are " + strings.Join(outermost, ", ")
	}
	return fmt.Sprintf("did you mean %q?", best+strings.TrimPrefix(pattern, wanted))
}

// Modes of batch norm: whether its statistics are the batch's, and move, or those of the start.
const (
	BatchNormTrain  = "train"
	BatchNormFrozen = "frozen"
	BatchNormAuto   = "auto" // by layer: the batch's where the layer's scale and shift are trained
)

// BatchStats says of each layer whether it is a batch norm that uses the batch's statistics in training, and so moves its
// running mean and variance.
func BatchStats(net *nn.Net, trainable []bool, mode string) []bool {
	if !slices.Contains([]string{BatchNormTrain, BatchNormFrozen, BatchNormAuto}, mode) {
		panic("models: no batch-norm mode " + mode)
	}
	batch := make([]bool, len(net.Layers))
	for i, l := range net.Layers {
		if _, ok := l.Op.(nn.BatchNorm2d); !ok {
			continue
		}
		batch[i] = mode == BatchNormTrain ||
			mode == BatchNormAuto && slices.ContainsFunc(l.Params, func(p int) bool { return trainable[p] })
	}
	return batch
}
