package launch

import (
	"bytes"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ftrun/ftrun/internal/slurm"
)

// WriteSbatch prints arrays as one script of bash that submits them to Slurm, each with its dependencies: to be saved,
// read and run on a machine that has sbatch. Where one is refused it ends, and says what was submitted before.
func WriteSbatch(w io.Writer, f *Folder, arrays []Array, worker *Worker) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "#!/bin/bash\n# Launch %s of ftrun: %s of Slurm.\n#\n", f.ID, counted(len(arrays), "job array", "job arrays"))
	b.WriteString("# bash FILE submits them, each to start when those that it waits for have ended. Use it once: ftrun apply submits jobs\n" +
		"# of its own, and knows nothing of these. Results come into the store, for ftrun report and ftrun show.\n")
	fmt.Fprintf(&b, "# What the tasks print is in %s.\nset -eu\n", filepath.Dir(f.LogPath(0, "")))
	for i := range arrays {
		a := &arrays[i]
		option := ""
		waits := slurm.Script{After: variables(a.After), AfterOK: variables(a.AfterOK)}
		if jobs := waits.Dependency(); jobs != "" { // of the command: in the script no shell would put in the jobs' numbers
			option = fmt.Sprintf(" --kill-on-invalid-dep=yes --dependency=%q", jobs)
		}
		var text bytes.Buffer
		if err := worker.Script(f, i, a).Write(&text); err != nil {
			return fmt.Errorf("the script of array %d: %w", i+1, err)
		}
		end := fmt.Sprintf("END_OF_ARRAY_%d", i+1)
		for slices.Contains(strings.Split(text.String(), "\n"), end) {
			end += "_"
		}
		fmt.Fprintf(&b, "\n# %s.\narray%d=$(sbatch --parsable%s <<'%s'\n%s\n%s\n)\n", a.describe(i), i+1, option, end, strings.TrimRight(text.String(), "\n"), end)
		// A federation's sbatch says the cluster, too.
		fmt.Fprintf(&b, "array%[1]d=${array%[1]d%%%%;*}\necho \"Array %[1]d is job $array%[1]d.\"\n", i+1)
	}
	all := make([]int, len(arrays))
	for i := range all {
		all[i] = i
	}
	jobs := strings.Join(variables(all), ",")
	fmt.Fprintf(&b, "\necho \"squeue -j %[1]s shows them, scancel %[2]s ends them.\"\n", jobs, strings.ReplaceAll(jobs, ",", " "))
	_, err := w.Write(b.Bytes())
	return err
}

// variables are the shell variables that hold the arrays' jobs.
func variables(arrays []int) []string {
	names := make([]string, len(arrays))
	for i, at := range arrays {
		names[i] = fmt.Sprintf("$array%d", at+1)
	}
	return names
}
