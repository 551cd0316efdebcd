package planner

import (
	"fmt"
	"slices"
	"strings"
)

// maxGraphRuns is the number of runs up to which Graph draws each; above it draws configurations.
const maxGraphRuns = 200

// Graph draws a plan in DOT, Graphviz's language: sweeps as boxes, in them runs, or configurations where there are many,
// and an arrow to each from what it starts from. What is done is filled.
func Graph(p *Plan) string {
	byRun := len(p.Runs) <= maxGraphRuns
	node := func(i int) string { // of a run, by its index
		if byRun {
			return fmt.Sprintf("r%d", i)
		}
		return fmt.Sprintf("c%d", p.Runs[i].Config)
	}

	type drawn struct {
		name, label string
		done        bool
	}
	nodes := map[string][]drawn{} // by sweep
	var sweeps []string
	add := func(config int, d drawn) {
		sweep := p.Configs[config].Sweep
		if !slices.Contains(sweeps, sweep) {
			sweeps = append(sweeps, sweep)
		}
		nodes[sweep] = append(nodes[sweep], d)
	}
	if byRun {
		for i := range p.Runs {
			r := &p.Runs[i]
			label := fmt.Sprintf("%s\nseed %d · %s", labelLines(&p.Configs[r.Config]), r.Seed, r.ID[:min(8, len(r.ID))])
			add(r.Config, drawn{node(i), strings.TrimPrefix(label, "\n"), r.Action == Done})
		}
	} else {
		runs, done := make([]int, len(p.Configs)), make([]int, len(p.Configs))
		for i := range p.Runs {
			runs[p.Runs[i].Config]++
			if p.Runs[i].Action == Done {
				done[p.Runs[i].Config]++
			}
		}
		for i := range p.Configs {
			label := fmt.Sprintf("%s\n%s", labelLines(&p.Configs[i]), count(runs[i], "run", "runs"))
			add(i, drawn{fmt.Sprintf("c%d", i), strings.TrimPrefix(label, "\n"), done[i] == runs[i]})
		}
	}

	var b strings.Builder
	b.WriteString("digraph plan {\n  rankdir=LR;\n  node [shape=box, style=rounded];\n")
	for i, sweep := range sweeps {
		fmt.Fprintf(&b, "  subgraph cluster_%d {\n    label=%s;\n", i, dotString("sweep."+sweep))
		for _, n := range nodes[sweep] {
			style := ""
			if n.done {
				style = `, style="rounded,filled"`
			}
			fmt.Fprintf(&b, "    %s [label=%s%s];\n", n.name, dotString(n.label), style)
		}
		b.WriteString("  }\n")
	}

	// An id may stand at several runs; an arrow starts at the first, which is the one that is waited for.
	first := make(map[string]int, len(p.Runs))
	arrows := map[[2]string]bool{}
	for i := range p.Runs {
		for _, need := range p.Runs[i].Needs {
			from, ok := first[need]
			if !ok {
				continue
			}
			if arrow := [2]string{node(from), node(i)}; !arrows[arrow] {
				arrows[arrow] = true
				fmt.Fprintf(&b, "  %s -> %s;\n", arrow[0], arrow[1])
			}
		}
		if _, ok := first[p.Runs[i].ID]; !ok {
			first[p.Runs[i].ID] = i
		}
	}
	b.WriteString("}\n")
	return b.String()
}

func labelLines(c *Config) string {
	lines := make([]string, len(c.Labels))
	for i := range c.Labels {
		lines[i] = c.Labels[i].Axis + " = " + c.Labels[i].Text()
	}
	return strings.Join(lines, "\n")
}

// dotString quotes a string for DOT, where a backslash begins an escape and \n breaks the line.
func dotString(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\r", " ").Replace(s) + `"`
}
