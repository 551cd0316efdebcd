package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ftrun/ftrun/executor"
	"github.com/ftrun/ftrun/internal/kernels"
	"github.com/ftrun/ftrun/internal/runlog"
	"github.com/ftrun/ftrun/models"
	"github.com/ftrun/ftrun/planner"
	"github.com/ftrun/ftrun/spec"
)

// predicting are the flags of predict.
type predicting struct {
	run, arch, weights, classes, format, device string
	logits                                      bool
	top, threads, resize, crop                  int
}

func (a *app) predictCommand() *cobra.Command {
	var o predicting
	cmd := &cobra.Command{
		Use:   "predict (-run RUN | -arch ARCH -weights FILE) PICTURE...",
		Short: "Classify pictures with a finished run, or with bare weights",
		Long: `predict prints the most probable classes of pictures, by the best epoch of a finished run, or by an architecture with a
file of weights. Pictures are resized, cropped and normalised as in that run's validation; with bare weights as
torchvision's weights of the architecture were trained for.`,
		Example: "  ftrun predict -run 3f2a ant.jpg bee.jpg\n  ftrun predict -arch squeezenet1_1 -weights squeezenet1_1.pth -logits -format json ant.jpg",
		Args:    arguments(1, -1),
		RunE:    func(cmd *cobra.Command, args []string) error { return a.predict(cmd.Context(), &o, args) },
	}
	f := cmd.Flags()
	f.StringVar(&o.run, "run", "", "the `ID` of a finished run, or the beginning of it")
	f.StringVar(&o.arch, "arch", "", "the `ARCH` of bare weights, such as resnet18")
	f.StringVar(&o.weights, "weights", "", "`FILE` of bare weights: .pth or .safetensors")
	f.StringVar(&o.classes, "classes", "", "`FILE` with the names of the classes, one a line, for bare weights")
	f.IntVar(&o.resize, "resize", 0, "shorter side in pixels before the crop, for bare weights")
	f.IntVar(&o.crop, "crop", 0, "centre crop in pixels, for bare weights")
	f.IntVar(&o.top, "top", 5, "classes to print for each picture")
	f.BoolVar(&o.logits, "logits", false, "print all logits, too (json)")
	f.StringVar(&o.format, "format", "text", "`FORMAT`: text or json")
	f.IntVar(&o.threads, "threads", runtime.GOMAXPROCS(0), "threads")
	f.StringVar(&o.device, "device", autoDevice, deviceFlag)
	return cmd
}

func (a *app) predict(ctx context.Context, o *predicting, pictures []string) error {
	if o.format != "text" && o.format != "json" {
		return fmt.Errorf("there is no format %q: use text or json", o.format)
	}
	if o.logits && o.format != "json" {
		return errors.New("-logits has no effect on text: add -format json")
	}
	if o.top < 1 || o.threads < 1 {
		return errors.New("-top and -threads must be at least 1")
	}
	if o.resize < 0 || o.crop < 0 {
		return errors.New("-resize and -crop are sizes in pixels and must be at least 1")
	}
	network, err := a.network(o)
	if err != nil {
		return err
	}
	o.threads = a.processors(o.threads)
	device, err := a.openDevice(o.device, o.threads)
	if err != nil {
		return err
	}
	defer device.Close()
	p, err := executor.NewPredictor(device, network)
	if err != nil {
		return err
	}
	defer p.Close()
	answers, err := p.Predict(ctx, pictures, o.top)
	if err != nil {
		return err
	}
	return a.printAnswers(answers, o)
}

// network finds what to predict with.
func (a *app) network(o *predicting) (n executor.Network, err error) {
	switch {
	case o.run != "" && (o.arch != "" || o.weights != "" || o.classes != "" || o.resize != 0 || o.crop != 0):
		err = errors.New("a run brings its architecture, weights, classes and picture size: leave -arch, -weights, -classes, -resize and -crop out, or -run")
		return
	case o.run != "":
		var store *runlog.Store
		if store, err = a.runs(); err != nil {
			return
		}
		run, st, e := a.finishedRun(store, o.run)
		if e != nil {
			err = e
			return
		}
		d, e := a.configOf(run)
		if e != nil {
			err = e
			return
		}
		n = executor.Network{Arch: d.Settings.Arch, Path: run.BestPath(), Image: d.Settings.Image, Classes: st.Classes,
			Check: func(sha256 string) error { return a.mend(run.CheckBest(st, sha256)) }}
		n.Numerics, err = kernels.ParseNumerics(d.Settings.Numerics)
		return
	case o.arch == "" || o.weights == "":
		err = errors.New("predict needs a finished run (-run ID), or -arch and -weights")
		return
	}
	m, ok := models.Lookup(o.arch)
	if !ok {
		err = fmt.Errorf("there is no architecture %q", o.arch)
		if near := spec.Nearest(o.arch, models.Names()); near != "" {
			err = fmt.Errorf("%w; did you mean %q?", err, near)
		}
		return
	}
	n = executor.Network{Arch: o.arch, Path: o.weights,
		Image: planner.DefaultImage(m.Resize, m.Crop), Numerics: kernels.Default}
	if o.crop != 0 {
		n.Image.Crop = o.crop
	}
	if o.resize != 0 {
		n.Image.Resize = o.resize
	}
	if o.classes != "" {
		raw, e := os.ReadFile(o.classes)
		if e != nil {
			err = e
			return
		}
		for line := range strings.Lines(strings.TrimRight(string(raw), "\r\n")) {
			n.Classes = append(n.Classes, strings.TrimRight(line, "\r\n"))
		}
	}
	return n, nil
}

// printAnswers prints what was predicted; pictures that can't be used are told at the end.
func (a *app) printAnswers(answers []executor.Answer, o *predicting) error {
	type answer struct {
		Path   string           `json:"path"`
		Logits []float32        `json:"logits,omitempty"`
		Top    []executor.Guess `json:"top"`
	}
	good := []answer{}
	failed := 0
	for _, x := range answers {
		if x.Err != nil {
			failed++
			a.fail(x.Err)
			continue
		}
		out := answer{Path: x.Path, Top: x.Top}
		if o.logits {
			out.Logits = x.Logits
		}
		good = append(good, out)
	}
	if o.format == "json" {
		enc := json.NewEncoder(a.out)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(good); err != nil {
			return err
		}
	} else {
		for _, x := range good {
			fmt.Fprintln(a.out, x.Path)
			for _, g := range x.Top {
				fmt.Fprintf(a.out, "  %6.2f %%  %s\n", 100*g.Probability, g.Class)
			}
		}
	}
	if failed > 0 {
		return exit(exitError)
	}
	return nil
}
