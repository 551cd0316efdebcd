//go:build unix

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ftrun/ftrun/internal/durable"
)

// report is all that is known of one GPU and one program.
type report struct {
	Date      string   `json:"date"` // of the first result
	GPU       string   `json:"gpu"`
	Machine   string   `json:"machine"`
	Program   string   `json:"program"`
	Sum       string   `json:"sha256"` // of the programs: a version alone does not tell two builds of an altered tree apart
	Libraries string   `json:"libraries"`
	Torch     string   `json:"torch,omitempty"`
	Results   []result `json:"results"`
}

// result is what came of a check.
type result struct {
	Name     string               `json:"name"`
	Failed   bool                 `json:"failed"`
	Skipped  bool                 `json:"skipped,omitempty"`
	Cut      bool                 `json:"cut,omitempty"`      // the time was up: the next call goes on
	Rounds   int                  `json:"rounds,omitempty"`   // that are done, of a check that goes in several
	Seconds  float64              `json:"seconds"`            // that it took
	Says     string               `json:"says"`               // one line
	Failures []string             `json:"failures,omitempty"` // the tests by name, or what programs complained of
	Figures  map[string][]float64 `json:"figures,omitempty"`  // seconds by program, of each time that it was timed
}

// keep adds a figure.
func (r *result) keep(program string, seconds float64) {
	if r.Figures == nil {
		r.Figures = map[string][]float64{}
	}
	r.Figures[program] = append(r.Figures[program], seconds)
}

// after is a result to which a check adds: what another round, or a call that was cut off, left.
func (r result) after() result {
	figures := map[string][]float64{}
	for program, of := range r.Figures {
		figures[program] = slices.Clone(of)
	}
	return result{Rounds: r.Rounds, Figures: figures}
}

// name of a file of results, or of a kind beside it.
func (b *bench) resultsName(ending string) string {
	if b.device == gpu {
		return "gpu-check" + ending
	}
	return "gpu-check-" + string(b.device) + ending
}

// report is that of this machine, with the results that are there, where those are of the same programs and GPU. Others are
// put aside.
func (b *bench) report() (*report, error) {
	r := &report{Date: time.Now().Format(time.DateOnly), GPU: b.gpu, Machine: b.machine, Program: b.version, Sum: b.sum,
		Libraries: b.libraries, Torch: b.torch}
	path := b.file(b.resultsName(".json"))
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) || err == nil && b.again {
		return r, nil
	} else if err != nil {
		return nil, err
	}
	var before report
	if err := json.Unmarshal(data, &before); err != nil {
		return nil, fmt.Errorf("%s is damaged (%w): remove it, or pass -again", path, err)
	}
	if before.GPU == r.GPU && before.Sum == r.Sum && before.Libraries == r.Libraries && before.Torch == r.Torch {
		return &before, nil
	}
	return r, os.Rename(path, b.file(b.resultsName("-before.json")))
}

// find is what there is of a check, and whether that is all.
func (r *report) find(c check) (_ result, done bool) {
	at := slices.IndexFunc(r.Results, func(x result) bool { return x.Name == c.name })
	if at < 0 {
		return result{}, false
	}
	x := r.Results[at]
	return x, !x.Cut && x.Rounds >= c.round
}

// put keeps a result in place of that of the same name.
func (r *report) put(x result) {
	at := slices.IndexFunc(r.Results, func(y result) bool { return x.Name == y.Name })
	if at < 0 {
		r.Results = append(r.Results, x)
		return
	}
	r.Results[at] = x
}

func (r *report) failed() bool {
	return slices.ContainsFunc(r.Results, func(x result) bool { return x.Failed })
}

// save writes the report, and what a person reads where results are wanted elsewhere.
func (b *bench) save(r *report) error {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	data = append(data, '\n')
	err = durable.Write(b.file(b.resultsName(".json")), data)
	if b.results == "" {
		return err
	}
	logs, _ := filepath.Glob(b.file("work/*.log"))
	var all strings.Builder
	for _, path := range logs {
		text, _ := os.ReadFile(path) // a log that can't be read is missing, and nothing else
		fmt.Fprintf(&all, "==== %s\n%s\n", filepath.Base(path), text)
	}
	at := func(ending string) string { return filepath.Join(b.results, b.resultsName(ending)) }
	return errors.Join(err, os.WriteFile(at(".json"), data, 0o644), os.WriteFile(at(".md"), []byte(r.table(b.checks())), 0o644),
		os.WriteFile(at(".log"), []byte(all.String()), 0o644))
}

// table is the report for a person, in Markdown, with the checks in their order.
func (r *report) table(checks []check) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s; %s; %s", r.GPU, r.Machine, r.Program)
	if r.Torch != "" {
		fmt.Fprintf(&b, "; PyTorch %s", r.Torch)
	} else {
		b.WriteString("; no PyTorch was found, so nothing is compared with it")
	}
	fmt.Fprintf(&b, "; %s.\n\n| check | result | | took |\n|---|---|---|---:|\n", r.Date)
	told := map[string]bool{}
	var results []result
	for _, c := range checks {
		if told[c.name] {
			continue
		}
		told[c.name] = true
		x, _ := r.find(c)
		if x.Name == "" {
			fmt.Fprintf(&b, "| %s | not run yet | | |\n", c.name)
			continue
		}
		results = append(results, x)
		verdict := "passed"
		switch {
		case x.Failed:
			verdict = "**failed**"
		case x.Skipped:
			verdict = "left out"
		case x.Cut:
			verdict = "cut off"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %.0f s |\n", x.Name, verdict, x.Says, x.Seconds)
	}
	for _, x := range results {
		if len(x.Failures) > 0 {
			fmt.Fprintf(&b, "\n%s, failed:\n\n", x.Name)
			for _, f := range x.Failures {
				fmt.Fprintf(&b, "- %s\n", f)
			}
		}
	}
	return b.String()
}
