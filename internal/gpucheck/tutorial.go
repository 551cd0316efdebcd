//go:build unix

package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

//go:embed tutorial.py
var tutorialScript string

//go:embed tutorial.hcl
var tutorialSweep []byte

// tutorialArchs are the tutorial's, with the files of weights that the pack has; the others are trained from scratch, which
// is the same work.
var tutorialArchs = []struct{ arch, weights string }{
	{"resnet18", ""}, {"alexnet", ""}, {"vgg11_bn", ""}, {"squeezenet1_0", "squeezenet1_0-d0cd5b8a.pth"}, {"densenet121", ""},
	{"inception_v3", ""},
}

const tutorialEpochs = 3

// tutorial times the sweep of PyTorch's tutorial end to end, from the command to its end, beside the tutorial's script, which
// trains one architecture in each call: the same pictures, epochs, batch and precision. The script loads pictures in four
// processes, as the tutorial does; its figure without starting Python and building the model is told too.
func (b *bench) tutorial() check {
	name := fmt.Sprintf("the tutorial's sweep, %d epochs", tutorialEpochs)
	return check{name: name, alone: true, round: 1, run: func(ctx context.Context, before result) result {
		r := before.after()
		data := b.file("shared/data/hymenoptera_data")
		if _, err := os.Stat(data); err != nil {
			r.Skipped, r.Says = true, "the tutorial's pictures are not in the pack"
			return r
		}
		if len(r.Figures["ftrun"]) == 0 {
			seconds, err := b.sweep(ctx, data)
			if err != nil {
				r.Failed, r.Failures = true, strings.Split(err.Error(), "\n")
				r.Says = "ftrun apply failed"
				return r
			}
			r.keep("ftrun", seconds)
		}
		ours := r.Figures["ftrun"][0]
		r.Says = fmt.Sprintf("%.1f s", ours)
		if b.torch == "" {
			return r
		}
		whole, training := 0.0, 0.0
		for _, t := range tutorialArchs {
			key := "script, " + t.arch
			if len(r.Figures[key]) == 0 {
				seconds, alone, err := b.script(ctx, data, t.arch, t.weights)
				if err != nil {
					r.Failures = append(r.Failures, strings.Split(fmt.Sprintf("the script, %s: %v", t.arch, err), "\n")...)
					return r
				}
				r.keep(key, seconds)
				r.keep(key+", training alone", alone)
			}
			whole += r.Figures[key][0]
			training += r.Figures[key+", training alone"][0]
		}
		r.Says += fmt.Sprintf("; the script %.1f s: %.2f times as fast; its training alone %.1f s: %.2f times", whole, whole/ours, training,
			training/ours)
		return r
	}}
}

// weights is where the pack has a file of weights.
func (b *bench) weights(name string) (path string, ok bool) {
	path = b.file("shared/data/weights/" + name)
	info, err := os.Stat(path)
	return path, err == nil && info.Mode().IsRegular()
}

// sweep is how many seconds ftrun takes for all architectures.
func (b *bench) sweep(ctx context.Context, data string) (float64, error) {
	dir, err := os.MkdirTemp(b.file("work"), "tutorial")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	if err := os.WriteFile(filepath.Join(dir, "tutorial.hcl"), tutorialSweep, 0o644); err != nil {
		return 0, err
	}
	var archs []string
	weights := map[string]string{}
	for _, t := range tutorialArchs {
		archs = append(archs, t.arch)
		if path, ok := b.weights(t.weights); ok {
			weights[t.arch] = path
		}
	}
	device, precision := "cuda:0", "tf32"
	if b.device == host {
		device, precision = "cpu", "fp32"
	}
	args := []string{"apply", "-auto-approve", "-device", device}
	for name, value := range map[string]any{"data": data, "architectures": archs, "weights": weights, "epochs": tutorialEpochs,
		"precision": precision} {
		text, isText := value.(string)
		if !isText {
			encoded, err := json.Marshal(value) // JSON's lists and objects are HCL's
			if err != nil {
				return 0, err
			}
			text = string(encoded)
		}
		args = append(args, "-var", name+"="+text)
	}
	log, err := b.log("tutorial, ftrun")
	if err != nil {
		return 0, err
	}
	defer log.Close()
	cmd := b.command(ctx, b.file("ftrun"), append(args, "tutorial.hcl")...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, log, log
	start := time.Now()
	if err := cmd.Run(); err != nil {
		out, _ := os.ReadFile(log.Name()) // without it, the error alone
		return 0, fmt.Errorf("%w\n%s", err, strings.Join(lastLines(out), "\n"))
	}
	return time.Since(start).Seconds(), nil
}

// script is how many seconds the tutorial's script takes for an architecture, and how many of them train.
func (b *bench) script(ctx context.Context, data, arch, weights string) (whole, training float64, err error) {
	device := "cuda"
	if b.device == host {
		device = "cpu"
	}
	args := []string{"-c", tutorialScript, device, b.file("shared/peers/tutorial_torch.py"), "--data", data, "--arch", arch,
		"--epochs", fmt.Sprint(tutorialEpochs), "--batch", "8", "--workers", "4", "--threads", fmt.Sprint(runtime.NumCPU())}
	if path, ok := b.weights(weights); ok {
		args = append(args, "--mode", "finetune", "--weights", path)
	} else {
		args = append(args, "--mode", "scratch")
	}
	start := time.Now()
	out, err := b.command(ctx, b.python, args...).Output()
	if err != nil {
		return 0, 0, complaint(err)
	}
	whole = time.Since(start).Seconds()
	var line struct {
		Seconds float64 `json:"seconds"`
	}
	if err := json.Unmarshal(out, &line); err != nil || line.Seconds <= 0 {
		return 0, 0, fmt.Errorf("printed %q, which is no line of JSON with its seconds", out)
	}
	return whole, line.Seconds, nil
}
