package slurm

import (
	"fmt"
	"regexp"
	"strings"
)

// phase is how far a job in some state is.
type phase int

const (
	waiting phase = iota
	active        // has its node, or is leaving it
	ended
)

// states are those of squeue's and sacct's manuals, 20.11 to 24.11, with what is told of a job in each; "%s" is its id
// as scontrol takes it. A state that says nothing of why is told by the job's reason.
var states = map[State]struct {
	phase phase
	words string
}{
	"PENDING":       {waiting, ""},
	"REQUEUED":      {waiting, "will be started again"},
	"REQUEUE_FED":   {waiting, "will be started again, perhaps on another cluster"},
	"REQUEUE_HOLD":  {waiting, "was to be started again, but is held: `scontrol release %s` lets it go on"},
	"SPECIAL_EXIT":  {waiting, "is held, for it ended in a way that the cluster treats specially: `scontrol release %s` lets it go on"},
	"RESV_DEL_HOLD": {waiting, "is held, for its reservation was deleted: `scontrol release %s` lets it start without"},
	"CONFIGURING":   {active, "its node is being made ready"},
	"POWER_UP_NODE": {active, "its node is being switched on"},
	"RUNNING":       {active, ""},
	"RESIZING":      {active, ""},
	"SIGNALING":     {active, ""},
	"EXPEDITING":    {active, ""},
	"SUSPENDED":     {active, "is suspended: its processors serve others for now"},
	"STOPPED":       {active, "was stopped (SIGSTOP); `scontrol resume %s` lets it go on"},
	"STAGE_OUT":     {active, "its files are being copied"},
	"COMPLETING":    {active, "is ending"},
	"COMPLETED":     {ended, ""},
	"FAILED":        {ended, "failed"},
	"CANCELLED":     {ended, "was cancelled (scancel)"},
	"TIMEOUT":       {ended, "reached its time limit: set a larger time in the launcher block, or leave it out"},
	"OUT_OF_MEMORY": {ended, "was killed, for it needed more memory than it was given: set more memory in the launcher block"},
	"NODE_FAIL":     {ended, "its node failed, and Slurm did not start it again: call apply again"},
	"PREEMPTED":     {ended, "had to make room for a job of higher priority, and Slurm did not start it again: call apply again"},
	"BOOT_FAIL":     {ended, "its node could not be started: call apply again"},
	"LAUNCH_FAILED": {ended, "could not be started on its node: call apply again"},
	"RECONFIG_FAIL": {ended, "its node could not be set up as asked: call apply again"},
	"DEADLINE":      {ended, "could no longer end before its deadline (--deadline in extra)"},
	"REVOKED":       {ended, "was started by another cluster of the federation"},
}

// reason is why a job waits.
type reason struct {
	words string // "%s" is the job's id as scontrol takes it
	stuck bool   // it will wait until somebody does something
}

// reasons are Slurm's job reason codes but for those of limits, which limitReason takes apart, and for those that say
// how a job ended, which its state and exit code tell better. Beside the codes stand the texts that Slurm puts in their
// place.
var reasons = map[string]reason{
	"Resources":            {"waits for a node to have room", false},
	"Priority":             {"waits: jobs of higher priority come first", false},
	"WaitingForScheduling": {"waits to be looked at by Slurm", false},
	"None":                 {"waits to be looked at by Slurm", false},
	"SchedDefer":           {"waits to be looked at by Slurm", false},
	"JobArrayTaskLimit":    {"waits for others of its array: the launcher's max_parallel are running", false},
	"Dependency":           {"waits for jobs that it depends on", false},
	"DependencyNeverSatisfied": {"will never start, for a job that it depends on failed: cancel it (`scancel %s`) and " +
		"call apply again", true},
	"BeginTime":          {"waits for its time to begin, by --begin or since Slurm waits a while before it starts a job again", false},
	"Cleaning":           {"waits: its earlier start is still being cleared away", false},
	"Prolog":             {"waits: the cluster's own preparations go on", false},
	"Licenses":           {"waits for a licence", false},
	"Reservation":        {"waits for its reservation to begin", false},
	"ReservationDeleted": {"will not start, for its reservation was deleted: mend --reservation in the launcher block's extra", true},
	"ReqNodeNotAvail": {"waits: nodes that it could use are down, drained or reserved, often for maintenance that begins before the " +
		"job's time limit would end", false},
	"NodeDown":           {"waits: a node that it needs is down", false},
	"FrontEndDown":       {"waits: the cluster's front end is down", false},
	"PartitionDown":      {"waits: its partition is closed (down)", false},
	"PartitionInactive":  {"waits: its partition is closed (inactive)", false},
	"PartitionConfig":    {"waits: it asks for more than its partition has at present; cpus, gpus, memory and time of the launcher block count", true},
	"PartitionNodeLimit": {"waits: its partition allows another number of nodes, or its nodes are down or drained", true},
	"PartitionTimeLimit": {"will not start, for its time is more than its partition allows: set time in the launcher block to " +
		"no more (`sinfo -o '%%P %%l'` lists them), or another partition", true},
	"BadConstraints": {"will not start, for no node has what is asked for: look at cpus, gpus, memory and constraint in the launcher " +
		"block", true},
	"Constraints":       {"waits: no node that is up has what is asked for", false},
	"MaxMemPerLimit":    {"will not start, for it asks for more memory than a job may have: lower memory in the launcher block", true},
	"JobHeldUser":       {"is held: `scontrol release %s` lets it start", true},
	"JobHeldAdmin":      {"is held by an administrator, or for it could not be started: ask them, or cancel it (`scancel %s`) and call apply again", true},
	"JobHoldMaxRequeue": {"is held, for it was started too often: `scontrol release %s` lets it start again", true},
	"launch failed requeued held": {"is held, for it could not be started on its node: `scontrol release %s` tries again; slurmd's log " +
		"on the node tells why", true},
	"launch failure limit exceeded requeued held": {"is held, for it could not be started on several nodes: `scontrol release %s` tries again", true},
	"job requeued in held state":                  {"is held since it was started again: `scontrol release %s` lets it start", true},
	"user env retrieval failed requeued held": {"is held, for the node could not read your environment (--get-user-env): `scontrol release %s` " +
		"tries again", true},
	"batch requeue limit exceeded requeued held": {"is held, for it was started too often: `scontrol release %s` lets it start again", true},
	"InvalidAccount":           {"will not start, for its account is not valid: mend account in the launcher block", true},
	"AccountNotAllowed":        {"will not start, for its account may not use its partition: mend account or partition in the launcher block", true},
	"InvalidQOS":               {"will not start, for its qos is not valid: mend qos in the launcher block", true},
	"QOSNotAllowed":            {"will not start, for its account or partition may not use its qos: mend qos in the launcher block", true},
	"QOSUsageThreshold":        {"waits: its account has used more than its share of this qos", false},
	"AccountingPolicy":         {"waits: a limit of its account or qos is reached", false},
	"AssociationJobLimit":      {"waits: as many of your jobs as are allowed run", false},
	"AssociationResourceLimit": {"waits: your jobs have as much as they may", false},
	"AssociationTimeLimit":     {"waits: your account's time is used up", false},
	"QOSJobLimit":              {"waits: as many jobs as its qos allows run", false},
	"QOSResourceLimit":         {"waits: the jobs of its qos have as much as they may", false},
	"QOSTimeLimit":             {"waits: the time of its qos is used up", false},
	"DeadLine":                 {"will not start, for it could no longer end before its deadline (--deadline in extra)", true},
	"BurstBufferResources":     {"waits for room in the burst buffer", false},
	"BurstBufferStageIn":       {"waits: its files are being copied to the burst buffer", false},
	"BurstBufferOperation":     {"will not start, for its burst buffer failed", true},
	"FedJobLock":               {"waits for the other clusters of the federation", false},
	"Federation":               {"waits for the other clusters of the federation", false},
	"SystemFailure":            {"waits: Slurm itself failed; ask the cluster's administrators", true},
	"PowerNotAvail":            {"waits: the cluster has no power to spare", false},
	"PowerReserved":            {"waits: the cluster's power is reserved", false},
	"MaxPoweredUpNodes":        {"waits: as many nodes as may be switched on are", false},
}

// limitReason takes names of limits apart: AssocGrpCpuLimit, QOSMaxGRESPerUser, MaxJobsPerAccount.
var limitReason = regexp.MustCompile(`^(Assoc|QOS|)(Grp|Max|Min)(BB|Billing|C[Pp][Uu]|Energy|GRES|Jobs?|Licenses?|Mem|Memory|Nodes?|SubmitJobs?|Unknown|Wall|WallDuration)` +
	`(Minutes|RunMinutes)?(PerJob|PerNode|PerUser|PerAccount)?(NotSatisfied)?(Limit)?$`)

// resources are what limits count, and where a launcher block asks for it.
var resources = map[string]struct{ words, attribute string }{
	"BB": {"burst buffer", "extra"}, "Billing": {"billing units", "cpus, gpus and memory"}, "CPU": {"processors", "cpus"},
	"Energy": {"energy", "extra"}, "GRES": {"GPUs", "gpus"}, "Job": {"places for running jobs", "max_parallel"},
	"License": {"licences", "extra"}, "Mem": {"memory", "memory"}, "Node": {"nodes", "max_parallel"},
	"SubmitJob": {"places for submitted jobs", ""}, "Unknown": {"resources", "cpus, gpus and memory"}, "Wall": {"time", "time"},
}

// limit tells of a reason that names a limit.
func limit(name string) (reason, bool) {
	m := limitReason.FindStringSubmatch(name)
	if m == nil {
		return reason{}, false
	}
	whose, kind, what, minutes, per := m[1], m[2], m[3], m[4], m[5]
	r, ok := resources[strings.TrimSuffix(what, "s")]
	if !ok {
		r = resources[map[string]string{"Cpu": "CPU", "Memory": "Mem", "WallDuration": "Wall", "BB": "BB", "GRES": "GRES"}[what]]
	}
	owner := map[string]string{"Assoc": "your account", "QOS": "its qos", "": "your account in its qos"}[whose]
	one := per == "PerJob" || per == "PerNode" || what == "WallDuration" || whose == "Assoc" && kind == "Max" && what == "Node"
	switch {
	case kind == "Min":
		return reason{fmt.Sprintf("will not start, for %s demands more %s: raise %s in the launcher block",
			owner, r.words, r.attribute), true}, true
	case one && minutes != "":
		return reason{fmt.Sprintf("will not start, for its %s times its time limit are more than %s allows a job: lower time, or "+
			"%s, in the launcher block", r.words, owner, r.attribute), true}, true
	case one:
		return reason{fmt.Sprintf("will not start, for it asks for more %s than %s allows a job: lower %s in the launcher block",
			r.words, owner, r.attribute), true}, true
	case minutes == "RunMinutes":
		return reason{fmt.Sprintf("waits: the jobs of %s that run hold as many minutes of %s as they may; with less time in the "+
			"launcher block a job holds fewer", owner, r.words), false}, true
	case minutes != "" || kind == "Grp" && what == "Wall":
		return reason{fmt.Sprintf("waits: %s has used up its minutes of %s", owner, r.words), false}, true
	case per == "PerUser" || whose == "Assoc" && kind == "Max":
		return reason{fmt.Sprintf("waits: your jobs hold all the %s that %s allows", r.words, owner), false}, true
	}
	return reason{fmt.Sprintf("waits: all jobs of %s together hold all the %s that they may", owner, r.words), false}, true
}

// why looks a reason up. Slurm puts details behind a comma or a colon, and writes underscores for spaces in some places.
func why(name string) (reason, bool) {
	if r, ok := reasons[name]; ok {
		return r, true
	}
	if r, ok := limit(name); ok {
		return r, true
	}
	spaced := strings.ReplaceAll(name, "_", " ")
	if r, ok := reasons[strings.TrimPrefix(strings.TrimPrefix(spaced, "("), " ")]; ok {
		return r, true
	}
	if strings.HasPrefix(spaced, "Nodes required for job are DOWN") {
		return reason{"waits: nodes that it could use are down, drained, or reserved for jobs of higher priority", false}, true
	}
	if head, rest, ok := strings.Cut(spaced, ","); ok {
		if r, ok := why(head); ok {
			if _, nodes, ok := strings.Cut(rest, "UnavailableNodes:"); ok && nodes != "" {
				r.words += " (" + strings.ReplaceAll(nodes, "%", "%%") + ")"
			}
			return r, true
		}
	}
	return reason{}, false
}

// Waits tells whether the job is still, or again, to be started. A state that we don't know is one in which it may be.
func (j Job) Waits() bool {
	s, ok := states[j.State]
	return ok && s.phase == waiting
}

// Runs tells whether the job has its node: it is being started, runs, or is ending.
func (j Job) Runs() bool {
	s, ok := states[j.State]
	return ok && s.phase == active
}

// Ended tells whether Slurm is done with the job, and will not start it again by itself. One that is ending (COMPLETING) is
// not yet, and may be started again.
func (j Job) Ended() bool {
	s, ok := states[j.State]
	return ok && s.phase == ended
}

// LackedMemory tells whether the job was ended for lack of memory, or as jobs are that lack it: not every cluster sees which
// process the kernel killed, or says why Slurm itself killed one (slurm.conf's OverMemoryKill).
func (j Job) LackedMemory() bool {
	return j.State == "OUT_OF_MEMORY" || j.State == "FAILED" && (j.Signal == killed || j.ExitCode == 128+killed || j.Reason == "OutOfMemory")
}

// killed is SIGKILL.
const killed = 9

// Stuck tells whether the job waits for something that will not come by itself: somebody has to change it, or release it.
func (j Job) Stuck() bool {
	if !j.Waits() {
		return false
	}
	switch j.State {
	case "REQUEUE_HOLD", "SPECIAL_EXIT", "RESV_DEL_HOLD":
		return true
	}
	r, ok := why(j.Reason)
	return ok && r.stuck
}

// Name is how Slurm's commands call the job: "12_3".
func (j Job) Name() string {
	number, _, _ := strings.Cut(j.ID, ";")
	if j.Task < 0 {
		return number
	}
	return fmt.Sprintf("%s_%d", number, j.Task)
}

// Explain says in words why a job waits, or how it ended; "" where there is nothing to say of it. It is the rest of a
// sentence that begins with the job. What is not known is told in Slurm's own words.
func Explain(j Job) string {
	s, ok := states[j.State]
	switch {
	case !ok:
		return "Slurm says " + strings.TrimSpace(string(j.State)+" "+j.Reason)
	case j.State == "PENDING" && j.Reason == "":
		return "waits"
	case j.State == "PENDING":
		if r, ok := why(j.Reason); ok {
			return fill(r.words, j)
		}
		return "waits, Slurm says " + j.Reason
	case j.State == "FAILED":
		return failure(j)
	case j.State == "CANCELLED" && j.CancelledBy != "":
		return "was cancelled (scancel) by user " + j.CancelledBy
	case j.State == "CANCELLED" && (j.Reason == "Dependency" || j.Reason == "DependencyNeverSatisfied"):
		return "was cancelled while it waited for jobs that it depends on, of which one may have failed"
	case j.State == "OUT_OF_MEMORY" && j.MaxMemory > 0:
		return fmt.Sprintf("was killed, for it needed more memory than it was given (Slurm saw %s): set more memory in the launcher block",
			mebibytes(j.MaxMemory))
	}
	return fill(s.words, j)
}

func mebibytes(n int64) string { return fmt.Sprintf("%d MiB", (n+1<<20-1)>>20) }

func fill(words string, j Job) string {
	return strings.NewReplacer("%%", "%", "%s", j.Name()).Replace(words)
}

// signalNoFile is what Slurm says where a task's folder or output can't be opened: ExitCode 0:53.
const signalNoFile = 53

// failure tells how a job of state FAILED ended.
func failure(j Job) string {
	where := ""
	if j.Node != "" {
		where = " on " + j.Node
	}
	switch {
	case j.Signal == signalNoFile:
		return fmt.Sprintf("could not be started%s: its folder, or the file for its output, can't be opened there; is the store on a file "+
			"system that the nodes see?", where)
	case j.Signal == killed || j.ExitCode == 128+killed:
		text := fmt.Sprintf("was ended by signal %d%s%s, as where memory runs out", killed, signalName(killed), where)
		if j.MaxMemory > 0 {
			text += " (Slurm saw " + mebibytes(j.MaxMemory) + ")"
		}
		return text
	case j.Signal > 0:
		return fmt.Sprintf("was ended by signal %d%s%s", j.Signal, signalName(j.Signal), where)
	case j.ExitCode == 127:
		return fmt.Sprintf("failed%s: a command was not found there (exit code 127); the nodes must see ftrun at the path that "+
			"submitted, and what setup in the launcher block calls", where)
	case j.ExitCode == 126:
		return fmt.Sprintf("failed%s: a command could not be executed there (exit code 126)", where)
	case j.Reason == "OutOfMemory":
		return "was killed, for it needed more memory than it was given: set more memory in the launcher block"
	case j.Reason == "TimeLimit":
		return "reached its time limit: set a larger time in the launcher block, or leave it out"
	case j.Reason == "BadConstraints":
		return "was not started, for no node has what is asked for: look at cpus, gpus, memory and constraint in the launcher block"
	case j.Reason == "JobLaunchFailure":
		return fmt.Sprintf("could not be started%s: a file system, or the node itself, failed", where)
	case j.Reason == "SystemFailure":
		return fmt.Sprintf("failed%s, for Slurm itself failed", where)
	case j.Reason == "NodeDown":
		return fmt.Sprintf("failed, for its node%s went down", strings.TrimPrefix(where, " on"))
	case j.ExitCode > 0:
		return fmt.Sprintf("ended with exit code %d%s", j.ExitCode, where)
	case j.Reason != "":
		return fmt.Sprintf("failed%s, Slurm says %s", where, j.Reason)
	}
	return "failed" + where
}

// signalNames are those that end jobs. The numbers are Linux's, which is what compute nodes run.
var signalNames = map[int]string{1: "SIGHUP", 2: "SIGINT", 3: "SIGQUIT", 4: "SIGILL", 6: "SIGABRT", 7: "SIGBUS", 8: "SIGFPE", 9: "SIGKILL",
	10: "SIGUSR1", 11: "SIGSEGV", 12: "SIGUSR2", 13: "SIGPIPE", 15: "SIGTERM", 24: "SIGXCPU", 25: "SIGXFSZ"}

func signalName(n int) string {
	if name, ok := signalNames[n]; ok {
		return " (" + name + ")"
	}
	return ""
}
