package slurm

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// node is what a node has for jobs, as sinfo tells.
type node struct {
	name   string
	cpus   int64
	memory int64 // MiB
	gpus   int64
}

// fits is a *RejectedError where no node of the script's partition will ever have what a task asks for. Many clusters take
// such a job and let it wait for ever (slurm.conf's EnforcePartLimits). It needs two that say so: what sinfo lists of the
// nodes, and the controller, which can't tell alone, as it says the same where nodes that would do are down. Where either
// is not sure, as of nodes that are switched on when they are needed, the job is left to Slurm.
func (c *Client) fits(ctx context.Context, s *Script, options []string, text string) error {
	if c.commands["sinfo"] == "" {
		return nil
	}
	partition := cmp.Or(s.Partition, c.variable("SBATCH_PARTITION"))
	args := []string{"--all", "--noheader", "--Node", "--format=%c %m %t %P %N %G"}
	if partition != "" {
		args = append(args, "--partition="+partition)
	}
	out, err := c.query(ctx, "sinfo", onCluster(c.target(Clusters(options)), args...)...)
	if err != nil {
		return ctx.Err()
	}
	nodes, sure := parseNodes(out, partition == "")
	lacks := lacking(s, nodes)
	if !sure || lacks == "" {
		return nil
	}
	_, err = c.run(ctx, strings.NewReader(text), c.submitEnv(options), "sbatch", "--test-only")
	var complaint *CommandError
	if !errors.As(err, &complaint) || !strings.Contains(complaint.Text, noSuchNode) {
		return ctx.Err()
	}
	return &RejectedError{Text: noSuchNode, Advice: lacks + " in the launcher block, or choose another partition"}
}

// noSuchNode is what the controller says of a job that no node can take, for good or for now.
const noSuchNode = "Requested node configuration is not available"

// lacking says what a task asks for that no node has, and what to do; "" where there is no such thing.
func lacking(s *Script, nodes []node) string {
	if len(nodes) == 0 {
		return ""
	}
	for _, r := range []struct {
		asked           int64
		unit, attribute string
		of              func(node) int64
	}{
		{int64(s.CPUs), "processors", "cpus", func(n node) int64 { return n.cpus }},
		{(s.Memory + 1<<20 - 1) >> 20, "MiB of memory", "memory", func(n node) int64 { return n.memory }},
		{int64(s.GPUs), "GPUs", "gpus", func(n node) int64 { return n.gpus }},
	} {
		largest := slices.MaxFunc(nodes, func(a, b node) int { return cmp.Compare(r.of(a), r.of(b)) })
		if has := r.of(largest); r.asked > has {
			return fmt.Sprintf("a task asks for %d %s, and the partition's largest node, %s, has %d: lower %s", r.asked, r.unit, largest.name, has, r.attribute)
		}
	}
	return ""
}

// places is what stands in parentheses: which sockets GPUs are at.
var places = regexp.MustCompile(`\([^)]*\)`)

// parseGPUs counts the GPUs among a node's generic resources: "gpu:a100:4(S:0-1),gpu:2,shard:8".
func parseGPUs(resources string) (n int64, ok bool) {
	for _, r := range strings.Split(places.ReplaceAllString(resources, ""), ",") {
		words := strings.Split(r, ":")
		if words[0] != "gpu" {
			continue
		}
		count, err := strconv.ParseInt(words[len(words)-1], 10, 32)
		if err != nil || count < 0 {
			return 0, false
		}
		n += count
	}
	return n, true
}

// parseNodes reads what sinfo prints of nodes, one for each partition; of the default partition, marked with a star, alone
// where no other is asked for. It is sure where it understands all, and no node is one that is switched on and off.
func parseNodes(out string, defaults bool) (nodes []node, sure bool) {
	for line := range strings.Lines(out) {
		f := strings.Fields(line)
		if len(f) == 0 || f[0] == "CLUSTER:" {
			continue
		}
		if len(f) != 6 {
			return nil, false
		}
		if defaults && !strings.HasSuffix(f[3], "*") {
			continue
		}
		cpus, errCPUs := strconv.ParseInt(f[0], 10, 32)
		memory, errMemory := strconv.ParseInt(f[1], 10, 62)
		gpus, ok := parseGPUs(f[5])
		if errCPUs != nil || errMemory != nil || !ok || strings.ContainsAny(f[2], "~#%!") || strings.Contains(f[2], "pow") {
			return nil, false
		}
		nodes = append(nodes, node{f[4], cpus, memory, gpus})
	}
	return nodes, len(nodes) > 0
}
