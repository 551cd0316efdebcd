package cli

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
)

func runBench(args ...string) (out, complaint string, code int) {
	a, o, e := newApp(append([]string{"bench"}, args...)...)
	code = a.run(context.Background())
	return o.String(), e.String(), code
}

func TestBenchLine(t *testing.T) {
	step := []string{"-arch", "squeezenet1_1", "-mode", "infer", "-batch", "1", "-threads", "1", "-steps", "1"}
	out, complaint, code := runBench(append(step, "-format", "json")...)
	if code != exitOK {
		t.Fatal(complaint)
	}
	var line map[string]any
	if err := json.Unmarshal([]byte(out), &line); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	for name, want := range map[string]any{"arch": "squeezenet1_1", "mode": "infer", "numerics": "default", "batch": 1.0, "threads": 1.0, "device": "cpu", "steps": 1.0} {
		if line[name] != want {
			t.Errorf("%s is %v, want %v", name, line[name], want)
		}
	}
	for _, name := range []string{"seconds", "images_per_second", "gflops", "peak_gflops"} {
		if v, _ := line[name].(float64); v <= 0 {
			t.Errorf("%s is %v, want a positive number; there are %v", name, line[name], slices.Sorted(maps.Keys(line)))
		}
	}
	out, complaint, code = runBench(step...)
	if code != exitOK || !strings.HasPrefix(out, "squeezenet1_1 infer, batch 1, threads 1, cpu (") {
		t.Errorf("the text is %q, %q", out, complaint)
	}
}

func TestBenchRefuses(t *testing.T) {
	for _, c := range []struct {
		name string
		args []string
		want string
	}{
		{"no architecture", nil, "bench needs an architecture: -arch resnet18"},
		{"a misspelt architecture", []string{"-arch", "resent18"}, `there is no architecture "resent18"; did you mean "resnet18"?`},
		{"an unknown mode", []string{"-arch", "alexnet", "-mode", "scratch"}, `there is no mode "scratch": use finetune, extract, infer`},
		{"an unknown format", []string{"-arch", "alexnet", "-format", "csv"}, `there is no format "csv": use text or json`},
		{"no pictures", []string{"-arch", "alexnet", "-batch", "0"}, "-batch, -threads and -steps must be at least 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, complaint, code := runBench(c.args...); code != exitError || complaint != "Error: "+c.want+"\n" {
				t.Errorf("exit code %d, %q; want %q", code, complaint, c.want)
			}
		})
	}
}
