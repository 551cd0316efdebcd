package spec

import (
	"fmt"
	"math"
	"path"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// A launcher says how the runs of a sweep are started. Its attributes may depend on the axes of the sweep that uses it, so
// it is compiled once for each of these.

// Kinds of launchers.
const (
	LocalLauncher = "local"
	SlurmLauncher = "slurm"
	K8sLauncher   = "k8s"
)

// launcher pairs a declaration with the reference to it.
type launcher struct {
	block      *hclsyntax.Block
	kind, name string
}

// String is the launcher as a reference names it, without the root.
func (l *launcher) String() string { return l.kind + "." + l.name }

// launcherTypes describe the blocks of each kind.
var launcherTypes = map[string]*blockType[Launcher]{
	LocalLauncher: {
		name: "launcher",
		fields: []field[Launcher]{
			intField("parallelism", 1, func(l *Launcher) **int { return &l.Parallelism }),
			intField("threads", 1, func(l *Launcher) **int { return &l.Threads }),
			memoryField("memory", func(l *Launcher) **int64 { return &l.Memory }),
			memoryField("cache", func(l *Launcher) **int64 { return &l.Cache }),
			{"device", setDevice},
		},
	},
	SlurmLauncher: {
		name: "launcher",
		fields: append(jobFields(),
			wordField("partition", func(l *Launcher) *string { return &l.Partition }),
			wordField("account", func(l *Launcher) *string { return &l.Account }),
			wordField("qos", func(l *Launcher) *string { return &l.QOS }),
			wordField("constraint", func(l *Launcher) *string { return &l.Constraint }),
			field[Launcher]{"extra", setExtra},
		),
		check: func(l *Launcher, report func(string, *problem)) {
			if l.GPUs != nil && *l.GPUs > 0 && slices.ContainsFunc(l.Extra, asksForGPUs) {
				report("extra", problemf("Conflicting settings", "gpus asks for GPUs, and an option of extra does, too. Take one of them out."))
			}
		},
	},
	K8sLauncher: {
		name:     "launcher",
		required: []string{"image", "claim"},
		fields: append(jobFields(),
			wordField("image", func(l *Launcher) *string { return &l.Image }),
			dnsField("claim", "store-claim", func(l *Launcher) *string { return &l.Claim }),
			dnsField("namespace", "training", func(l *Launcher) *string { return &l.Namespace }),
			field[Launcher]{"mount", setMount},
			field[Launcher]{"volumes", setVolumes},
		),
		check: func(l *Launcher, report func(string, *problem)) {
			at := map[string]string{}
			if l.Mount != "" {
				at[l.Mount] = l.Claim
			}
			for _, claim := range mapKeys(l.Volumes) {
				path := l.Volumes[claim]
				if claim == l.Claim {
					report("volumes", problemf("Conflicting settings", "The claim %s is the one that claim names, and mount says where: take it out of volumes.", quote(claim)))
				} else if other := at[path]; other != "" {
					report("volumes", problemf("Conflicting settings", "The claims %s and %s can't both be mounted at %s.", quote(other), quote(claim), path))
				}
				at[path] = claim
			}
		},
	},
}

// mostOnNode is more than any node has. Slurm keeps the processors of a task in 16 bits, with two values set apart.
const mostOnNode = math.MaxUint16 - 2

// jobFields are the attributes of launchers that start each run as a job of its own.
func jobFields() []field[Launcher] {
	return []field[Launcher]{
		boundedField("gpus", 0, mostOnNode, "GPUs", func(l *Launcher) **int { return &l.GPUs }),
		boundedField("cpus", 1, mostOnNode, "cores", func(l *Launcher) **int { return &l.CPUs }),
		memoryField("memory", func(l *Launcher) **int64 { return &l.Memory }),
		{"time", setTime},
		intField("max_parallel", 1, func(l *Launcher) **int { return &l.MaxParallel }),
		{"setup", setSetup},
	}
}

// launcherShapes are what the blocks of each kind may hold.
func launcherShapes() map[string]shape {
	inner := map[string][]string{}
	for kind, bt := range launcherTypes {
		inner["launcher "+quote(kind)] = bt.names()
	}
	shapes := map[string]shape{}
	for kind, bt := range launcherTypes {
		shapes[kind] = shape{attributes: bt.names(), inner: inner}
	}
	return shapes
}

// declareLaunchers registers the launcher blocks by kind and name.
func (m *module) declareLaunchers() Diagnostics {
	var diags Diagnostics
	shapes := launcherShapes()
	m.eachBlock("launcher", func(b *hclsyntax.Block) {
		l := &launcher{block: b, kind: b.Labels[0], name: b.Labels[1]}
		s, known := shapes[l.kind]
		if !known {
			diags = append(diags, Unknown("kind of launcher", l.kind, mapKeys(launcherTypes), b.LabelRanges[0]))
			return
		}
		if first := m.launchers[l.String()]; first != nil {
			diags = append(diags, duplicate(l.kind+" launcher", l.name, b.LabelRanges[1], headerOf(first.block)))
			return
		}
		diags = append(diags, checkName("launcher", b)...)
		diags = append(diags, s.check(b.Body, "in a launcher of kind "+quote(l.kind))...)
		m.launchers[l.String()] = l
	})
	return diags
}

// launcherType is that of references to launchers.
var launcherType = cty.Capsule("launcher", reflect.TypeFor[launcher]())

func (m *module) launcherObject() cty.Value {
	kinds := map[string]map[string]cty.Value{}
	for kind := range launcherTypes {
		kinds[kind] = map[string]cty.Value{}
	}
	for _, l := range m.launchers {
		kinds[l.kind][l.name] = cty.CapsuleVal(launcherType, l)
	}
	attrs := map[string]cty.Value{}
	for kind, members := range kinds {
		attrs[kind] = cty.ObjectVal(members)
	}
	return cty.ObjectVal(attrs)
}

// checkLauncherReference holds launcher.KIND.NAME against what is declared.
func (m *module) checkLauncherReference(t hcl.Traversal) *hcl.Diagnostic {
	kind, kindRange, named := stepName(t, 1)
	if !named {
		return nil
	}
	if launcherTypes[kind] == nil {
		d := Unknown("kind of launcher", kind, mapKeys(launcherTypes), kindRange)
		for _, l := range m.named(kind) {
			d.Detail = fmt.Sprintf("There is no kind of launcher %s. A reference names the kind first: launcher.%s.", quote(kind), l)
		}
		return d
	}
	name, nameRange, named := stepName(t, 2)
	if !named || m.launchers[kind+"."+name] != nil {
		if len(t) > 3 {
			return errorAt(t.SourceRange(), "Reference out of place", "A launcher has no attributes that can be referred to: give it whole, "+
				"as launcher.%s.%s.", kind, name)
		}
		return nil
	}
	var names []string
	for _, l := range m.launchers {
		if l.kind == kind {
			names = append(names, l.name)
		}
	}
	d := unknownIn("launcher", name, "of kind "+kind, names, nameRange)
	if others := m.named(name); len(others) > 0 {
		d.Detail = fmt.Sprintf("There is no launcher %s of kind %s. There is launcher.%s.", quote(name), kind, others[0])
	} else if len(names) == 0 {
		d.Detail += fmt.Sprintf(" The configuration has no launcher of kind %s at all.", kind)
	}
	return d
}

// named lists the launchers of a name, by kind.
func (m *module) named(name string) (all []*launcher) {
	for _, key := range mapKeys(m.launchers) {
		if m.launchers[key].name == name {
			all = append(all, m.launchers[key])
		}
	}
	return all
}

// asLauncher converts a reference to a launcher.
func (m *module) asLauncher(v cty.Value) (*launcher, *problem) {
	if v.Type() == launcherType {
		return v.EncapsulatedValue().(*launcher), nil
	}
	hint := ""
	if v.Type() == cty.String {
		text := strings.TrimPrefix(v.AsString(), "launcher.")
		for key, l := range m.launchers {
			if key == text || l.name == text && len(m.named(text)) == 1 {
				hint = " Write launcher." + key + ", without quotes."
			}
		}
	}
	return nil, problemf(wrongType, "launcher must be a reference such as launcher.slurm.NAME; this is %s.%s", describe(v), hint)
}

// chosen finds the launcher that Options.Launcher names: none, and no error, is this machine.
func (m *module) chosen() (*launcher, *hcl.Diagnostic) {
	name := m.opt.Launcher
	if l := m.launchers[name]; l != nil {
		return l, nil
	}
	all := m.named(name)
	if len(all) == 1 {
		return all[0], nil
	}
	d := &hcl.Diagnostic{Severity: hcl.DiagError, Summary: "Unknown launcher"}
	candidates := mapKeys(m.launchers)
	switch {
	case len(all) > 1:
		d.Summary = "Ambiguous launcher"
		texts := make([]string, len(all))
		for i, l := range all {
			texts[i] = l.String()
		}
		d.Detail = fmt.Sprintf("There are launchers %s of several kinds: give -launcher %s.", quote(name), strings.Join(texts, " or "))
	case name == LocalLauncher:
		return nil, nil
	case len(candidates) == 0:
		d.Detail = fmt.Sprintf("There is no launcher %s: the configuration has none at all. Only -launcher local, this machine, needs none.", quote(name))
	default:
		for _, l := range m.launchers {
			candidates = append(candidates, l.name)
		}
		slices.Sort(candidates)
		d.Detail = fmt.Sprintf("There is no launcher %s for -launcher.%s", quote(name), suggestion(name, slices.Compact(candidates)))
	}
	return nil, d
}

// decodeLaunchers compiles for each sweep the launcher that it uses. One that no sweep uses is checked as far as that can be
// done without axes.
func (m *module) decodeLaunchers() Diagnostics {
	var diags Diagnostics
	var forAll *launcher
	if m.opt.Launcher != "" {
		var d *hcl.Diagnostic
		if forAll, d = m.chosen(); d != nil {
			diags = append(diags, d)
		}
	}
	used := map[*launcher]bool{}
	for _, s := range m.spec.Sweeps {
		if m.opt.Launcher != "" {
			s.uses = forAll
		}
		if s.uses == nil {
			continue
		}
		used[s.uses] = true
		sc := scope{sweep: s, inRun: true, launches: s.Name, axes: []string{}}
		for _, a := range s.axes {
			sc.axes = append(sc.axes, a.name)
		}
		c, d := m.compileLauncher(s.uses, sc)
		diags = append(diags, d...)
		s.launcher = c
		var exprs []hclsyntax.Expression
		for _, dyn := range c.dynamic {
			exprs = append(exprs, dyn.term.expr)
		}
		s.launchers = newMemo[Launcher](s, exprs...)
	}
	for _, key := range mapKeys(m.launchers) {
		if l := m.launchers[key]; !used[l] {
			_, d := m.compileLauncher(l, scope{inRun: true, anyAxes: true})
			diags = append(diags, d...)
		}
	}
	return Distinct(diags) // several sweeps may use one
}

func (m *module) compileLauncher(l *launcher, sc scope) (*compiled[Launcher], Diagnostics) {
	sc.machine = l.kind == LocalLauncher
	c, diags := compileBlock(m, launcherTypes[l.kind], l.block.Body, headerOf(l.block), sc, "", map[string]hcl.Range{})
	c.base.Kind, c.base.Name = l.kind, l.name
	return c, diags
}

// Launcher evaluates the launcher of the sweep for a combination and a seed; nil is this machine. Runs share launchers: a
// Launcher must not be changed. Launcher may be called from several goroutines. It panics where Load has reported errors.
func (s *Sweep) Launcher(c Combination, seed int64) (*Launcher, Diagnostics) {
	if s.broken {
		panic("spec: Launcher of a sweep whose configuration has errors")
	}
	if s.launcher == nil {
		return nil, nil
	}
	slot := s.launchers.slot(c.rows)
	if slot != nil {
		if known := slot.Load(); known != nil {
			return known, nil
		}
	}
	given := seed // of which evaluation keeps the place
	l, diags := s.launcher.value(&evaluation{sweep: s, values: s.valuesOf(c), rows: c.rows, seed: &given})
	if slot != nil && !diags.HasErrors() {
		slot.Store(l)
	}
	return l, diags
}

// wordField is a name that stands in an option, so that it has no blanks.
func wordField(name string, at func(*Launcher) *string) field[Launcher] {
	return field[Launcher]{name, func(_ *module, l *Launcher, v cty.Value) *problem {
		s, p := asString(name, v)
		switch {
		case p != nil:
			return p
		case s == "":
			return problemf(outOfRange, "%s is empty. Give it a name, or take it out.", name)
		case strings.ContainsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }), s[0] == '-', strings.Contains(s, "#"):
			return problemf(outOfRange, "%s is a single word, without blanks, # or a dash before it; this is %s.", name, quote(s))
		}
		*at(l) = s
		return nil
	}}
}

// dnsName is a name as Kubernetes takes it: a label of RFC 1123.
var dnsName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

func dnsField(name, example string, at func(*Launcher) *string) field[Launcher] {
	return field[Launcher]{name, func(_ *module, l *Launcher, v cty.Value) *problem {
		s, p := asString(name, v)
		if p != nil {
			return p
		}
		if !dnsName.MatchString(s) {
			return problemf(outOfRange, "%s is a name of Kubernetes, at most 63 small letters, digits and dashes such as %q; this is %s.", name, example, quote(s))
		}
		*at(l) = s
		return nil
	}}
}

// mountPath holds a place in pods, where a claim is to be mounted, to what Kubernetes takes: an absolute path without a colon.
func mountPath(name string, v cty.Value) (string, *problem) {
	s, p := asString(name, v)
	switch {
	case p != nil:
		return "", p
	case !path.IsAbs(s) || path.Clean(s) == "/" || strings.Contains(s, ":") || strings.ContainsFunc(s, unicode.IsControl):
		return "", problemf(outOfRange, "%s is an absolute path, the same here and in pods, such as \"/mnt/lab\"; this is %s.", name, quote(s))
	}
	return path.Clean(s), nil
}

func setMount(_ *module, l *Launcher, v cty.Value) (p *problem) {
	l.Mount, p = mountPath("mount", v)
	return p
}

// setVolumes takes claims and where they are mounted: { datasets = "/data" }.
func setVolumes(_ *module, l *Launcher, v cty.Value) *problem {
	given, p := asObject("volumes", v)
	if p != nil {
		return p
	}
	volumes := map[string]string{}
	for _, claim := range mapKeys(given) {
		if given[claim].IsNull() {
			continue
		}
		if !dnsName.MatchString(claim) {
			return problemf(outOfRange, "volumes names claims, at most 63 small letters, digits and dashes, and where each is mounted, as in "+
				"{ datasets = \"/data\" }; %s is no such name.", quote(claim)).of(claim)
		}
		at, p := mountPath("each of volumes", given[claim])
		if p != nil {
			return p.of(claim)
		}
		volumes[claim] = at
	}
	if len(volumes) > 0 {
		l.Volumes = volumes
	}
	return nil
}

// memoryUnits are bytes. M, G and T are Slurm's, Mi, Gi and Ti Kubernetes'.
var memoryUnits = map[string]float64{
	"MB": 1e6, "GB": 1e9, "TB": 1e12,
	"MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40,
	"Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40,
	"M": 1 << 20, "G": 1 << 30, "T": 1 << 40,
}

const (
	leastMemory = 1e6 // bytes
	mostMemory  = 1 << 50
)

var memoryText = regexp.MustCompile(`^([0-9]{1,15}(?:\.[0-9]{1,9})?) ?([A-Za-z]+)$`)

func memoryField(name string, at func(*Launcher) **int64) field[Launcher] {
	return field[Launcher]{name, func(_ *module, l *Launcher, v cty.Value) *problem {
		if v.Type() == cty.Number {
			return problemf(wrongType, "%s is text with a unit, such as \"16GiB\"; this is %s.", name, describe(v))
		}
		s, p := asString(name, v)
		if p != nil {
			return p
		}
		parts := memoryText.FindStringSubmatch(s)
		if parts == nil {
			return problemf(outOfRange, "%s is a number and a unit, such as \"16GiB\"; this is %s.", name, quote(s))
		}
		unit, known := memoryUnits[parts[2]]
		if !known {
			return problemf(outOfRange, "%s has the unit %s. Known: MiB, GiB and TiB, of 1024; MB, GB and TB, of 1000; M, G and T as Slurm takes "+
				"them, of 1024.", name, quote(parts[2]))
		}
		number, _ := strconv.ParseFloat(parts[1], 64) // it has the form of one
		bytes := math.Ceil(number * unit)
		if bytes < leastMemory || bytes > mostMemory {
			return problemf(outOfRange, "%s must be at least 1MB and at most 1024TiB; this is %s.", name, quote(s))
		}
		n := int64(bytes)
		*at(l) = &n
		return nil
	}}
}

const (
	leastTime = time.Minute // Slurm counts in minutes
	mostTime  = 366 * 24 * time.Hour
)

// slurmTime is days-hours[:minutes[:seconds]] or hours:minutes:seconds. What Slurm takes beside these, numbers of minutes and
// minutes:seconds, is easily mistaken for something else.
var slurmTime = regexp.MustCompile(`^(?:([0-9]{1,4})-([0-9]{1,4})(?::([0-9]{1,4})(?::([0-9]{1,4}))?)?|([0-9]{1,6}):([0-9]{1,4}):([0-9]{1,4}))$`)

func setTime(_ *module, l *Launcher, v cty.Value) *problem {
	const forms = "a duration such as \"90m\" or \"2h30m\", or Slurm's \"hours:minutes:seconds\" or \"days-hours:minutes:seconds\""
	if v.Type() == cty.Number {
		return problemf(wrongType, "time is text: %s; this is %s.", forms, describe(v))
	}
	s, p := asString("time", v)
	if p != nil {
		return p
	}
	var d time.Duration
	if parts := slurmTime.FindStringSubmatch(s); parts != nil {
		n := make([]time.Duration, len(parts))
		for i, digits := range parts[1:] {
			count, _ := strconv.Atoi(digits) // of few digits, or none
			n[i+1] = time.Duration(count)
		}
		d = n[1]*24*time.Hour + (n[2]+n[5])*time.Hour + (n[3]+n[6])*time.Minute + (n[4]+n[7])*time.Second
	} else {
		var err error
		if d, err = time.ParseDuration(s); err != nil {
			return problemf(outOfRange, "time is %s; this is %s.", forms, quote(s))
		}
	}
	if d < leastTime || d > mostTime {
		return problemf(outOfRange, "time must be at least a minute and at most 366 days; this is %s.", quote(s))
	}
	d = (d + time.Second - 1).Truncate(time.Second)
	l.Time = &d
	return nil
}

func setSetup(_ *module, l *Launcher, v cty.Value) *problem {
	s, p := asString("setup", v)
	if p != nil {
		return p
	}
	if strings.TrimSpace(s) == "" {
		return problemf(outOfRange, "setup is empty. Give the shell lines that come before ftrun, such as \"module load cuda\", or take it out.")
	}
	for line := range strings.Lines(s) {
		if strings.HasPrefix(line, "#SBATCH") {
			return problemf(outOfRange, "setup holds shell lines, and this is an option of sbatch: %s. Give it in extra.", quote(strings.TrimSpace(line)))
		}
	}
	for _, r := range s {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return problemf(outOfRange, "setup holds the control character %q, which no shell takes.", r)
		}
	}
	l.Setup = s
	return nil
}

var deviceName = regexp.MustCompile(`^(auto|cpu|cuda|cuda:[0-9]{1,4}(,cuda:[0-9]{1,4})*)$`)

func setDevice(_ *module, l *Launcher, v cty.Value) *problem {
	s, p := asString("device", v)
	if p != nil {
		return p
	}
	if !deviceName.MatchString(s) {
		return problemf(outOfRange, "device is \"auto\", \"cpu\" or \"cuda:0\", as `ftrun devices` lists them; this is %s.", quote(s))
	}
	l.Device = s
	return nil
}

// Options of sbatch that extra may not hold: those that ftrun gives itself, and those that an attribute says.
var (
	ownOptions = []string{"array", "chdir", "comment", "dependency", "error", "export", "export-file", "input", "job-name", "kill-on-invalid-dep", "no-requeue",
		"nodes", "ntasks", "open-mode", "output", "parsable", "requeue", "signal", "test-only", "wait", "wrap", "help", "usage", "version", "quiet", "verbose"}
	attributeOptions = map[string]string{
		"account": "account", "constraint": "constraint", "cpus-per-task": "cpus", "gpus": "gpus", "gpus-per-node": "gpus", "gpus-per-task": "gpus",
		"mem": "memory", "mem-per-cpu": "memory", "mem-per-gpu": "memory", "partition": "partition", "qos": "qos", "time": "time",
	}
	shortOptions = map[byte]string{
		'A': "account", 'C': "constraint", 'D': "chdir", 'G': "gpus", 'J': "job-name", 'N': "nodes", 'Q': "quiet", 'V': "version", 'W': "wait", 'a': "array",
		'c': "cpus-per-task", 'd': "dependency", 'e': "error", 'h': "help", 'i': "input", 'n': "ntasks", 'o': "output", 'p': "partition", 'q': "qos",
		't': "time", 'v': "verbose",
	}
)

func setExtra(_ *module, l *Launcher, v cty.Value) *problem {
	values, p := asList("extra", " of options of sbatch, such as [\"--exclusive\"]", v)
	if p != nil {
		return p
	}
	options := make([]string, 0, len(values))
	for i, v := range values {
		if v.IsNull() {
			continue
		}
		s, p := asString("each option of extra", v)
		if p == nil {
			p = checkOption(s)
		}
		if p != nil {
			return p.in(i)
		}
		options = append(options, s)
	}
	if len(options) > 0 {
		l.Extra = options
	}
	return nil
}

// checkOption refuses what is no option of sbatch, and what ftrun gives or an attribute says.
func checkOption(s string) *problem {
	switch {
	case !strings.HasPrefix(s, "-") || strings.Trim(s, "-") == "":
		return problemf(outOfRange, "Each of extra is an option of sbatch with its value, such as \"--gres=gpu:a100:1\"; this is %s.", quote(s))
	case strings.ContainsFunc(s, unicode.IsControl):
		return problemf(outOfRange, "An option of sbatch stands on one line; this is %s.", quote(s))
	}
	for _, word := range strings.Fields(s) {
		name := sbatchOption(word)
		if name == "" {
			continue
		}
		if attr, ok := attributeOptions[name]; ok {
			return problemf("Conflicting settings", "%s is what the attribute %s says: give that.", quote(word), attr)
		}
		return problemf("Conflicting settings", "%s is given by ftrun itself, which could not follow its jobs otherwise. Take it out.", quote(word))
	}
	return nil
}

// sbatchOption is the long name of the option that a word is, where extra may not hold it. sbatch takes a beginning of a name for
// the name.
func sbatchOption(word string) string {
	long, isLong := strings.CutPrefix(word, "--")
	if !isLong {
		switch {
		case len(word) < 2 || word[0] != '-':
			return ""
		case strings.IndexByte("HIOks", word[1]) >= 0: // they take no value: what follows is an option, too
			return sbatchOption("-" + word[2:])
		}
		return shortOptions[word[1]]
	}
	long, _, _ = strings.Cut(long, "=")
	all := slices.Concat(ownOptions, mapKeys(attributeOptions))
	if slices.Contains(all, long) {
		return long
	}
	for _, name := range all {
		if strings.HasPrefix(name, long) {
			return name
		}
	}
	return ""
}

// asksForGPUs tells of an option whether it is one of generic resources for GPUs.
func asksForGPUs(option string) bool {
	return strings.HasPrefix(option, "--gres") && strings.Contains(option, "gpu")
}
