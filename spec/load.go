package spec

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// Options are what a Spec depends on beside its files.
type Options struct {
	// Vars are -var flags, name → value as text.
	Vars map[string]string
	// VarFiles are -var-file flags in order; relative to Dir.
	VarFiles []string
	// Environ lists the environment as os.Environ does; FTRUN_VAR_name sets a variable. Nil: no environment.
	Environ func() []string
	// Dir is the working directory; "" is the process's.
	Dir string
	// Launcher chooses one for all sweeps, by its name or as kind.name; "" leaves each sweep its own. LocalLauncher, where
	// none has that name, is this machine.
	Launcher string
	// Version of ftrun, which required_version is held against; "" skips the check.
	Version string
}

// Load reads a configuration file, or every *.hcl of a directory as one module, with the *.auto.ftvars beside them.
// The Spec is never nil, so that its files can illustrate the diagnostics; it is whole only where these hold no error.
func Load(target string, opt Options) (*Spec, Diagnostics) {
	m := newModule(opt)
	m.read = func(path string) ([]byte, error) {
		if !filepath.IsAbs(path) {
			path = filepath.Join(opt.Dir, path)
		}
		return readLimited(path)
	}
	files, varFiles, diags := m.find(target)
	if diags.HasErrors() {
		return m.spec, diags
	}
	diags = append(diags, m.load(files, varFiles)...)
	return m.spec, diags
}

// LoadSources is Load for files in memory: path → content. Paths that end in .auto.ftvars, or that Options.VarFiles
// names, hold variables. The function file reads from the same map.
func LoadSources(sources map[string][]byte, opt Options) (*Spec, Diagnostics) {
	m := newModule(opt)
	m.read = func(path string) ([]byte, error) {
		if src, ok := sources[path]; ok {
			return src, nil
		}
		return nil, fs.ErrNotExist
	}
	var files, varFiles []string
	for path := range sources {
		switch {
		case strings.HasSuffix(path, ".auto.ftvars"):
			varFiles = append(varFiles, path)
		case strings.HasSuffix(path, ".hcl"):
			files = append(files, path)
		}
	}
	slices.Sort(files)
	slices.Sort(varFiles)
	return m.spec, m.load(files, varFiles)
}

// Files returns what was parsed, by path, for WriteText and WriteJSON.
func (s *Spec) Files() map[string]*hcl.File { return s.files }

// Sweep returns the sweep of that name, or nil.
func (s *Spec) Sweep(name string) *Sweep {
	for _, sw := range s.Sweeps {
		if sw.Name == name {
			return sw
		}
	}
	return nil
}

// find lists the configuration files of a target and the files of variables beside them, in order of their names.
func (m *module) find(target string) (files, varFiles []string, diags Diagnostics) {
	if target == "" {
		return nil, nil, Diagnostics{{Severity: hcl.DiagError, Summary: "No configuration", Detail: "The path is empty. Name a file or a directory."}}
	}
	path := target
	if !filepath.IsAbs(path) {
		path = filepath.Join(m.opt.Dir, path)
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, nil, Diagnostics{fileError(target, err)}
	}
	target = m.shorten(target)
	m.dir = target
	if !info.IsDir() {
		m.dir = filepath.Dir(target)
		path = filepath.Dir(path)
		files = []string{target}
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, nil, Diagnostics{fileError(target, err)}
	}
	for _, e := range entries {
		name := e.Name()
		if strings.HasPrefix(name, ".") || e.IsDir() {
			continue // the lock file among them
		}
		switch {
		case strings.HasSuffix(name, ".auto.ftvars"):
			varFiles = append(varFiles, filepath.Join(m.dir, name))
		case info.IsDir() && strings.HasSuffix(name, ".hcl"):
			files = append(files, filepath.Join(m.dir, name))
		}
	}
	if len(files) == 0 {
		diags = append(diags, &hcl.Diagnostic{
			Severity: hcl.DiagError,
			Summary:  "No configuration",
			Detail:   fmt.Sprintf("The directory %s holds no file that ends in .hcl.", target),
		})
	}
	return files, varFiles, diags
}

// shorten makes a path that lies below the working directory relative to it.
func (m *module) shorten(path string) string {
	if base, err := filepath.Abs(m.opt.Dir); err == nil && filepath.IsAbs(path) {
		if rel, err := filepath.Rel(base, path); err == nil && filepath.IsLocal(rel) {
			return rel
		}
	}
	return filepath.Clean(path)
}

func fileError(path string, err error) *hcl.Diagnostic {
	reason := err.Error()
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		reason = pathErr.Err.Error()
	}
	return &hcl.Diagnostic{
		Severity: hcl.DiagError,
		Summary:  "File not readable",
		Detail:   fmt.Sprintf("%s cannot be read: %s.", path, reason),
	}
}

// readLimited reads a file that a person has written; something bigger, or without an end, is a mistaken path, and is not
// read whole.
func readLimited(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.IsDir() {
		return nil, errors.New("it is a directory")
	}
	src, err := io.ReadAll(io.LimitReader(f, maxFileSize+1))
	if err == nil && len(src) > maxFileSize {
		err = errors.New("it is bigger than 1 MiB")
	}
	return src, err
}

// parse reads and parses one file and keeps it for snippets and for the plan's list of sources. It returns nil where
// the file could not be parsed; diagnostics then say why.
func (m *module) parse(path string) (*hclsyntax.Body, Diagnostics) {
	src, err := m.read(path)
	if err != nil {
		return nil, Diagnostics{fileError(path, err)}
	}
	m.addSource(path, src)
	if m.spec.files[path] == nil {
		m.spec.files[path] = &hcl.File{Bytes: src}
	}
	if d := checkLimits(src, path); d != nil {
		return nil, Diagnostics{d}
	}
	file, diags := hclsyntax.ParseConfig(src, path, hcl.InitialPos)
	m.spec.files[path] = file
	if diags.HasErrors() {
		return nil, diags
	}
	return file.Body.(*hclsyntax.Body), diags
}

func (m *module) addSource(path string, src []byte) {
	for _, s := range m.spec.Sources {
		if s.Path == path {
			return
		}
	}
	sum := sha256.Sum256(src)
	m.spec.Sources = append(m.spec.Sources, Source{Path: path, SHA256: hex.EncodeToString(sum[:])})
}

// resolve makes a path of a configuration file relative to the working directory.
func (m *module) resolve(path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(m.dir, path)
}

// load gives the files their meaning and returns the diagnostics in the files' order.
func (m *module) load(files, varFiles []string) Diagnostics {
	diags := m.interpret(files, varFiles)
	sortByPlace(diags, slices.Concat(files, varFiles))
	return diags
}

// interpret reads the files and gives them their meaning, in the order in which meaning flows: the version that the files
// are for, variables, locals, data sets, sweeps, launchers, gates.
func (m *module) interpret(files, varFiles []string) Diagnostics {
	var diags Diagnostics
	for _, path := range files {
		body, d := m.parse(path)
		diags = append(diags, d...)
		if body != nil {
			m.bodies = append(m.bodies, body)
		}
	}
	// Files for another version may hold what this one cannot know: nothing else is worth telling then.
	if d := m.checkVersion(); d.HasErrors() {
		return append(diags, d...)
	}
	diags = append(diags, m.declare()...)
	diags = append(diags, m.setVariables(varFiles)...)
	// References to what a broken file was to declare would be follow-up errors.
	if diags.HasErrors() && len(m.bodies) < len(files) {
		return diags
	}
	m.functions = functions(m)
	m.functionNames = mapKeys(m.functions)
	m.root = &hcl.EvalContext{Functions: m.functions, Variables: map[string]cty.Value{}}
	m.root.Variables["var"] = cty.ObjectVal(m.spec.Inputs)
	m.root.Variables["dataset"] = m.datasetObject()
	m.root.Variables["sweep"] = m.sweepObject()
	m.root.Variables["launcher"] = m.launcherObject()
	diags = append(diags, m.validateVariables()...)
	diags = append(diags, m.evaluateLocals()...)
	diags = append(diags, m.decodeDatasets()...)
	diags = append(diags, m.decodeSweeps()...)
	diags = append(diags, m.decodeLaunchers()...)
	diags = append(diags, m.decodeGates()...)
	for _, sw := range m.spec.Sweeps {
		sw.broken = diags.HasErrors()
	}
	return diags
}

// sortByPlace sorts diagnostics as their places follow each other in the files; those without a place go first.
func sortByPlace(diags Diagnostics, files []string) {
	slices.SortStableFunc(diags, func(a, b *hcl.Diagnostic) int {
		if c := cmp.Compare(fileIndex(a, files), fileIndex(b, files)); c != 0 || a.Subject == nil {
			return c
		}
		return cmp.Compare(a.Subject.Start.Byte, b.Subject.Start.Byte)
	})
}

func fileIndex(d *hcl.Diagnostic, files []string) int {
	if d.Subject == nil {
		return -1
	}
	if i := slices.Index(files, d.Subject.Filename); i >= 0 {
		return i
	}
	return len(files)
}
