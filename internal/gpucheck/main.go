//go:build unix

// Command gpucheck runs on a machine with an NVIDIA GPU what cannot be known without one: it holds the CUDA device against
// the conformance suite and PyTorch's golden numbers, trains a small sweep on it, and times training steps and the sweep of
// PyTorch's tutorial, beside PyTorch where that is found. `make gpu-check-pack` makes the folder that it works in, with all
// that it needs: neither Go nor a network. docs/gpu.md tells how it is run.
//
// Each result is kept as soon as it is there, in gpu-check.json, and a later call of the same program on the same GPU goes
// on with what lacks. The environment variable PYTHON names an interpreter that has torch, where it is not found by itself.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "gpucheck:", err)
		os.Exit(1)
	}
}

// errFailed says that checks failed; the table has told which.
var errFailed = errors.New("a check failed")

// device is what is checked.
type device string

const (
	gpu  device = "gpu"
	fake device = "fake" // the fakes of NVIDIA's libraries, by tests that take them no minutes
	host device = "cpu"  // timings alone, of ftrun and PyTorch on the processors
)

// options are what is run, and where.
type options struct {
	folder  string // what make gpu-check-pack made
	results string // where results are left too; "" for nowhere else
	device  device
	budget  time.Duration
	again   bool
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
	defer b.close()
	r, err := b.report()
	if err != nil {
		return err
	}
	if err := b.runAll(ctx, r, progress); err != nil {
		return err
	}
	fmt.Fprint(out, r.table(b.checks()))
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
	f.StringVar(&o.results, "results", "", "a folder in which to leave the results too: gpu-check.json, .md and .log")
	f.StringVar((*string)(&o.device), "device", string(gpu),
		"gpu; or, to try this program, fake (the fakes of NVIDIA's libraries) or cpu (timings, without a GPU)")
	f.DurationVar(&o.budget, "budget", 9*time.Minute, "the time after which no more is begun, and what runs is cut off")
	f.BoolVar(&o.again, "again", false, "forget the results that are there")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 || o.budget <= 0 || o.device != gpu && o.device != fake && o.device != host {
		return o, errors.New("-device is gpu, fake or cpu, -budget more than nothing, and there are no other arguments")
	}
	for _, folder := range []*string{&o.folder, &o.results} {
		if *folder == "" {
			continue
		}
		var err error
		if *folder, err = filepath.Abs(*folder); err != nil { // for programs that run elsewhere
			return o, err
		}
	}
	return o, nil
}

// sideBySideShare is the part of the budget that checks which time nothing may take together.
const sideBySideShare = 0.4

// runAll runs what lacks in a report: first, several at once, the checks that time nothing, and then each of the others by
// itself. A check that fails ends no other.
func (b *bench) runAll(ctx context.Context, r *report, progress io.Writer) error {
	var mu sync.Mutex
	var firstErr error
	one := func(ctx context.Context, c check) {
		mu.Lock()
		before, done := r.find(c)
		if !done && ctx.Err() == nil {
			fmt.Fprintln(progress, c.name)
		}
		mu.Unlock()
		if done || ctx.Err() != nil {
			return
		}
		start := time.Now()
		result := c.run(ctx, before)
		result.Name, result.Seconds = c.name, before.Seconds+time.Since(start).Seconds()
		if result.Cut = ctx.Err() != nil; !result.Cut {
			result.Rounds = c.round
		} else if result.Failed = false; result.Says == "" || before.Rounds > 0 { // nothing to tell, or nothing more
			return
		}
		mu.Lock()
		defer mu.Unlock()
		r.put(result)
		firstErr = errors.Join(firstErr, b.save(r))
	}

	sideBySide := ctx
	if slices.ContainsFunc(b.checks(), func(c check) bool { return c.alone }) {
		limited, cancel := context.WithTimeout(ctx, time.Duration(sideBySideShare*float64(b.budget)))
		defer cancel()
		sideBySide = limited
	}
	var wait sync.WaitGroup
	places := make(chan bool, min(max(runtime.NumCPU()/4, 1), 4))
	for _, c := range b.checks() {
		if c.alone {
			continue
		}
		places <- true
		wait.Go(func() {
			defer func() { <-places }()
			one(sideBySide, c)
		})
	}
	wait.Wait()
	for _, c := range b.checks() {
		if c.alone {
			one(ctx, c)
		}
	}
	return errors.Join(firstErr, b.save(r))
}
