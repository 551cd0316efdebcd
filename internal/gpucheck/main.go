//go:build unix

// Command gpucheck runs on a machine with an NVIDIA GPU what cannot be known without one: it holds the CUDA device against
// the conformance suite and PyTorch's golden numbers, trains a small sweep on it, and times training steps, beside PyTorch
// where that is found. `make gpu-check-pack` makes the folder that it works in, with all that it needs: neither Go nor a
// network. docs/gpu.md tells how it is run.
//
// Each result is kept as soon as it is there, in gpu-check.json, and a later call of the same program on the same GPU goes
// on with what lacks. The environment variable PYTHON names an interpreter that has torch (python3).
package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/ftrun/ftrun/internal/durable"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "gpucheck:", err)
		os.Exit(1)
	}
}

// errFailed says that checks failed; the table has told which.
var errFailed = errors.New("a check failed")

// options are what is run, and where.
type options struct {
	folder string // what make gpu-check-pack made
	fake   bool   // over the fakes of NVIDIA's libraries that it holds
	budget time.Duration
	again  bool
}

func run(ctx context.Context, args []string, out, progress io.Writer) error {
	o, err := parse(args, progress)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, o.budget)
	defer cancel()
	b, err := newBench(ctx, o)
	if err != nil {
		return err
	}
	path := filepath.Join(o.folder, "gpu-check.json")
	if o.fake {
		path = filepath.Join(o.folder, "gpu-check-fake.json")
	}
	r := report{Date: time.Now().Format(time.DateOnly), GPU: b.gpu, Program: b.version, Sum: b.sum, Libraries: b.libraries,
		Torch: b.torch}
	if !o.again {
		if r, err = r.goOn(path); err != nil {
			return err
		}
	}
	for _, c := range b.checks() {
		if r.has(c.name) {
			continue
		}
		if ctx.Err() != nil {
			break
		}
		fmt.Fprintln(progress, c.name)
		start := time.Now()
		result := c.run(ctx)
		if ctx.Err() != nil { // it was cut off: whatever it says is not its result
			break
		}
		result.Name, result.Seconds = c.name, time.Since(start).Seconds()
		r.Results = append(r.Results, result)
		if err := r.save(path); err != nil {
			return err
		}
	}
	for _, c := range b.checks() {
		if !r.has(c.name) {
			r.lacking = append(r.lacking, c.name)
		}
	}
	fmt.Fprint(out, r.table())
	if r.failed() {
		return errFailed
	}
	return nil
}

func parse(args []string, usage io.Writer) (options, error) {
	var o options
	f := flag.NewFlagSet("gpucheck", flag.ContinueOnError)
	f.SetOutput(usage)
	beside := "."
	if self, err := os.Executable(); err == nil {
		beside = filepath.Dir(self)
	}
	f.StringVar(&o.folder, "folder", beside, "the folder that make gpu-check-pack made")
	device := f.String("device", "gpu", "gpu, or fake: the fakes of NVIDIA's libraries, to try this program")
	f.DurationVar(&o.budget, "budget", 9*time.Minute, "the time after which no more is begun, and what runs is cut off")
	f.BoolVar(&o.again, "again", false, "forget the results that are there")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 || o.budget <= 0 || *device != "gpu" && *device != "fake" {
		return o, errors.New("-device is gpu or fake, -budget more than nothing, and there are no other arguments")
	}
	o.fake = *device == "fake"
	var err error
	o.folder, err = filepath.Abs(o.folder) // for programs that run elsewhere
	return o, err
}

// changing is what ftrun devices tells of a GPU that is another the next time.
var changing = regexp.MustCompile(`, [^,]* free$`)

// bench is a machine with a GPU, and what is run on it.
type bench struct {
	options
	gpu, version string // as ftrun names them
	sum          string // SHA-256 of the programs that are run
	libraries    string // the folders that FTRUN_CUDA_LIBRARIES names
	python       string
	torch        string // its version; "" where there is none
}

func newBench(ctx context.Context, o options) (*bench, error) {
	b := &bench{options: o, python: cmp.Or(os.Getenv("PYTHON"), "python3")}
	b.libraries = os.Getenv("FTRUN_CUDA_LIBRARIES")
	if o.fake {
		b.libraries = filepath.Join(o.folder, "fakes")
	} else {
		if b.libraries == "" {
			b.libraries = b.findLibraries(ctx)
		}
		if out, err := b.command(ctx, b.python, "-c", "import torch; print(torch.__version__)").Output(); err == nil {
			b.torch = strings.TrimSpace(string(out))
		}
	}
	out, err := b.command(ctx, b.file("ftrun"), "devices").Output()
	if err != nil {
		return nil, fmt.Errorf("ftrun devices: %w", err)
	}
	for line := range strings.Lines(string(out)) {
		if rest, ok := strings.CutPrefix(line, "cuda:0"); ok {
			b.gpu = changing.ReplaceAllString(strings.TrimSpace(rest), "")
		}
	}
	if b.gpu == "" {
		return nil, fmt.Errorf("there is no GPU to check:\n%s", bytes.TrimSpace(out))
	}
	out, err = b.command(ctx, b.file("ftrun"), "version").Output()
	b.version = strings.TrimSpace(string(out))
	if err != nil {
		return nil, fmt.Errorf("ftrun version: %w", err)
	}
	hash := sha256.New()
	for _, name := range []string{"ftrun", "cuda.test", "models.test"} {
		data, err := os.ReadFile(b.file(name))
		if err != nil {
			return nil, fmt.Errorf("%w: make gpu-check-pack makes the folder", err)
		}
		hash.Write(data)
	}
	b.sum = hex.EncodeToString(hash.Sum(nil))
	return b, nil
}

// findLibraries looks for the folders of NVIDIA's libraries where the system's linker may not: those of Python's packages,
// and where containers have them.
func (b *bench) findLibraries(ctx context.Context) string {
	const ask = `import glob, importlib.util
for place in importlib.util.find_spec("nvidia").submodule_search_locations:
    for folder in sorted(glob.glob(place + "/*/lib")):
        print(folder)`
	out, _ := exec.CommandContext(ctx, b.python, "-c", ask).Output() // without such packages the others remain
	folders := strings.Fields(string(out))
	for _, folder := range []string{"/usr/local/cuda/lib64", "/usr/local/nvidia/lib64"} {
		if _, err := os.Stat(folder); err == nil {
			folders = append(folders, folder)
		}
	}
	return strings.Join(folders, ":")
}

func (b *bench) file(name string) string { return filepath.Join(b.folder, name) }

// command is one in the folder, told where the libraries and the test data are.
func (b *bench) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = b.folder
	cmd.Env = append(os.Environ(), "FTRUN_CUDA_LIBRARIES="+b.libraries, "FTRUN_CUDA_REAL=1", "FTRUN_SHARED="+b.file("shared"),
		"FTRUN_GOLDEN=all", "FTRUN_GOLDEN_DEVICE=cuda")
	// What it starts in its turn ends with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	return cmd
}

// report is all that is known of one GPU and one program.
type report struct {
	Date      string   `json:"date"` // of the first result
	GPU       string   `json:"gpu"`
	Program   string   `json:"program"`
	Sum       string   `json:"sha256"` // of the programs: a version alone does not tell two builds of an altered tree apart
	Libraries string   `json:"libraries"`
	Torch     string   `json:"torch,omitempty"`
	Results   []result `json:"results"`

	lacking []string
}

// result is what came of a check.
type result struct {
	Name     string               `json:"name"`
	Failed   bool                 `json:"failed"`
	Skipped  bool                 `json:"skipped,omitempty"`
	Seconds  float64              `json:"seconds"`            // that it took
	Says     string               `json:"says"`               // one line
	Failures []string             `json:"failures,omitempty"` // the tests by name
	Figures  map[string][]float64 `json:"figures,omitempty"`  // seconds of a step, by program, of each round
}

// goOn is the report with the results at path, where those are of the same program and GPU.
func (r report) goOn(path string) (report, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return r, nil
	} else if err != nil {
		return r, err
	}
	var before report
	if err := json.Unmarshal(data, &before); err != nil {
		return r, fmt.Errorf("%s is damaged (%w): remove it, or pass -again", path, err)
	}
	if before.GPU != r.GPU || before.Sum != r.Sum || before.Libraries != r.Libraries || before.Torch != r.Torch {
		return r, nil
	}
	return before, nil
}

func (r report) has(name string) bool {
	for _, x := range r.Results {
		if x.Name == name {
			return true
		}
	}
	return false
}

func (r report) failed() bool {
	for _, x := range r.Results {
		if x.Failed {
			return true
		}
	}
	return false
}

func (r report) save(path string) error {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return durable.Write(path, append(data, '\n'))
}

// table is the report for a person, in Markdown.
func (r report) table() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s; %s", r.GPU, r.Program)
	if r.Torch != "" {
		fmt.Fprintf(&b, "; PyTorch %s", r.Torch)
	}
	fmt.Fprintf(&b, "; %s.\n\n| check | result | | took |\n|---|---|---|---:|\n", r.Date)
	for _, x := range r.Results {
		verdict := "passed"
		switch {
		case x.Failed:
			verdict = "**failed**"
		case x.Skipped:
			verdict = "left out"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %.0f s |\n", x.Name, verdict, x.Says, x.Seconds)
	}
	for _, name := range r.lacking {
		fmt.Fprintf(&b, "| %s | not run yet | | |\n", name)
	}
	for _, x := range r.Results {
		if len(x.Failures) > 0 {
			fmt.Fprintf(&b, "\n%s, failed:\n\n", x.Name)
			for _, f := range x.Failures {
				fmt.Fprintf(&b, "- %s\n", f)
			}
		}
	}
	return b.String()
}
