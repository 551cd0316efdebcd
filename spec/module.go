package spec

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/apparentlymart/go-versions/versions"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
)

// module is the files that are loaded together, on their way to a Spec.
type module struct {
	opt    Options
	dir    string // of the files, as the user named it; their paths start here
	read   func(path string) ([]byte, error)
	bodies []*hclsyntax.Body
	spec   *Spec

	variables map[string]*variable
	locals    map[string]*hclsyntax.Attribute
	datasets  map[string]*dataset
	sweeps    map[string]*sweepBlock
	gates     map[string]*hclsyntax.Block
	launchers map[string]*launcher // by kind.name

	functions     map[string]function.Function
	functionNames []string
	root          *hcl.EvalContext // what every expression can see: functions, var, local, dataset, sweep
}

// dataset and sweepBlock pair a declaration with what it becomes; references may be made before it is decoded.
type dataset struct {
	block  *hclsyntax.Block
	value  *Dataset
	absent bool // its kind is null
}

type sweepBlock struct {
	block *hclsyntax.Block
	value *Sweep
	best  *best
}

func newModule(opt Options) *module {
	return &module{
		opt:       opt,
		dir:       ".",
		spec:      &Spec{Inputs: map[string]cty.Value{}, files: map[string]*hcl.File{}},
		variables: map[string]*variable{},
		locals:    map[string]*hclsyntax.Attribute{},
		datasets:  map[string]*dataset{},
		sweeps:    map[string]*sweepBlock{},
		gates:     map[string]*hclsyntax.Block{},
		launchers: map[string]*launcher{},
	}
}

// shape is what a block may hold: attributes by name, and blocks by type with their number of labels.
type shape struct {
	attributes []string
	blocks     map[string]int
	inner      map[string][]string // the attributes of blocks, to say where one belongs
}

var fileShape = shape{blocks: map[string]int{"ftrun": 0, "variable": 1, "locals": 0, "dataset": 1, "sweep": 1, "gate": 1, "launcher": 2}}

// check reports whatever of body is not of this shape; context places it for a sentence: "in a run block".
func (s shape) check(body *hclsyntax.Body, context string) Diagnostics {
	var diags Diagnostics
	blockTypes := mapKeys(s.blocks)
	for _, a := range ordered(body.Attributes) {
		switch _, isBlock := s.blocks[a.Name]; {
		case slices.Contains(s.attributes, a.Name):
		case isBlock:
			diags = append(diags, errorAt(a.NameRange, "Unknown attribute",
				"%s is a block, not an attribute: write %s { … } without the equals sign.", quote(a.Name), a.Name))
		case len(s.attributes) == 0 && len(s.blocks) > 0:
			diags = append(diags, errorAt(a.NameRange, "Unknown attribute",
				"Attributes do not stand %s, only blocks: %s.", context, strings.Join(blockTypes, ", ")))
		case len(s.holders(a.Name)) > 0:
			diags = append(diags, errorAt(a.NameRange, "Unknown attribute", "There is no attribute %s %s; it belongs in %s.",
				quote(a.Name), context, strings.Join(s.holders(a.Name), " or ")))
		default:
			candidates := append(slices.Clone(s.attributes), blockTypes...)
			diags = append(diags, unknownIn("attribute", a.Name, context, candidates, a.NameRange))
		}
	}
	for _, b := range body.Blocks {
		labels, known := s.blocks[b.Type]
		switch {
		case !known && slices.Contains(s.attributes, b.Type):
			diags = append(diags, errorAt(b.TypeRange, "Unknown block",
				"%s is an attribute, not a block: write %s = ….", quote(b.Type), b.Type))
		case !known:
			candidates := append(slices.Clone(blockTypes), s.attributes...)
			diags = append(diags, unknownIn("block", b.Type, context, candidates, b.TypeRange))
		case len(b.Labels) < labels:
			text := "A %s block has a label: %s \"…\" { }."
			if labels > 1 {
				text = "A %s block has two labels, its kind and its name: %s \"slurm\" \"…\" { }."
			}
			diags = append(diags, errorAt(b.TypeRange, "Missing label", text, b.Type, b.Type))
		case len(b.Labels) > labels:
			text := "A %s block has " + [...]string{"no label", "one label", "two labels"}[labels] + "."
			diags = append(diags, errorAt(b.LabelRanges[labels], "Unexpected label", text, b.Type))
		}
	}
	return diags
}

// holders lists the blocks that have an attribute of this name, as in "optimizer { }".
func (s shape) holders(attr string) []string {
	var holders []string
	for _, block := range mapKeys(s.inner) {
		if slices.Contains(s.inner[block], attr) {
			holders = append(holders, block+" { }")
		}
	}
	return holders
}

// ordered lists attributes as they stand in the file.
func ordered(attrs hclsyntax.Attributes) []*hclsyntax.Attribute {
	list := slices.Collect(maps.Values(attrs))
	slices.SortFunc(list, func(a, b *hclsyntax.Attribute) int { return a.NameRange.Start.Byte - b.NameRange.Start.Byte })
	return list
}

func mapKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// headerOf is the range of a block's type and labels.
func headerOf(b *hclsyntax.Block) hcl.Range { return b.DefRange() }

// eachBlock calls f for the module's top-level blocks of one type, in order.
func (m *module) eachBlock(blockType string, f func(*hclsyntax.Block)) {
	for _, body := range m.bodies {
		for _, b := range body.Blocks {
			if b.Type == blockType && len(b.Labels) == fileShape.blocks[blockType] {
				f(b)
			}
		}
	}
}

// longNumber finds numbers that the library for versions cannot hold, at which it panics.
var longNumber = regexp.MustCompile(`\d{10}`)

// checkVersion holds the ftrun blocks' required_version against the version that is running.
func (m *module) checkVersion() Diagnostics {
	var diags Diagnostics
	m.eachBlock("ftrun", func(b *hclsyntax.Block) {
		attr := b.Body.Attributes["required_version"]
		if attr == nil {
			return
		}
		v, d := attr.Expr.Value(nil)
		diags = append(diags, d...)
		if d.HasErrors() || v.IsNull() {
			return
		}
		text, p := asString("required_version", v)
		if p != nil {
			diags = append(diags, errorAt(attr.Expr.Range(), p.summary, "%s", p.detail))
			return
		}
		var set versions.Set
		var err error
		if longNumber.MatchString(text) {
			err = errors.New("no version has such a number")
		} else {
			set, err = versions.MeetingConstraintsStringRuby(text)
		}
		if err != nil {
			diags = append(diags, errorAt(attr.Expr.Range(), "Invalid version constraint",
				"%s is not a version constraint such as \"~> 0.1\" or \">= 0.1, < 0.3\": %s.", quote(text), err))
			return
		}
		if m.opt.Version == "" {
			return
		}
		running, err := versions.ParseVersion(strings.TrimPrefix(m.opt.Version, "v"))
		if err != nil {
			panic(fmt.Sprintf("spec: the version of this program, %q, is none: %v", m.opt.Version, err))
		}
		// A build on the way to a version has its features: "0.2.0-dev" may read files for 0.2.
		running.Prerelease, running.Metadata = "", ""
		if !set.Has(running) {
			diags = append(diags, errorAt(attr.Expr.Range(), "Unsuitable version of ftrun",
				"These files need ftrun %s; this is version %s. Install a version that meets the constraint, or change "+
					"the constraint if the files work with this one.", text, m.opt.Version))
		}
	})
	return diags
}

// declare registers every name that the files declare, so that references can be checked before anything is evaluated.
func (m *module) declare() Diagnostics {
	var diags Diagnostics
	for _, body := range m.bodies {
		diags = append(diags, fileShape.check(body, "at the top of a file")...)
	}
	m.eachBlock("ftrun", func(b *hclsyntax.Block) {
		diags = append(diags, shape{attributes: []string{"required_version"}}.check(b.Body, "in an ftrun block")...)
	})
	m.eachBlock("variable", func(b *hclsyntax.Block) {
		name := b.Labels[0]
		if first := m.variables[name]; first != nil {
			diags = append(diags, duplicate("variable", name, b.LabelRanges[0], headerOf(first.block)))
			return
		}
		v, d := decodeVariable(b)
		diags = append(diags, d...)
		diags = append(diags, checkName("variable", b)...)
		m.variables[name] = v
	})
	m.eachBlock("locals", func(b *hclsyntax.Block) {
		for _, inner := range b.Body.Blocks {
			diags = append(diags, errorAt(inner.TypeRange, "Unknown block", "A locals block holds attributes only."))
		}
		for _, a := range ordered(b.Body.Attributes) {
			if first := m.locals[a.Name]; first != nil {
				diags = append(diags, duplicate("local", a.Name, a.NameRange, first.NameRange))
				continue
			}
			m.locals[a.Name] = a
		}
	})
	m.eachBlock("dataset", func(b *hclsyntax.Block) {
		name := b.Labels[0]
		if first := m.datasets[name]; first != nil {
			diags = append(diags, duplicate("data set", name, b.LabelRanges[0], headerOf(first.block)))
			return
		}
		diags = append(diags, checkName("data set", b)...)
		m.datasets[name] = &dataset{block: b, value: &Dataset{Name: name, Range: headerOf(b)}}
	})
	m.eachBlock("sweep", func(b *hclsyntax.Block) {
		name := b.Labels[0]
		if first := m.sweeps[name]; first != nil {
			diags = append(diags, duplicate("sweep", name, b.LabelRanges[0], headerOf(first.block)))
			return
		}
		diags = append(diags, checkName("sweep", b)...)
		m.sweeps[name] = &sweepBlock{block: b, value: &Sweep{Name: name, Range: headerOf(b)}, best: &best{sweep: name}}
	})
	m.eachBlock("gate", func(b *hclsyntax.Block) {
		name := b.Labels[0]
		if first := m.gates[name]; first != nil {
			diags = append(diags, duplicate("gate", name, b.LabelRanges[0], headerOf(first)))
			return
		}
		diags = append(diags, checkName("gate", b)...)
		m.gates[name] = b
	})
	return append(diags, m.declareLaunchers()...)
}

func duplicate(kind, name string, rng, first hcl.Range) *hcl.Diagnostic {
	return errorAt(rng, "Duplicate name", "The name %s is that of the %s at %s line %d already. Give one of them another name.",
		quote(name), kind, first.Filename, first.Start.Line)
}

// checkName makes sure that a block's name, its last label, can be written in a reference.
func checkName(kind string, b *hclsyntax.Block) Diagnostics {
	at := len(b.Labels) - 1
	if hclsyntax.ValidIdentifier(b.Labels[at]) {
		return nil
	}
	return Diagnostics{errorAt(b.LabelRanges[at], "Invalid name",
		"The name of a %s starts with a letter and has letters, digits, underscores and dashes only, so that it can be "+
			"referred to; %s has others.", kind, quote(b.Labels[at]))}
}
