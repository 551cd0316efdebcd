package planner

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"

	"github.com/ftrun/ftrun/internal/durable"
)

// format is the version of the plan file. It goes up when a reader of the one before would misunderstand it: 2 has launches, without
// which it would train here what is for a cluster. What has oldestFormat is understood.
const format, oldestFormat = 2, 1

// Save writes a plan file, so that there is always a whole one.
func Save(path string, p *Plan) error {
	if err := durable.WriteFile(path, func(w io.Writer) error { return WriteJSON(w, p) }); err != nil {
		return fmt.Errorf("saving the plan: %w", err)
	}
	return nil
}

// WriteJSON writes a plan as docs/plan-json.md describes it: what `ftrun plan -json` prints and what a plan file holds.
// Lists stand with one element a line.
func WriteJSON(w io.Writer, p *Plan) error {
	var sum durable.Sum
	b := &jsonWriter{w: bufio.NewWriterSize(io.MultiWriter(w, &sum), 1<<16)}
	b.w.WriteByte('{')
	b.field("format", p.Format)
	b.field("ftrun_version", p.Version)
	b.field("numerics_version", p.Numerics)
	b.field("target", p.Target)
	writeList(b, "sources", p.Sources)
	if len(p.Variables) > 0 {
		b.field("variables", p.Variables)
	}
	writeList(b, "datasets", p.Datasets)
	writeList(b, "settings", p.Settings)
	writeList(b, "configurations", p.Configs)
	writeList(b, "sharing", p.Sharing)
	if len(p.Estimates) > 0 {
		writeList(b, "estimates", p.Estimates)
	}
	if len(p.Launches) > 0 {
		writeList(b, "launches", p.Launches)
	}
	writeList(b, "runs", p.Runs)
	if len(p.Gates) > 0 {
		writeList(b, "gates", p.Gates)
	}
	if len(p.Warnings) > 0 {
		writeList(b, "warnings", p.Warnings)
	}
	b.field("summary", p.Summarize())
	if err := errors.Join(b.err, b.w.Flush()); err != nil {
		return err
	}
	_, err := io.WriteString(w, sum.EndJSON())
	return err
}

// encoder is a json.Encoder to memory that is used over and over.
type encoder struct {
	buf  bytes.Buffer
	json *json.Encoder
}

// encode gives the JSON of v, valid until the next call.
func (e *encoder) encode(v any) ([]byte, error) {
	if e.json == nil {
		e.json = json.NewEncoder(&e.buf)
		e.json.SetEscapeHTML(false)
	}
	e.buf.Reset()
	if err := e.json.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(e.buf.Bytes(), []byte{'\n'}), nil
}

// jsonWriter writes an object field by field, since its lists are too long for one piece. It keeps the first error of
// encoding; its bufio.Writer keeps those of writing.
type jsonWriter struct {
	w       *bufio.Writer
	encoder encoder
	fields  int
	err     error
}

func (b *jsonWriter) name(name string) {
	if b.fields++; b.fields > 1 {
		b.w.WriteString(",\n")
	}
	b.w.WriteString(`"` + name + `":`)
}

func (b *jsonWriter) value(v any) {
	raw, err := b.encoder.encode(v)
	if b.err == nil {
		b.err = err
	}
	b.w.Write(raw)
}

func (b *jsonWriter) field(name string, v any) {
	b.name(name)
	b.value(v)
}

func writeList[T any](b *jsonWriter, name string, list []T) {
	b.name(name)
	b.w.WriteByte('[')
	for i := range list {
		if i > 0 {
			b.w.WriteByte(',')
		}
		b.w.WriteByte('\n')
		b.value(&list[i])
	}
	b.w.WriteByte(']')
}

// Summary counts what a plan holds. Runs with the same id are one training.
type Summary struct {
	Configurations int `json:"configurations"`
	Runs           int `json:"runs"`      // entries of the plan
	Trainings      int `json:"trainings"` // distinct ids: the sum of the four below
	Create         int `json:"create"`
	Done           int `json:"done"`
	Resume         int `json:"resume"`
	Replace        int `json:"replace"`
	// Epochs is how many are to be trained at most: early stopping may end a run sooner, and a resumed run has some done.
	Epochs int64 `json:"epochs"`

	// What the trainings to be done are expected to take, one after the other: of Seconds, Shared go into what runs share;
	// if nothing were shared it would be Unshared. Memory is the most that one of them holds at a time, while it computes
	// features, too; Disk what all leave, features included. Where the time of one is not known, that of all is not.
	Seconds  float64 `json:"seconds,omitempty"`
	Shared   float64 `json:"shared_seconds,omitempty"`
	Unshared float64 `json:"unshared_seconds,omitempty"`
	Memory   int64   `json:"memory_bytes,omitempty"`
	Disk     int64   `json:"disk_bytes,omitempty"`
	// DeviceMemory is as Memory, of a device's own.
	DeviceMemory int64 `json:"device_memory_bytes,omitempty"`
}

// Summarize counts.
func (p *Plan) Summarize() Summary {
	s := Summary{Configurations: len(p.Configs), Runs: len(p.Runs)}
	untimed := false
	for i, first := range p.firsts() {
		if !first {
			continue
		}
		r := &p.Runs[i]
		s.Trainings++
		switch r.Action {
		case Create:
			s.Create++
		case Done:
			s.Done++
			continue
		case Resume:
			s.Resume++
		case Replace:
			s.Replace++
		}
		s.Epochs += int64(p.Settings[r.Settings].Epochs)
		e := p.Estimate(r)
		s.Seconds += e.Seconds
		untimed = untimed || e.Seconds == 0
		s.Memory = max(s.Memory, e.Memory+p.Sharing[r.Sharing].Memory)
		s.DeviceMemory = max(s.DeviceMemory, e.DeviceMemory+p.Sharing[r.Sharing].DeviceMemory)
		s.Disk += e.Disk
	}
	if len(p.Estimates) == 0 {
		return s
	}
	s.Unshared = s.Seconds
	for i := range p.Sharing {
		sharing := &p.Sharing[i]
		s.Shared += sharing.Seconds
		s.Unshared += sharing.Seconds + sharing.Saves
		if sharing.Runs > 0 {
			s.Disk += sharing.Bytes()
		}
	}
	s.Seconds += s.Shared
	if untimed {
		s.Seconds, s.Shared, s.Unshared = 0, 0, 0
	}
	return s
}

// Load reads a plan file and makes sure that it is whole: what refers to something refers to something that is there,
// runs come after those that they wait for, and ids are those of their settings, so that nothing is trained under a
// wrong one.
func Load(path string) (*Plan, error) {
	raw, err := durable.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no plan at %s: make one with `ftrun plan`: %w", path, err)
	}
	if err != nil {
		return nil, fmt.Errorf("the plan can't be read: %w", err)
	}
	if !IsPlan(raw) {
		return nil, fmt.Errorf("%s is no saved plan, or a damaged one: `ftrun plan` makes one", path)
	}
	p, err := parse(raw)
	if err == nil {
		err = durable.CheckJSON(raw)
	}
	if err != nil {
		return nil, fmt.Errorf("%s can't be applied: %w; make it anew with `ftrun plan`", path, err)
	}
	return p, nil
}

// IsPlan tells by its first member whether a file is, or was, a saved plan.
func IsPlan(raw []byte) bool { return durable.FirstMember(raw) == "format" }

func parse(raw []byte) (*Plan, error) {
	p := new(Plan)
	err := json.Unmarshal(raw, p)
	if err != nil || p.Format < oldestFormat || p.Format > format { // perhaps another format, of which not everything fits a Plan
		var head struct {
			Format  int    `json:"format"`
			Version string `json:"ftrun_version"`
		}
		switch headErr := json.Unmarshal(raw, &head); {
		case headErr != nil:
			return nil, fmt.Errorf("it is damaged: %w", durable.ExplainJSON(headErr))
		case head.Format < oldestFormat || head.Format > format:
			return nil, fmt.Errorf("it has format %d, by ftrun %s, and this ftrun reads formats %d to %d", head.Format, head.Version, oldestFormat, format)
		}
		return nil, fmt.Errorf("it is damaged: %w", durable.ExplainJSON(err))
	}
	if err := p.verify(); err != nil {
		return nil, fmt.Errorf("it is damaged or was edited: %w", err)
	}
	p.Format = format
	return p, nil
}

// verify holds a plan that was read against itself.
func (p *Plan) verify() error {
	hashes := make([]settingsHash, len(p.Settings))
	var encoder encoder
	for i := range p.Settings {
		if len(p.Settings[i].Trainable) == 0 {
			return fmt.Errorf("settings %d train nothing", i)
		}
		hashes[i] = hashSettings(&encoder, &p.Settings[i])
	}
	for i, d := range p.Datasets {
		if len(d.Classes) < 2 || d.Pictures["train"] < 1 || d.Pictures["val"] < 1 {
			return fmt.Errorf("data set %d lacks classes or pictures", i)
		}
	}
	var ids identifier
	seen := make(map[string]bool, len(p.Runs))
	awaited := map[string]int{} // ids that are needed and have not been seen, and the run that needs one
	for i := range p.Runs {
		r := &p.Runs[i]
		if !inside(r.Config, p.Configs) || !inside(r.Settings, p.Settings) || !inside(r.Dataset, p.Datasets) || !inside(r.Sharing, p.Sharing) {
			return fmt.Errorf("run %d refers to a configuration, settings, a data set or a sharing that it doesn't hold", i)
		}
		s := &p.Settings[r.Settings]
		id, trajectory := ids.identify(p.Numerics, p.Datasets[r.Dataset].Hash, &hashes[r.Settings], s.Epochs, s.EarlyStop, r.Seed)
		if r.ID != id || r.Trajectory != trajectory {
			return fmt.Errorf("the id of run %d, %q, is not that of its settings", i, r.ID)
		}
		if len(p.Estimates) > 0 && !inside(r.Estimate, p.Estimates) || r.FromEpoch < 0 || r.FromEpoch > s.Epochs {
			return fmt.Errorf("run %d refers to an estimate, or goes on from an epoch, that there isn't", i)
		}
		if _, err := hex.DecodeString(r.From); r.From != "" && (err != nil || len(r.From) != idLen) {
			return fmt.Errorf("run %d goes on from %q, which is no id", i, r.From)
		}
		for _, need := range r.Needs {
			if !seen[need] {
				awaited[need] = i
			}
		}
		if waiter, awaited := awaited[r.ID]; awaited {
			return fmt.Errorf("run %d waits for %q, which doesn't come before it", waiter, r.ID)
		}
		seen[r.ID] = true
		if !slices.Contains([]Action{Create, Done, Resume, Replace}, r.Action) {
			return fmt.Errorf("run %d has the unknown action %q", i, r.Action)
		}
	}
	for id, i := range awaited { // of a part of a plan: see Only
		if _, err := hex.DecodeString(id); err != nil || len(id) != idLen {
			return fmt.Errorf("run %d waits for %q, which is no id", i, id)
		}
	}
	if err := p.verifyLaunches(); err != nil {
		return err
	}
	return p.verifyGates()
}

func inside[T any](i int, list []T) bool { return i >= 0 && i < len(list) }
