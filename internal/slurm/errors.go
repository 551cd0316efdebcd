package slurm

import (
	"errors"
	"fmt"
	"strings"
)

// CommandError is what a command of Slurm complained of.
type CommandError struct {
	Command   string // sbatch, squeue, …
	Text      string // what it said, without its own name and the like
	exited    bool   // it ran to its end
	temporary bool
}

func (e *CommandError) Error() string {
	text := fmt.Sprintf("%s: %s", e.Command, e.Text)
	if containsAny(e.Text, noCluster) {
		text += ": Slurm's commands are here, but know of no cluster; SLURM_CONF names its slurm.conf where that is not in " +
			"the usual place, or call ftrun on a login node"
	}
	return text
}

// Temporary tells whether the same command may succeed a little later: Slurm's controller could not be reached, or did not
// answer in time.
func (e *CommandError) Temporary() bool { return e.temporary }

// Temporary tells whether err says that Slurm could not be reached, or did not answer in time: it is worth asking again.
func Temporary(err error) bool {
	var e *CommandError
	return errors.As(err, &e) && e.temporary
}

// RejectedError says that Slurm took a job and refused it.
type RejectedError struct {
	Text   string // Slurm's words
	Advice string // ours: what to change, mostly in the launcher block; "" for words that we don't know
	Later  bool   // nothing is wrong with the job: it will be taken when others of the user, or of all, have ended
}

func (e *RejectedError) Error() string {
	if e.Advice == "" {
		return fmt.Sprintf("Slurm refuses the job: %s", e.Text)
	}
	return fmt.Sprintf("Slurm refuses the job: %s; %s", e.Text, e.Advice)
}

// clean takes a complaint's lines together, without what each command puts before them ("sbatch: error: Batch job
// submission failed: ").
func clean(command, complaint string) string {
	var lines []string
	for line := range strings.Lines(complaint) {
		line = strings.TrimSpace(line)
		for _, prefix := range []string{command + ": ", "error: ", "fatal: ", "Batch job submission failed: "} {
			line = strings.TrimPrefix(line, prefix)
		}
		if line != "" && (len(lines) == 0 || lines[len(lines)-1] != line) {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "; ")
}

// unreachable are the complaints of a controller that is down, is starting, is moving to another machine, or has too much
// to do, and of the authentication beside it. scontrol requeue says "Unexpected message received" of one that is down.
var unreachable = []string{
	"Unable to contact slurm controller",
	"Socket timed out",
	"Zero Bytes were transmitted or received",
	"Connection timed out",
	"Connection refused",
	"Communication connection failure",
	"Communication shutdown failure",
	"Message send failure",
	"Message receive failure",
	"Unexpected message received",
	"Transport endpoint is not connected",
	"backup controller in standby mode",
	"Controller is in standby mode",
	"Rate limit exceeded",
	"Resource temporarily unavailable",
	"temporarily unable to accept job",
	"I/O error writing script/environment to file",
	"Job can not be altered now, try again later",
	"the DB index is being set",
	"Munge encode failed",
	"Protocol authentication error",
}

// noCluster are the complaints of commands that find no slurm.conf.
var noCluster = []string{"Could not establish a configuration source", "Unable to process configuration file"}

func isTemporary(text string) bool { return containsAny(text, unreachable) }

func containsAny(text string, parts []string) bool {
	for _, part := range parts {
		if strings.Contains(text, part) {
			return true
		}
	}
	return false
}

// rejections are the refusals of sbatch and the controller that we know. The first whose words are in the text counts, so the
// ones that say more come first.
var rejections = []struct {
	text   string
	advice string
	later  bool
}{
	{"SubmitJob", "so many of your jobs, or of your account's, may be submitted at a time: it is taken when others have ended", true},
	{"MaxJobCount limit reached", "the cluster holds as many jobs as it can: it is taken when others have ended", true},
	{"Unable to create job record, try again", "the cluster holds as many jobs as it can: it is taken when others have ended", true},
	{"System submissions disabled", "the cluster takes no jobs now, as before maintenance", true},
	{"Requested operation is presently disabled", "the cluster takes no jobs now, as before maintenance", true},

	{"Invalid partition name", "set partition in the launcher block to one that `sinfo -s` lists", false},
	{"invalid partition specified", "set partition in the launcher block to one that `sinfo -s` lists", false},
	{"No partition specified", "this cluster has no default partition: set partition in the launcher block to one that `sinfo -s` lists", false},
	{"User's group not permitted", "set partition in the launcher block to one that is open to you", false},
	{"Requested nodes not in this partition", "the nodes that extra names are not in the launcher block's partition", false},
	{"Required partition not available", "the launcher block's partition is closed now: choose another one, or wait", false},
	{"Partition in DOWN state", "the launcher block's partition is closed now: choose another one, or wait", false},
	{"Multiple partition job request not supported", "name one partition in the launcher block", false},

	{"Invalid account", "set account in the launcher block to one of yours that may use the partition " +
		"(`sacctmgr show associations user=$USER format=account,partition,qos`)", false},
	{"Invalid or unknown association", "set account in the launcher block to one of yours " +
		"(`sacctmgr show associations user=$USER format=account,partition,qos`)", false},
	{"Invalid qos", "set qos in the launcher block to one that your account may use " +
		"(`sacctmgr show associations user=$USER format=account,partition,qos`)", false},
	{"Invalid QOS", "set qos in the launcher block to one that your account may use " +
		"(`sacctmgr show associations user=$USER format=account,partition,qos`)", false},
	{"QOS usage threshold", "the account has used more than its share of this qos: set another qos in the launcher block", false},

	{"Invalid feature specification", "constraint in the launcher block names a feature that no node has (`sinfo -o '%P %f'` lists them)", false},
	{"Memory specification can not be satisfied", "no node has so much memory for jobs: lower memory in the launcher block, or " +
		"another partition (`sinfo -o '%P %m'` lists MiB)", false},
	{"Memory required by task is not available", "no node has so much memory for jobs: lower memory in the launcher block, or " +
		"another partition (`sinfo -o '%P %m'` lists MiB)", false},
	{"generic resource (gres)", "the partition's nodes have no GPUs of that name: set gpus in the launcher block to what they have, or " +
		"another partition (`sinfo -o '%P %G'` lists them)", false},
	{"GRES", "set gpus in the launcher block to what the partition's nodes have (`sinfo -o '%P %G'` lists them); where these have " +
		"types, name one in extra (`--gres=gpu:TYPE:1`) instead of gpus", false},
	{"Requested node configuration is not available", "no node of the partition has what is asked for at once: lower cpus, gpus or " +
		"memory in the launcher block, or another partition (`sinfo -o '%P %c %m %G'` lists processors, MiB, GPUs)", false},
	{"Requested partition configuration not available", "the launcher block asks for more than the partition gives, or the partition is " +
		"closed now (`scontrol show partition` tells)", false},
	{"More processors requested than permitted", "lower cpus in the launcher block", false},
	{"CPU count specification invalid", "set cpus in the launcher block to what the partition's nodes have", false},
	{"Node count specification invalid", "the partition wants another number of nodes than one: choose another partition in the launcher block", false},

	{"Requested time limit is invalid", "set time in the launcher block to no more than the partition and the qos allow " +
		"(`sinfo -o '%P %l'` lists partitions)", false},
	{"Time limit specification required", "set time in the launcher block", false},
	{"accounting/QOS policy", "the launcher block's cpus, gpus, memory or time are more than its account or qos may have in a job, or so many of " +
		"your jobs may not be submitted at a time: ask for less, or start fewer runs at once (-target)", false},
	{"Invalid job array specification", "the array is larger than the cluster takes (`scontrol show config | grep MaxArraySize`)", false},
	{"Job dependency problem", "a job that it is to wait for is not known to Slurm any more: call apply again", false},
	{"reservation", "mend --reservation in the launcher block's extra, or leave it out", false},
	{"Invalid license specification", "mend --licenses in the launcher block's extra", false},
	{"invalid entry for --cluster", "mend --clusters in the launcher block's extra (`sacctmgr list clusters` lists them)", false},
	{"Invalid wckey", "mend --wckey in the launcher block's extra", false},
	{"unrecognized option", "extra in the launcher block holds an option that this sbatch does not know (`sbatch --help` lists them)", false},
	{"invalid option", "extra in the launcher block holds an option that this sbatch does not know (`sbatch --help` lists them)", false},
	{"Invalid --", "mend this option in the launcher block, mostly in extra", false},
	{"Invalid numeric value", "mend this option in the launcher block, mostly in extra", false},
	{"Pathname of a file", "the path of the store is too long for Slurm: move the store", false},
	{"Invalid user id", "the cluster's controller does not know your user: ask its administrators", false},
	{"Invalid group id", "the cluster's controller does not know your group: ask its administrators", false},
	{"Access/permission denied", "your user may not submit this: look at account, partition and qos in the launcher block", false},
	{"Unspecified error", "the cluster has rules of its own for jobs, which this one breaks", false},
}

// rejected makes of sbatch's complaint what is told.
func rejected(text string) *RejectedError {
	for _, r := range rejections {
		if strings.Contains(text, r.text) {
			return &RejectedError{Text: text, Advice: r.advice, Later: r.later}
		}
	}
	return &RejectedError{Text: text}
}
