package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ftrun/ftrun/executor"
	"github.com/ftrun/ftrun/internal/kernels"
	"github.com/ftrun/ftrun/models"
	"github.com/ftrun/ftrun/spec"
)

// benching are the flags of bench.
type benching struct {
	arch, mode, numerics, precision, format, device string
	batch, threads, steps                           int
}

func (a *app) benchCommand() *cobra.Command {
	var o benching
	cmd := &cobra.Command{
		Use:   "bench -arch ARCH",
		Short: "Time a training step on random pictures",
		Long: `bench times a step of an architecture on random pictures of two classes: forward, loss, backward and SGD with momentum.
It prints the median of the timed steps. Modes are finetune (all layers), extract (the last layer over a frozen rest)
and infer (evaluation, no gradient). Nothing is read, decoded or stored. The auxiliary head of inception_v3 is left out.

gflops counts the multiply-adds of convolutions and linear layers as two operations each; peak_gflops is what the
processor reaches on multiply-adds in registers, measured in the same process. peak_mib is the most memory that the
whole process has held.`,
		Example: "  ftrun bench -arch resnet18 -mode finetune -batch 8\n  ftrun bench -arch alexnet -mode extract -batch 32 -threads 2 -format json",
		Args:    arguments(0, 0),
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.bench(cmd.Context(), &o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.arch, "arch", "", "the `ARCH` to time, such as resnet18")
	f.StringVar(&o.mode, "mode", "finetune", "`MODE`: "+strings.Join(executor.BenchModes, ", "))
	f.StringVar(&o.numerics, "numerics", kernels.Default.String(), "how convolutions are computed, `HOW`: exact, default, fast")
	f.StringVar(&o.precision, "precision", kernels.FP32.String(), "what a GPU multiplies `IN`: fp32, tf32, bf16")
	f.IntVar(&o.batch, "batch", 8, "pictures in a step")
	f.IntVar(&o.threads, "threads", runtime.GOMAXPROCS(0), "threads")
	f.StringVar(&o.device, "device", autoDevice, deviceFlag)
	f.IntVar(&o.steps, "steps", 6, "steps to time, after two that are not")
	f.StringVar(&o.format, "format", "text", "`FORMAT`: text or json")
	return cmd
}

// benchLine is what bench prints with -format json.
type benchLine struct {
	Version         string  `json:"ftrun"`
	Arch            string  `json:"arch"`
	Mode            string  `json:"mode"`
	Numerics        string  `json:"numerics"`
	Precision       string  `json:"precision"`
	Batch           int     `json:"batch"`
	Threads         int     `json:"threads"`
	Device          string  `json:"device"`
	Path            string  `json:"path"`
	Steps           int     `json:"steps"`
	Seconds         float64 `json:"seconds"`
	ImagesPerSecond float64 `json:"images_per_second"`
	PeakMiB         int64   `json:"peak_mib,omitempty"`
	GFLOPS          float64 `json:"gflops"`
	PeakGFLOPS      float64 `json:"peak_gflops,omitempty"`
}

func (a *app) bench(ctx context.Context, o *benching) error {
	if err := o.check(); err != nil {
		return err
	}
	numerics, err := kernels.ParseNumerics(o.numerics)
	if err != nil {
		return err
	}
	precision, err := kernels.ParsePrecision(o.precision)
	if err != nil {
		return err
	}
	o.threads = a.processors(o.threads)
	device, err := a.openDevice(o.device, o.threads)
	if err != nil {
		return err
	}
	defer device.Close()
	if err := kernels.Tune(device, kernels.Tuning{Precision: precision, Timings: newTimings(timingsPath())}); err != nil {
		return err
	}
	peak := peakOf(device)
	r, err := executor.Bench(ctx, executor.BenchOptions{Arch: o.arch, Mode: o.mode, Batch: o.batch, Steps: o.steps,
		Numerics: numerics, Device: device})
	if err != nil {
		return err
	}
	line := benchLine{
		Version: Version(), Arch: o.arch, Mode: o.mode, Numerics: o.numerics, Precision: o.precision, Batch: o.batch, Threads: o.threads,
		Device: device.Name(), Path: device.Path(), Steps: o.steps,
		Seconds: round(r.Seconds, 5), ImagesPerSecond: round(r.ImagesPerSecond, 2), PeakMiB: peakResident() >> 20,
		GFLOPS: round(r.GFLOPS, 2), PeakGFLOPS: round(max(peak, peakOf(device))/1e9, 2),
	}
	if o.format == "json" {
		return json.NewEncoder(a.out).Encode(line)
	}
	_, err = fmt.Fprintln(a.out, line.text())
	return err
}

func (o *benching) check() error {
	switch {
	case o.arch == "":
		return fmt.Errorf("bench needs an architecture: -arch resnet18")
	case o.format != "text" && o.format != "json":
		return fmt.Errorf("there is no format %q: use text or json", o.format)
	case !slices.Contains(executor.BenchModes, o.mode):
		return fmt.Errorf("there is no mode %q: use %s", o.mode, strings.Join(executor.BenchModes, ", "))
	case o.batch < 1 || o.threads < 1 || o.steps < 1:
		return fmt.Errorf("-batch, -threads and -steps must be at least 1")
	}
	if _, ok := models.Lookup(o.arch); !ok {
		err := fmt.Errorf("there is no architecture %q", o.arch)
		if near := spec.Nearest(o.arch, models.Names()); near != "" {
			err = fmt.Errorf("%w; did you mean %q?", err, near)
		}
		return err
	}
	return nil
}

// text is the line for a person.
func (l benchLine) text() string {
	s := fmt.Sprintf("%s %s, batch %d, threads %d, %s (%s, %s numerics, %s): %.4g s a step, %.4g pictures a second, %.4g GFLOP/s",
		l.Arch, l.Mode, l.Batch, l.Threads, l.Device, l.Path, l.Numerics, l.Precision, l.Seconds, l.ImagesPerSecond, l.GFLOPS)
	if l.PeakGFLOPS > 0 {
		s += fmt.Sprintf(" of a peak of %.4g", l.PeakGFLOPS)
	}
	if l.PeakMiB > 0 {
		s += fmt.Sprintf(", %d MiB", l.PeakMiB)
	}
	return s
}

// peakOf is the speed, in operations a second, that the device reaches on arithmetic alone; 0 where it cannot tell.
func peakOf(d kernels.Device) float64 {
	if p, ok := d.(interface{ Peak() float64 }); ok {
		return p.Peak()
	}
	return 0
}

func round(x float64, places int) float64 {
	unit := math.Pow10(places)
	return math.Round(x*unit) / unit
}
