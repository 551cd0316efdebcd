package slurm

import (
	"errors"
	"strings"
	"testing"
)

func TestFits(t *testing.T) {
	const (
		two     = "4 8000 idle small* n1 gpu:2\n16 64000 down* big n2 gpu:a100:4(S:0,1),shard:8\n"
		unknown = "4 8000 idle small* n1 some-gpu-s\n"
		no      = "echo 'allocation failure: " + noSuchNode + "' >&2; exit 1"
	)
	for _, test := range []struct {
		name     string
		script   Script
		sinfo    string
		testOnly string // what sbatch --test-only does
		want     string // "": it is left to Slurm
	}{
		{"as large as the largest", Script{CPUs: 4, Memory: 8000 << 20, GPUs: 2}, two, no, ""},
		{"processors of the default partition", Script{CPUs: 5}, two, no, "a task asks for 5 processors, and the partition's largest node, n1, has 4: lower cpus in the launcher block"},
		{"processors of another partition", Script{CPUs: 17, Partition: "big"}, "16 64000 down* big n2 (null)\n", no, "n2, has 16: lower cpus"},
		{"memory", Script{CPUs: 1, Memory: 8000<<20 + 1}, two, no, "asks for 8001 MiB of memory, and the partition's largest node, n1, has 8000: lower memory"},
		{"GPUs", Script{CPUs: 1, GPUs: 5, Partition: "big"}, "16 64000 idle big n2 gpu:a100:4(S:0,1),shard:8,gpu:1\n", no, ""},
		{"GPUs that a node has not", Script{CPUs: 1, GPUs: 6, Partition: "big"}, "16 64000 idle big n2 gpu:a100:4(S:0,1),shard:8,gpu:1\n", no, "6 GPUs, and the partition's largest node, n2, has 5: lower gpus"},
		{"the controller would take it", Script{CPUs: 5}, two, "echo 'Job 5 to start at some time' >&2", ""},
		{"the controller does not answer", Script{CPUs: 5}, two, "echo 'Socket timed out' >&2; exit 1", ""},
		{"nodes that are switched on", Script{CPUs: 5}, "4 8000 idle~ small* n1 (null)\n", no, ""},
		{"resources that are not understood", Script{CPUs: 5}, "4 8000 idle small* n1 gpu:many\n", no, ""},
		{"other resources", Script{CPUs: 5}, unknown, no, "has 4"},
		{"no nodes", Script{CPUs: 5}, "", no, ""},
		{"another notation", Script{CPUs: 5}, "4+ 8000 idle small* n1 (null)\n", no, ""},
		{"no default partition", Script{CPUs: 500}, "4 8000 idle small n1 (null)\n", no, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, dir := fakes(t, map[string]string{
				"sinfo":  "cat <<'END'\n" + test.sinfo + "END",
				"sbatch": `case "$*" in *--test-only*) ` + test.testOnly + "; exit;; esac; echo 12",
			})
			s := test.script
			s.Name, s.Chdir, s.Output, s.Tasks, s.Command = "ftrun-0123456789ab-1", "/home/me", "out_%a", 1, []string{"ftrun"}
			job, err := c.Submit(t.Context(), &s)
			if test.want == "" {
				if err != nil || job != "12" {
					t.Errorf("job %q, %v", job, err)
				}
				return
			}
			var rejected *RejectedError
			if !errors.As(err, &rejected) || rejected.Later || !strings.Contains(rejected.Error(), test.want) {
				t.Errorf("job %q, %v; want %q", job, err, test.want)
			}
			if args := read(t, dir, "sbatch.args"); strings.Count(args, "\n") != 1 {
				t.Errorf("sbatch was called with %s", args)
			}
		})
	}
}
