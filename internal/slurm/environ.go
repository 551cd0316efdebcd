package slurm

import (
	"slices"
	"strings"
)

// kept are the variables of Slurm's own that say where Slurm is, and not what is asked of it.
var kept = []string{"SLURM_CONF", "SLURM_CONF_SERVER", "SLURM_CLUSTERS", "SLURM_JWT"}

// defaults are the choices that a user may have made for all jobs, in the profile, and which hold where a script says
// nothing of the same. sbatch would let them go before what the script says.
var defaults = map[string]string{
	"SBATCH_ACCOUNT": "--account", "SBATCH_PARTITION": "--partition", "SBATCH_QOS": "--qos",
	"SBATCH_CONSTRAINT": "--constraint", "SBATCH_RESERVATION": "--reservation", "SBATCH_WCKEY": "--wckey",
	"SBATCH_CLUSTERS": "--clusters",
}

// queryEnv is the environment of a command that asks: with the notation of times that is parsed, and lists of tasks that
// are not cut short.
func (c *Client) queryEnv() []string {
	return append(c.plainEnv(nil), "LC_ALL=C", "SLURM_TIME_FORMAT=standard", "SLURM_BITSTR_LEN=0")
}

// submitEnv is the environment of sbatch, which the job will have as well.
//
// Where ftrun itself runs in a job, the variables that describe that job, its nodes, processors and GPUs would describe
// the new one wrongly, and its folder for temporary files is gone when it ends.
func (c *Client) submitEnv(options []string) []string {
	said := map[string]bool{}
	for _, o := range options {
		said[optionName(o)] = true
	}
	env := c.plainEnv(said)
	if c.inJob() {
		env = without(env, func(name string) bool {
			switch name {
			case "TMPDIR", "CUDA_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL", "ROCR_VISIBLE_DEVICES", "ZE_AFFINITY_MASK", "ENVIRONMENT":
				return true
			}
			return false
		})
	}
	return env
}

// inJob tells whether this process runs in a job.
func (c *Client) inJob() bool { return c.variable("SLURM_JOB_ID") != "" }

// variable is one of this process's environment, "" where it is not set.
func (c *Client) variable(name string) string {
	for _, v := range c.environ {
		if value, ok := strings.CutPrefix(v, name+"="); ok {
			return value
		}
	}
	return ""
}

// plainEnv is this process's environment without the options of Slurm's commands, but for the defaults of options that
// are not said.
func (c *Client) plainEnv(said map[string]bool) []string {
	return without(c.environ, func(name string) bool {
		if slices.Contains(kept, name) {
			return false
		}
		if option, ok := defaults[name]; ok {
			return said[option]
		}
		for _, prefix := range []string{"SLURM_", "SLURMD_", "SBATCH_", "SQUEUE_", "SCANCEL_", "SACCT_", "SCONTROL_", "SRUN_"} {
			if strings.HasPrefix(name, prefix) {
				return true
			}
		}
		return false
	})
}

func without(env []string, drop func(name string) bool) []string {
	var out []string
	for _, v := range env {
		if name, _, _ := strings.Cut(v, "="); !drop(name) {
			out = append(out, v)
		}
	}
	return out
}
