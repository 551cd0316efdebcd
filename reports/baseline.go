package reports

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/ftrun/ftrun/internal/durable"
	"github.com/ftrun/ftrun/internal/runlog"
)

// A baseline file is a sealed JSON document that people commit: sorted, a picture a line, a seed a line, so that a change
// of results shows as a change of its lines. docs/cli.md describes it, docs/decisions/0021 says why it is so.

// baselineFormat is the version of the file. It goes up when a reader of the one before would misunderstand it.
const baselineFormat = 1

// baselineFile is the whole document, as it is read.
type baselineFile struct {
	Format   int              `json:"baseline_format"`
	Version  string           `json:"ftrun_version"`
	Numerics int              `json:"numerics_version"`
	Datasets []baselineData   `json:"datasets"`
	Configs  []baselineConfig `json:"configurations"`
	Checksum string           `json:"checksum"`
}

type baselineData struct {
	Name     string    `json:"name"`
	Hash     string    `json:"hash"`
	Classes  []string  `json:"classes"`
	Pictures []Picture `json:"pictures"`
}

type baselineConfig struct {
	Sweep    string          `json:"sweep"`
	Labels   Labels          `json:"labels"`
	Dataset  int             `json:"dataset"`
	Params   runlog.Params   `json:"params"`
	Settings json.RawMessage `json:"settings"`
	Seeds    []baselineSeed  `json:"seeds"`
}

type baselineSeed struct {
	Seed      int64           `json:"seed"`
	Run       string          `json:"run"`
	Settings  json.RawMessage `json:"settings,omitempty"`
	Metrics   *runlog.Metrics `json:"metrics"`
	Timing    *runlog.Timing  `json:"timing,omitempty"`
	Device    string          `json:"device"`
	Path      string          `json:"path"`
	Version   string          `json:"ftrun_version"`
	Predicted string          `json:"predicted,omitempty"` // see classCode
}

// WriteBaseline writes the finished runs of results as a baseline file: configurations by sweep and labels, whatever their
// order was, and those without a finished run not at all. The Data of every configuration must be told.
func WriteBaseline(w io.Writer, r *Results) error {
	var sum durable.Sum
	b := &baselineWriter{w: bufio.NewWriterSize(io.MultiWriter(w, &sum), 1<<16)}
	b.encoder = json.NewEncoder(&b.line)
	b.encoder.SetEscapeHTML(false)
	configs := slices.DeleteFunc(slices.Clone(r.Configs), func(c ConfigResults) bool {
		return !slices.ContainsFunc(c.Seeds, func(s SeedResult) bool { return s.Finished() })
	})
	slices.SortStableFunc(configs, func(x, y ConfigResults) int {
		return cmp.Or(cmp.Compare(x.Sweep, y.Sweep), cmp.Compare(x.Labels.key(), y.Labels.key()))
	})
	var data []*Data
	for i := range configs {
		if !slices.Contains(data, configs[i].Data) {
			data = append(data, configs[i].Data)
		}
	}
	b.put(verbatim("{\n  \"baseline_format\": "), baselineFormat)
	b.put(verbatim(",\n  \"ftrun_version\": "), r.Version)
	b.put(verbatim(",\n  \"numerics_version\": "), r.Numerics)
	b.put(verbatim(",\n  \"datasets\": ["))
	for i, d := range data {
		b.separate(i)
		b.put(verbatim("\n    {\"name\":"), d.Name, verbatim(",\"hash\":"), d.Hash, verbatim(",\"classes\":"), d.Classes)
		b.put(verbatim(",\"pictures\":["))
		for k := range d.Pictures {
			b.separate(k)
			b.put(verbatim("\n      "), &d.Pictures[k])
		}
		b.put(verbatim("]}"))
	}
	b.put(verbatim("],\n  \"configurations\": ["))
	for i := range configs {
		c := &configs[i]
		code := newClassCode(len(c.Data.Classes))
		b.separate(i)
		b.put(verbatim("\n    {\"sweep\":"), c.Sweep, verbatim(",\"labels\":"), c.Labels)
		b.put(verbatim(",\"dataset\":"), slices.Index(data, c.Data), verbatim(",\"params\":"), c.Params)
		b.put(verbatim(",\n     \"settings\":"), c.Settings, verbatim(",\n     \"seeds\":["))
		written := 0
		for k := range c.Seeds {
			s := &c.Seeds[k]
			if !s.Finished() {
				continue
			}
			b.separate(written)
			written++
			b.put(verbatim("\n      "), baselineSeed{
				Seed: s.Seed, Run: s.ID, Settings: s.Settings, Metrics: s.Metrics, Timing: s.Timing,
				Device: s.Device, Path: s.Path, Version: s.Version, Predicted: code.encode(s.Predicted),
			})
		}
		b.put(verbatim("]}"))
	}
	b.put(verbatim("]"))
	if err := errors.Join(b.err, b.w.Flush()); err != nil {
		return err
	}
	_, err := io.WriteString(w, sum.EndJSON())
	return err
}

// baselineWriter writes JSON with the line breaks that it is told. It keeps the first error of encoding; its bufio.Writer
// keeps those of writing.
type baselineWriter struct {
	w       *bufio.Writer
	line    bytes.Buffer
	encoder *json.Encoder // to line
	err     error
}

// verbatim is written as it is, anything else as JSON.
type verbatim string

func (b *baselineWriter) put(parts ...any) {
	for _, part := range parts {
		if text, ok := part.(verbatim); ok {
			b.w.WriteString(string(text))
			continue
		}
		b.line.Reset()
		if err := b.encoder.Encode(part); err != nil && b.err == nil {
			b.err = err
		}
		b.w.Write(bytes.TrimSuffix(b.line.Bytes(), []byte{'\n'}))
	}
}

// separate writes the comma before every element of a list but the first.
func (b *baselineWriter) separate(i int) {
	if i > 0 {
		b.w.WriteByte(',')
	}
}

// IsBaseline tells by its first member whether a file is, or was, a baseline.
func IsBaseline(raw []byte) bool { return durable.FirstMember(raw) == "baseline_format" }

// Conflicted tells whether a file holds the conflict markers that a merge leaves.
func Conflicted(raw []byte) bool {
	marker := []byte("<<<<<<< ")
	return bytes.HasPrefix(raw, marker) || bytes.Contains(raw, append([]byte{'\n'}, marker...))
}

// ReadBaseline reads a baseline file. text gives a label's value for people. What was edited is an error, and so is what a
// later ftrun wrote in another format. The memory that it takes is bounded by the file's size.
func ReadBaseline(raw []byte, text func(value json.RawMessage) string) (*Results, error) {
	if Conflicted(raw) {
		return nil, errors.New("it holds the conflict markers of a merge: take one side of it whole")
	}
	var head struct {
		Format  *int   `json:"baseline_format"`
		Version string `json:"ftrun_version"`
	}
	switch err := json.Unmarshal(raw, &head); {
	case err != nil:
		return nil, fmt.Errorf("it is no JSON, or was cut short: %w", durable.ExplainJSON(err))
	case head.Format == nil:
		return nil, errors.New("it is no baseline: it has no baseline_format")
	case *head.Format != baselineFormat:
		return nil, fmt.Errorf("it has format %d, by ftrun %s, and this ftrun reads format %d", *head.Format, head.Version, baselineFormat)
	}
	if err := durable.CheckJSON(raw); err != nil {
		return nil, err
	}
	var f baselineFile
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&f); err != nil {
		return nil, durable.ExplainJSON(err)
	}
	return f.results(text)
}

// results holds the file against itself, so that what is compared is well-formed.
func (f *baselineFile) results(text func(json.RawMessage) string) (*Results, error) {
	r := &Results{Version: f.Version, Numerics: f.Numerics, Configs: make([]ConfigResults, len(f.Configs))}
	data := make([]*Data, len(f.Datasets))
	codes := make([]classCode, len(f.Datasets))
	for i, d := range f.Datasets {
		for _, p := range d.Pictures {
			if p.Class < 0 || p.Class >= len(d.Classes) {
				return nil, fmt.Errorf("picture %s of data set %q has the class %d of %d", p.Path, d.Name, p.Class, len(d.Classes))
			}
		}
		data[i] = &Data{Name: d.Name, Hash: d.Hash, Classes: d.Classes, Pictures: d.Pictures}
		codes[i] = newClassCode(len(d.Classes))
	}
	seen := make(map[string]bool, len(f.Configs))
	for i := range f.Configs {
		in, c := &f.Configs[i], &r.Configs[i]
		for k := range in.Labels {
			in.Labels[k].Text = text(in.Labels[k].Value)
		}
		*c = ConfigResults{Sweep: in.Sweep, Labels: in.Labels, Params: in.Params, Settings: in.Settings, Seeds: make([]SeedResult, len(in.Seeds))}
		key := configKey(c.Sweep, c.Labels)
		if in.Dataset < 0 || in.Dataset >= len(data) {
			return nil, fmt.Errorf("%s has data set %d of %d", c.Name(), in.Dataset, len(data))
		}
		if seen[key] {
			return nil, fmt.Errorf("%s stands there twice", c.Name())
		}
		seen[key] = true
		c.Data = data[in.Dataset]
		for k := range in.Seeds {
			s := &in.Seeds[k]
			if k > 0 && s.Seed <= in.Seeds[k-1].Seed {
				return nil, fmt.Errorf("the seeds of %s are not in order", c.Name())
			}
			if s.Metrics == nil || s.Metrics.Epochs == 0 {
				return nil, fmt.Errorf("seed %d of %s has no metrics", s.Seed, c.Name())
			}
			predicted, err := codes[in.Dataset].decode(s.Predicted, len(c.Data.Pictures))
			if err != nil {
				return nil, fmt.Errorf("seed %d of %s: %w", s.Seed, c.Name(), err)
			}
			c.Seeds[k] = SeedResult{
				Seed: s.Seed, ID: s.Run, Status: runlog.Finished, Metrics: s.Metrics, Timing: s.Timing,
				Device: s.Device, Path: s.Path, Version: s.Version, Settings: s.Settings, Predicted: predicted,
			}
		}
	}
	return r, nil
}
