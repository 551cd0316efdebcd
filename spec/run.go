package spec

import (
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

var runType = &blockType[Run]{
	name:     "run",
	required: []string{"arch", "mode"},
	fields: []field[Run]{
		{"dataset", func(m *module, r *Run, v cty.Value) (p *problem) {
			r.Dataset, p = m.asDataset(v)
			return p
		}},
		{"arch", func(_ *module, r *Run, v cty.Value) (p *problem) {
			r.Arch, p = asString("arch", v)
			return p
		}},
		kindField("mode", "mode", []string{"finetune", "extract", "scratch"}, func(r *Run) *string { return &r.Mode }),
		{"weights", func(m *module, r *Run, v cty.Value) (p *problem) {
			r.Weights, p = m.asWeights(v)
			return p
		}},
		{"trainable", setTrainable},
		enumField("batch_norm", "batch-norm mode", []string{"train", "frozen"}, func(r *Run) **string { return &r.BatchNorm }),
		intField("epochs", 1, func(r *Run) **int { return &r.Epochs }),
		intField("batch_size", 1, func(r *Run) **int { return &r.BatchSize }),
		enumField("monitor", "metric", Monitors, func(r *Run) **string { return &r.Monitor }),
		floatField("label_smoothing", fraction, func(r *Run) **float64 { return &r.LabelSmooth }),
		enumField("class_weights", "class weighting", []string{"balanced"}, func(r *Run) **string { return &r.ClassWeights }),
		floatField("grad_clip", positive, func(r *Run) **float64 { return &r.GradClip }),
		enumField("numerics", "numerics", []string{"exact", "default", "fast"}, func(r *Run) **string { return &r.Numerics }),
		enumField("precision", "precision", []string{"fp32", "tf32", "bf16"}, func(r *Run) **string { return &r.Precision }),
		boolField("deterministic", func(r *Run) **bool { return &r.Deterministic }),
	},
}

// Monitors are the metrics that monitor may name, in a run and in early_stop.
var Monitors = []string{"val_acc", "val_loss"}

// runBlocks are the blocks inside run, with their number of labels.
var runBlocks = map[string]int{
	"image": 0, "augment": 0, "optimizer": 0, "schedule": 0, "param_group": 1, "early_stop": 0,
}

// runBlock is a run block, compiled.
type runBlock struct {
	settings    *compiled[Run]
	image       *compiled[Image]
	augment     *compiled[Augment]
	optimizer   *compiled[Optimizer]
	schedule    *compiled[Schedule]
	earlyStop   *compiled[EarlyStop]
	paramGroups []*compiled[ParamGroup]
}

// compileRun decodes the run block of a sweep.
func (m *module) compileRun(s *Sweep, b *hclsyntax.Block, sc scope) (*runBlock, Diagnostics) {
	runShape := shape{attributes: runType.names(), blocks: runBlocks, inner: map[string][]string{
		imageType.name: imageType.names(), augmentType.name: augmentType.names(), optimizerType.name: optimizerType.names(),
		scheduleType.name: scheduleType.names(), earlyStopType.name: earlyStopType.names(),
	}}
	diags := runShape.check(b.Body, "in a run block")
	r := &runBlock{}
	var d Diagnostics
	r.settings, d = compileBlock(m, runType, b.Body, headerOf(b), sc, "", s.Ranges)
	diags = append(diags, d...)

	first := map[string]hcl.Range{} // of each block, by type and label
	for _, inner := range b.Body.Blocks {
		labels, known := runBlocks[inner.Type]
		if !known || len(inner.Labels) != labels {
			continue
		}
		key := inner.Type + " " + strings.Join(inner.Labels, " ")
		if other, twice := first[key]; twice {
			diags = append(diags, errorAt(headerOf(inner), "Duplicate block",
				"This run has had such a block at line %d. Put their attributes into one.", other.Start.Line))
			continue
		}
		first[key] = headerOf(inner)
		switch inner.Type {
		case "image":
			d = compileInner(m, imageType, inner, sc, s, &r.image)
		case "augment":
			d = compileInner(m, augmentType, inner, sc, s, &r.augment)
		case "optimizer":
			d = compileInner(m, optimizerType, inner, sc, s, &r.optimizer)
		case "schedule":
			d = compileInner(m, scheduleType, inner, sc, s, &r.schedule)
		case "early_stop":
			d = compileInner(m, earlyStopType, inner, sc, s, &r.earlyStop)
		case "param_group":
			var g *compiled[ParamGroup]
			d = compileInner(m, paramGroupType, inner, sc, s, &g)
			g.base.Pattern = inner.Labels[0]
			if g.base.Pattern == "" {
				d = append(d, errorAt(inner.LabelRanges[0], "Invalid pattern",
					"The label of a param_group block names parameters, such as \"layer1.**\"; this is empty."))
			}
			r.paramGroups = append(r.paramGroups, g)
		}
		diags = append(diags, d...)
	}
	return r, diags
}

func compileInner[T any](m *module, bt *blockType[T], b *hclsyntax.Block, sc scope, s *Sweep, to **compiled[T]) Diagnostics {
	article := "a "
	if strings.ContainsRune("aeiou", rune(bt.name[0])) {
		article = "an "
	}
	diags := shape{attributes: bt.names()}.check(b.Body, "in "+article+bt.name+" block")
	prefix := bt.name + "."
	if len(b.Labels) > 0 {
		prefix = bt.name + "." + b.Labels[0] + "."
	}
	s.Ranges[strings.TrimSuffix(prefix, ".")] = headerOf(b)
	c, d := compileBlock(m, bt, b.Body, headerOf(b), sc, prefix, s.Ranges)
	*to = c
	return append(diags, d...)
}

// Run evaluates the run block for a combination and a seed. Runs share what does not depend on these: a Run and what it
// points to must not be changed. Run may be called from several goroutines. With errors the Run is incomplete. Run panics where Load
// has reported errors.
func (s *Sweep) Run(c Combination, seed int64) (*Run, Diagnostics) {
	if s.broken {
		panic("spec: Run of a sweep whose configuration has errors")
	}
	e := &evaluation{sweep: s, values: s.valuesOf(c), rows: c.rows, seed: &seed}
	b := s.run
	r := new(Run)
	*r = b.settings.base
	diags, _, sound := b.settings.fill(r, e)
	if r.Dataset == nil {
		r.Dataset = s.dataset
	}
	r.Image = take(b.image, e, &diags)
	r.Augment = take(b.augment, e, &diags)
	if r.Augment != nil && len(r.Augment.Ops) == 0 {
		r.Augment = nil // nothing is to be done to the pictures
	}
	r.Optimizer = take(b.optimizer, e, &diags)
	r.Schedule = take(b.schedule, e, &diags)
	r.EarlyStop = take(b.earlyStop, e, &diags)
	for _, g := range b.paramGroups {
		if group := take(g, e, &diags); group != nil && (group.LR != nil || group.WeightDecay != nil) {
			r.ParamGroups = append(r.ParamGroups, *group)
		}
	}
	if sound && len(diags) == 0 {
		s.checkRun(r, e, &diags)
	}
	return r, diags
}

func take[T any](c *compiled[T], e *evaluation, diags *Diagnostics) *T {
	t, d := c.value(e)
	*diags = append(*diags, d...)
	return t
}

// checkRun reports what settings of different blocks mean for each other.
func (s *Sweep) checkRun(r *Run, e *evaluation, diags *Diagnostics) {
	report := func(setting string, p *problem) {
		rng, ok := s.Ranges[setting]
		if !ok {
			rng = s.run.settings.header
		}
		*diags = append(*diags, s.run.settings.at(setting, rng, p, e))
	}
	if r.Dataset == nil {
		report("dataset", problemf(missing, "This run has no data set. Give the sweep or its run block dataset = dataset.NAME."))
	}
	if r.Arch == "" {
		report("arch", problemf(missing, "arch is empty. Give the name of an architecture, such as \"resnet18\"."))
	}
	if r.Mode == "scratch" && r.Weights != nil {
		report("weights", ineffective("The mode scratch starts from random parameters, so weights would have no effect. Take "+
			"them out, make them null where matrix.mode is \"scratch\", or choose the mode finetune."))
	}
	if sch := r.Schedule; sch != nil && sch.Kind == "onecycle" && sch.MaxLR != nil && r.Optimizer != nil && r.Optimizer.LR != nil {
		report("optimizer.lr", ineffective("A one-cycle schedule that is given max_lr takes the learning rate from there, so "+
			"lr would have no effect. Take one of them out."))
	}
}

// asDataset converts a reference to a data set.
func (m *module) asDataset(v cty.Value) (*Dataset, *problem) {
	if v.Type() != datasetType {
		hint := ""
		if v.Type() == cty.String {
			if s := v.AsString(); m.datasets[s] != nil {
				hint = " Write dataset." + s + ", without quotes."
			}
		}
		return nil, problemf(wrongType, "dataset must be a reference such as dataset.NAME; this is %s.%s", describe(v), hint)
	}
	d := v.EncapsulatedValue().(*Dataset)
	if m.datasets[d.Name].absent {
		return nil, problemf(missing, "Data set %s is absent, because its kind is null.", quote(d.Name))
	}
	return d, nil
}

// asWeights tells what weights mean from how they are written.
func (m *module) asWeights(v cty.Value) (*Weights, *problem) {
	if v.Type() == bestType {
		return &Weights{SweepBest: v.EncapsulatedValue().(*best).sweep}, nil
	}
	if v.Type() != cty.String {
		return nil, notA("weights", "a string or the best run of a sweep, sweep.NAME.best", v)
	}
	s := v.AsString()
	if id, ok := strings.CutPrefix(s, "run:"); ok {
		if id == "" {
			return nil, problemf("Invalid weights", "\"run:\" is followed by the id of a run.")
		}
		return &Weights{Run: id}, nil
	}
	isFile := func(ending string) bool { return strings.HasSuffix(s, ending) }
	if strings.Contains(s, "/") || slices.ContainsFunc([]string{".pth", ".pt", ".safetensors"}, isFile) {
		return &Weights{File: m.resolve(s)}, nil
	}
	if s == "" {
		return nil, problemf("Invalid weights", "weights are empty. Give a catalogue name such as \"IMAGENET1K_V1\", a file, "+
			"\"run:ID\", or sweep.NAME.best; for the mode's own leave them out, or write null.")
	}
	return &Weights{Catalogue: s}, nil
}

func setTrainable(_ *module, r *Run, v cty.Value) *problem {
	values, p := asList("trainable", " of patterns, such as [\"head\", \"layer4.**\"]", v)
	if p != nil {
		return p
	}
	if len(values) == 0 {
		return problemf(outOfRange, "trainable must have at least one pattern: a run that trains nothing has no result.")
	}
	patterns := make([]string, 0, len(values))
	for i, v := range values {
		if v.IsNull() {
			continue
		}
		s, p := asString("each pattern of trainable", v)
		switch {
		case p != nil:
			return p.in(i)
		case s == "":
			return problemf(outOfRange, "A pattern of trainable is empty.").in(i)
		case slices.Contains(patterns, s):
			return problemf("Duplicate value", "The pattern %s stands in trainable twice.", quote(s)).in(i)
		}
		patterns = append(patterns, s)
	}
	r.Trainable = patterns
	return nil
}
