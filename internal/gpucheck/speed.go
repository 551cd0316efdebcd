//go:build unix

package main

import (
	"bufio"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// The steps that are timed: the architectures of make bench, the smallest batch and what matters most first.
var (
	timedArchs = []string{"resnet18", "mobilenet_v2", "resnet50", "squeezenet1_1", "densenet121", "vgg11_bn", "alexnet",
		"inception_v3"}
	timedModes   = []string{"finetune", "extract"}
	timedBatches = []int{8, 128}
	// Those that are also timed beside torch.compile, which takes most of a minute to compile, and in bfloat16.
	timedMore = []string{"resnet18", "mobilenet_v2"}
)

// turns is how often each program times a step in a round, in alternation.
const turns = 2

// timed are the checks that time something: what is wanted of ftrun first, then all else once, then once more.
func (b *bench) timed() []check {
	const first = "resnet18"
	list := []check{
		b.speed(first, "finetune", 8, "tf32", turns, 1, "torch", "torch.compile"),
		b.speed(first, "finetune", 128, "tf32", turns, 1, "torch", "torch.compile"),
		b.tutorial(),
	}
	each := func(archs []string, precision string, add func(arch, mode string, batch int)) {
		for _, batch := range timedBatches {
			for _, mode := range timedModes {
				for _, arch := range archs {
					if precision != "tf32" || arch != first || mode != "finetune" {
						add(arch, mode, batch)
					}
				}
			}
		}
	}
	for round := 1; round <= 2; round++ {
		for _, precision := range []string{"tf32", "bf16"} {
			archs := timedArchs
			if precision == "bf16" {
				archs = timedMore
			}
			each(archs, precision, func(arch, mode string, batch int) {
				list = append(list, b.speed(arch, mode, batch, precision, 1, round, "torch"))
			})
		}
		if round > 1 {
			break
		}
		for _, precision := range []string{"tf32", "bf16"} {
			each(timedMore, precision, func(arch, mode string, batch int) {
				list = append(list, b.speed(arch, mode, batch, precision, 1, 1, "torch.compile"))
			})
		}
		if b.device == gpu {
			list = append(list, b.sanitizer("memcheck"), b.sanitizer("initcheck"))
		}
	}
	return list
}

// speed times a step of an architecture, beside PyTorch in the same precision: TF32, which is PyTorch's default (there linear
// layers are float32), or bfloat16; and beside torch.compile with CUDA graphs, as peers name them.
func (b *bench) speed(arch, mode string, batch int, precision string, turns, round int, peers ...string) check {
	name := fmt.Sprintf("%s %s, batch %d, %s", arch, mode, batch, precision)
	if !slices.Contains(peers, "torch") {
		name += ", beside " + strings.Join(peers, ", ")
	}
	return check{name: name, alone: true, round: round, run: func(ctx context.Context, before result) result {
		n, r, failures := fmt.Sprint(batch), before.after(), []error(nil)
		clock := func(program string, f func() (printed []byte, err error)) {
			printed, err := f()
			seconds, reading := 0.0, err
			if err == nil {
				seconds, reading = secondsOf(printed, batch)
			}
			if reading != nil {
				failures = append(failures, fmt.Errorf("%s: %w", program, reading))
				return
			}
			r.keep(program, seconds)
		}
		ours, theirs := []string{"-precision", precision, "-device", "cuda:0"}, []string{"--precision", precision, "--device", "cuda"}
		if b.device == host {
			ours, theirs = []string{"-device", "cpu"}, nil
		}
		for range turns {
			clock("ftrun", func() ([]byte, error) {
				out, err := b.command(ctx, b.file("ftrun"), append([]string{"bench", "-arch", arch, "-mode", mode, "-batch", n, "-steps", "20",
					"-format", "json"}, ours...)...).Output()
				return out, complaint(err)
			})
			for _, peer := range peers {
				if b.steps == nil || ctx.Err() != nil {
					continue
				}
				arguments := append([]string{b.file("shared/peers/torch_step.py"), arch, mode, n, "--steps", "20"}, theirs...)
				if peer == "torch.compile" {
					arguments = append(arguments, "--compile")
				}
				clock(peer, func() ([]byte, error) { return b.steps.run(ctx, arguments) })
			}
		}
		best := r.Figures["ftrun"]
		if r.Failed = len(best) == 0; !r.Failed {
			r.Says = fmt.Sprintf("%.2f ms a step", 1e3*slices.Min(best))
			for _, peer := range peers {
				if of := r.Figures[peer]; len(of) > 0 {
					r.Says += fmt.Sprintf("; %s %.2f ms: %.2f times as fast", peer, 1e3*slices.Min(of), slices.Min(of)/slices.Min(best))
				}
			}
		}
		if err := errors.Join(failures...); err != nil {
			r.Failures = strings.Split(err.Error(), "\n")
		}
		return r
	}}
}

// secondsOf reads the seconds of a step of so many pictures from a line of JSON with the pictures a second. Those have more
// digits than the seconds have that the line holds, too.
func secondsOf(printed []byte, batch int) (float64, error) {
	var line struct {
		ImagesPerSecond float64 `json:"images_per_second"`
	}
	if err := json.Unmarshal(printed, &line); err != nil || line.ImagesPerSecond <= 0 {
		return 0, fmt.Errorf("printed %q, which is no line of JSON with the pictures a second", printed)
	}
	return float64(batch) / line.ImagesPerSecond, nil
}

//go:embed steps.py
var stepsScript string

// steps is a Python that runs PyTorch's scripts one after the other: importing PyTorch takes longer than most of them.
type steps struct {
	bench   *bench
	cmd     *exec.Cmd
	input   io.WriteCloser
	answers chan stepsAnswer
}

type stepsAnswer struct {
	Printed string `json:"printed"`
	Error   string `json:"error"`
}

// longestScript is how long a script may take: compiling the largest takes a minute.
const longestScript = 150 * time.Second

// run runs a script with its arguments, and gives what it printed.
func (s *steps) run(ctx context.Context, arguments []string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, longestScript)
	defer cancel()
	line, err := json.Marshal(arguments)
	if err != nil {
		return nil, err
	}
	if s.cmd == nil {
		if err := s.start(); err != nil {
			return nil, err
		}
	}
	if _, err := s.input.Write(append(line, '\n')); err != nil {
		s.stop()
		return nil, err
	}
	select {
	case <-ctx.Done():
		s.stop()
		return nil, ctx.Err()
	case a, ok := <-s.answers:
		if !ok {
			s.stop()
			return nil, errors.New("PyTorch's process ended: see work/PyTorch.log")
		}
		if a.Error != "" {
			return nil, errors.New(strings.TrimSpace(a.Error))
		}
		return []byte(a.Printed), nil
	}
}

func (s *steps) start() error {
	log, err := s.bench.log("PyTorch")
	if err != nil {
		return err
	}
	defer log.Close() // the process has its own
	cmd := s.bench.command(context.Background(), s.bench.python, "-u", "-c", stepsScript)
	cmd.Stderr = log
	input, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	output, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	s.cmd, s.input, s.answers = cmd, input, make(chan stepsAnswer, 1)
	go func(answers chan<- stepsAnswer) {
		defer close(answers)
		for r := bufio.NewReader(output); ; {
			line, err := r.ReadBytes('\n')
			if err != nil {
				return
			}
			var a stepsAnswer
			if json.Unmarshal(line, &a) != nil {
				return
			}
			answers <- a
		}
	}(s.answers)
	return nil
}

// stop ends the process; the next script starts another.
func (s *steps) stop() {
	if s.cmd == nil {
		return
	}
	cmd, answers := s.cmd, s.answers
	s.cmd = nil
	_ = cmd.Cancel() // it may have ended by itself
	for range answers {
	}
	_ = cmd.Wait() // its end is no news
}
