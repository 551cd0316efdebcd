// Command benchtable times steps of whole networks with `ftrun bench` and, where PyTorch is found, with a PyTorch script
// in alternation, and prints a Markdown table of both. `make bench` runs it.
//
// The environment variable PYTHON names an interpreter that has torch and torchvision (python3), PEER the script. The
// script takes ARCH MODE BATCH --threads N --steps N and prints one line of JSON with at least torch, seconds and
// peak_mib, named and meant as in ftrun's own line.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "benchtable:", err)
		os.Exit(1)
	}
}

// options are what is measured, and how.
type options struct {
	ftrun         string
	archs, modes  []string
	batches       []int
	threads       int
	steps, rounds int
	document      string // "": the table is printed only
}

// peer is the PyTorch script; script is "" where there is none.
type peer struct{ python, script string }

func run(ctx context.Context, args []string, out, progress io.Writer) error {
	o, err := parse(args, progress)
	if err != nil {
		return err
	}
	if o.document != "" { // told now rather than after an hour
		if _, err := replaceTable(o.document, ""); err != nil {
			return err
		}
	}
	p, err := findPeer(ctx)
	if err != nil {
		fmt.Fprintf(progress, "without PyTorch: %v\n", err)
	}
	m := describeMachine(time.Now())
	rows, err := measureAll(ctx, o, p, progress)
	if len(rows) == 0 {
		return err
	}
	table := render(m, o, rows)
	fmt.Fprintln(out, table)
	if err != nil || o.document == "" {
		return err
	}
	text, err := replaceTable(o.document, table)
	if err != nil {
		return err
	}
	return os.WriteFile(o.document, []byte(text), 0o644)
}

func parse(args []string, usage io.Writer) (options, error) {
	var o options
	f := flag.NewFlagSet("benchtable", flag.ContinueOnError)
	f.SetOutput(usage)
	f.StringVar(&o.ftrun, "ftrun", filepath.Join("bin", "ftrun"), "the ftrun to time")
	archs := f.String("archs", "resnet18,resnet50,squeezenet1_1,densenet121,vgg11_bn,alexnet,inception_v3,mobilenet_v2", "architectures")
	modes := f.String("modes", "finetune,extract,infer", "modes, with :fast or :exact behind them for other numerics than the default")
	batches := f.String("batches", "8", "pictures in a step")
	f.IntVar(&o.threads, "threads", 2, "threads of both")
	f.IntVar(&o.steps, "steps", 6, "timed steps of a round, of which the median counts")
	f.IntVar(&o.rounds, "rounds", 3, "rounds: ftrun, then PyTorch, each in a new process")
	write := f.Bool("write", false, "keep the table in docs/performance.md")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	o.archs, o.modes = strings.Split(*archs, ","), strings.Split(*modes, ",")
	for b := range strings.SplitSeq(*batches, ",") {
		n, err := strconv.Atoi(b)
		if err != nil || n < 1 {
			return o, fmt.Errorf("-batches: %q is no number of pictures", b)
		}
		o.batches = append(o.batches, n)
	}
	if o.threads < 1 || o.steps < 1 || o.rounds < 1 || f.NArg() > 0 {
		return o, errors.New("-threads, -steps and -rounds must be at least 1, and there are no other arguments")
	}
	if *write {
		o.document = filepath.Join("docs", "performance.md")
	}
	return o, nil
}

// findPeer looks for PyTorch and the script. The error says what is missing.
func findPeer(ctx context.Context) (peer, error) {
	p := peer{python: cmp.Or(os.Getenv("PYTHON"), "python3")}
	script := cmp.Or(os.Getenv("PEER"), filepath.Join("..", "shared", "peers", "torch_step.py"))
	if _, err := os.Stat(script); err != nil {
		return p, fmt.Errorf("there is no script %s; name one by PEER", script)
	}
	if err := exec.CommandContext(ctx, p.python, "-c", "import torch, torchvision").Run(); err != nil {
		return p, fmt.Errorf("%s cannot import torch and torchvision; name an interpreter that can by PYTHON", p.python)
	}
	p.script = script
	return p, nil
}

// line is what ftrun bench and the script print of a step.
type line struct {
	Torch           string  `json:"torch"`
	Ftrun           string  `json:"ftrun"`
	Device          string  `json:"device"`
	Path            string  `json:"path"`
	Seconds         float64 `json:"seconds"`
	ImagesPerSecond float64 `json:"images_per_second"`
	PeakMiB         float64 `json:"peak_mib"`
	GFLOPS          float64 `json:"gflops"`
	PeakGFLOPS      float64 `json:"peak_gflops"`

	others *float64 // the share of the processors that other programs took meanwhile; nil: unknown
}

// row is one step with the lines of all rounds; theirs is empty without PyTorch.
type row struct {
	arch         string
	mode         string // "finetune", or "finetune:fast"
	batch        int
	ours, theirs []line
}

// measureAll measures every row. When ctx ends it gives the rows that are whole.
func measureAll(ctx context.Context, o options, p peer, progress io.Writer) ([]row, error) {
	var rows []row
	for _, batch := range o.batches {
		for _, arch := range o.archs {
			for _, mode := range o.modes {
				r := row{arch: arch, mode: mode, batch: batch}
				if err := r.measure(ctx, o, p); err != nil {
					return rows, fmt.Errorf("%s %s, batch %d: %w", arch, mode, batch, err)
				}
				fmt.Fprintln(progress, r.summary())
				rows = append(rows, r)
			}
		}
	}
	return rows, nil
}

// measure runs all rounds of a row.
func (r *row) measure(ctx context.Context, o options, p peer) error {
	batch, threads, steps := strconv.Itoa(r.batch), strconv.Itoa(o.threads), strconv.Itoa(o.steps)
	mode, numerics, _ := strings.Cut(r.mode, ":")
	ours := []string{"bench", "-arch", r.arch, "-mode", mode, "-batch", batch, "-threads", threads, "-steps", steps, "-format", "json"}
	if numerics != "" {
		ours = append(ours, "-numerics", numerics)
	}
	for range o.rounds {
		l, err := step(ctx, o.ftrun, ours...)
		if err != nil {
			return err
		}
		r.ours = append(r.ours, l)
		if p.script == "" {
			continue
		}
		if l, err = step(ctx, p.python, p.script, r.arch, mode, batch, "--threads", threads, "--steps", steps); err != nil {
			return err
		}
		r.theirs = append(r.theirs, l)
	}
	return nil
}

// step runs a command that prints a line.
func step(ctx context.Context, name string, args ...string) (line, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	var complaint strings.Builder
	cmd.Stderr = &complaint
	before, known := readUsage()
	start := time.Now()
	out, err := cmd.Output()
	wall := time.Since(start)
	if ctx.Err() != nil {
		return line{}, ctx.Err()
	}
	if err != nil {
		return line{}, fmt.Errorf("%s: %w\n%s", name, err, strings.TrimSpace(complaint.String()))
	}
	var l line
	if err := json.Unmarshal(out, &l); err != nil || l.Seconds <= 0 {
		return line{}, fmt.Errorf("%s printed %q, which is no line of JSON with the seconds of a step", name, out)
	}
	if after, ok := readUsage(); ok && known {
		share := after.othersSince(before, cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime(), wall)
		l.others = &share
	}
	return l, nil
}
