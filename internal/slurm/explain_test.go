package slurm

import (
	"strings"
	"testing"
)

func TestExplain(t *testing.T) {
	for _, test := range []struct {
		name string
		job  Job
		want string
	}{
		{"waiting for no reason yet", Job{State: "PENDING"}, "waits"},
		{"priority", Job{State: "PENDING", Reason: "Priority"}, "waits: jobs of higher priority come first"},
		{"a dependency that failed", Job{ID: "12;big", Task: 3, State: "PENDING", Reason: "DependencyNeverSatisfied"},
			"will never start, for a job that it depends on failed: cancel it (`scancel 12_3`) and call apply again"},
		{"a percent sign stays one", Job{State: "PENDING", Reason: "PartitionTimeLimit"},
			"will not start, for its time is more than its partition allows: set time in the launcher block to no more " +
				"(`sinfo -o '%P %l'` lists them), or another partition"},
		{"nodes that are named", Job{State: "PENDING", Reason: "ReqNodeNotAvail, UnavailableNodes:n%s[1-3]"},
			"waits: nodes that it could use are down, drained or reserved, often for maintenance that begins before the job's time " +
				"limit would end (n%s[1-3])"},
		{"nodes that are named, with underscores", Job{State: "PENDING", Reason: "ReqNodeNotAvail,_UnavailableNodes:"},
			"waits: nodes that it could use are down, drained or reserved, often for maintenance that begins before the job's time " +
				"limit would end"},
		{"a text in place of Resources", Job{State: "PENDING", Reason: "Nodes_required_for_job_are_DOWN,_DRAINED_or_reserved_for_jobs_in_higher_priority_partitions"},
			"waits: nodes that it could use are down, drained, or reserved for jobs of higher priority"},
		{"launch failed, with spaces", Job{ID: "12", Task: -1, State: "PENDING", Reason: "launch failed requeued held"},
			"is held, for it could not be started on its node: `scontrol release 12` tries again; slurmd's log on the node tells why"},
		{"launch failed, with underscores", Job{ID: "12", Task: -1, State: "PENDING", Reason: "launch_failed_requeued_held"},
			"is held, for it could not be started on its node: `scontrol release 12` tries again; slurmd's log on the node tells why"},
		{"GPUs of a user in a qos", Job{State: "PENDING", Reason: "QOSMaxGRESPerUser"}, "waits: your jobs hold all the GPUs that its qos allows"},
		{"processors of an account", Job{State: "PENDING", Reason: "AssocGrpCpuLimit"}, "waits: all jobs of your account together hold all the processors that they may"},
		{"minutes of an account", Job{State: "PENDING", Reason: "AssocGrpCPUMinutesLimit"}, "waits: your account has used up its minutes of processors"},
		{"minutes of what runs", Job{State: "PENDING", Reason: "AssocGrpGRESRunMinutes"},
			"waits: the jobs of your account that run hold as many minutes of GPUs as they may; with less time in the launcher block a job holds fewer"},
		{"the time of a job in a qos", Job{State: "PENDING", Reason: "QOSMaxWallDurationPerJobLimit"},
			"will not start, for it asks for more time than its qos allows a job: lower time in the launcher block"},
		{"memory and time of a job", Job{State: "PENDING", Reason: "AssocMaxMemMinutesPerJob"},
			"will not start, for its memory times its time limit are more than your account allows a job: lower time, or memory, in the launcher block"},
		{"too few GPUs for a qos", Job{State: "PENDING", Reason: "QOSMinGRES"},
			"will not start, for its qos demands more GPUs: raise gpus in the launcher block"},
		{"jobs of a user", Job{State: "PENDING", Reason: "QOSMaxJobsPerUserLimit"}, "waits: your jobs hold all the places for running jobs that its qos allows"},
		{"a reason of another version", Job{State: "PENDING", Reason: "TheMoonIsFull"}, "waits, Slurm says TheMoonIsFull"},
		{"a state of another version", Job{State: "SOMETHING_NEW", Reason: "Because"}, "Slurm says SOMETHING_NEW Because"},
		{"running", Job{State: "RUNNING"}, ""},
		{"done", Job{State: "COMPLETED"}, ""},
		{"exit code", Job{State: "FAILED", ExitCode: 3, Node: "n1", Reason: "NonZeroExitCode"}, "ended with exit code 3 on n1"},
		{"command not found", Job{State: "FAILED", ExitCode: 127, Node: "n1", Reason: "NonZeroExitCode"},
			"failed on n1: a command was not found there (exit code 127); the nodes must see ftrun at the path that submitted, and what " +
				"setup in the launcher block calls"},
		{"signal", Job{State: "FAILED", Signal: 11, Reason: "JobLaunchFailure"}, "was ended by signal 11 (SIGSEGV)"},
		{"kill", Job{State: "FAILED", Signal: 9, Reason: "JobLaunchFailure", Node: "n1"}, "was ended by signal 9 (SIGKILL) on n1, as where memory runs out"},
		{"a signal without a name", Job{State: "FAILED", Signal: 60}, "was ended by signal 60"},
		{"no folder", Job{State: "FAILED", Signal: 53, Reason: "JobLaunchFailure", Node: "n1"},
			"could not be started on n1: its folder, or the file for its output, can't be opened there; is the store on a file system that the nodes see?"},
		{"no node has it", Job{State: "FAILED", ExitCode: 1, Reason: "BadConstraints"},
			"was not started, for no node has what is asked for: look at cpus, gpus, memory and constraint in the launcher block"},
		{"no reason", Job{State: "FAILED"}, "failed"},
		{"cancelled by somebody", Job{State: "CANCELLED", CancelledBy: "1000"}, "was cancelled (scancel) by user 1000"},
		{"cancelled", Job{State: "CANCELLED", Signal: 15}, "was cancelled (scancel)"},
		{"cancelled with its dependency", Job{State: "CANCELLED", Reason: "DependencyNeverSatisfied"},
			"was cancelled while it waited for jobs that it depends on, of which one may have failed"},
		{"out of memory, measured", Job{State: "OUT_OF_MEMORY", MaxMemory: 3<<30 + 1},
			"was killed, for it needed more memory than it was given (Slurm saw 3073 MiB): set more memory in the launcher block"},
		{"time", Job{State: "TIMEOUT"}, "reached its time limit: set a larger time in the launcher block, or leave it out"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := Explain(test.job); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

// The reasons of Slurm's documentation of 24.11 (Job Reason Codes) for which a job can wait.
const documented = `AccountingPolicy AccountNotAllowed AssocGrpBB AssocGrpBBMinutes AssocGrpBBRunMinutes AssocGrpBilling AssocGrpBillingMinutes
AssocGrpBillingRunMinutes AssocGrpCpuLimit AssocGrpCPUMinutesLimit AssocGrpCPURunMinutesLimit AssocGrpEnergy AssocGrpEnergyMinutes
AssocGrpEnergyRunMinutes AssocGrpGRES AssocGrpGRESMinutes AssocGrpGRESRunMinutes AssocGrpJobsLimit AssocGrpLicense AssocGrpLicenseMinutes
AssocGrpLicenseRunMinutes AssocGrpMemLimit AssocGrpMemMinutes AssocGrpMemRunMinutes AssocGrpNodeLimit AssocGrpNodeMinutes
AssocGrpNodeRunMinutes AssocGrpSubmitJobsLimit AssocGrpUnknown AssocGrpUnknownMinutes AssocGrpUnknownRunMinutes AssocGrpWallLimit
AssocMaxBBMinutesPerJob AssocMaxBBPerJob AssocMaxBBPerNode AssocMaxBillingMinutesPerJob AssocMaxBillingPerJob AssocMaxBillingPerNode
AssocMaxCpuMinutesPerJobLimit AssocMaxCpuPerJobLimit AssocMaxCpuPerNode AssocMaxEnergyMinutesPerJob AssocMaxEnergyPerJob
AssocMaxEnergyPerNode AssocMaxGRESMinutesPerJob AssocMaxGRESPerJob AssocMaxGRESPerNode AssocMaxJobsLimit AssocMaxLicenseMinutesPerJob
AssocMaxLicensePerJob AssocMaxMemMinutesPerJob AssocMaxMemPerJob AssocMaxMemPerNode AssocMaxNodeMinutesPerJob AssocMaxNodePerJobLimit
AssocMaxSubmitJobLimit AssocMaxUnknownMinutesPerJob AssocMaxUnknownPerJob AssocMaxUnknownPerNode AssocMaxWallDurationPerJobLimit
AssociationJobLimit AssociationResourceLimit AssociationTimeLimit BadConstraints BeginTime BurstBufferOperation BurstBufferResources
BurstBufferStageIn Cleaning Constraints DeadLine Dependency DependencyNeverSatisfied FedJobLock InvalidAccount InvalidQOS
JobArrayTaskLimit JobHeldAdmin JobHeldUser JobHoldMaxRequeue Licenses MaxBBPerAccount MaxBillingPerAccount MaxCpuPerAccount
MaxEnergyPerAccount MaxGRESPerAccount MaxJobsPerAccount MaxLicensePerAccount MaxMemoryPerAccount MaxMemPerLimit MaxNodePerAccount
MaxSubmitJobsPerAccount MaxUnknownPerAccount NodeDown None PartitionConfig PartitionDown PartitionInactive PartitionNodeLimit
PartitionTimeLimit Priority Prolog QOSGrpBB QOSGrpBBMinutes QOSGrpBBRunMinutes QOSGrpBilling QOSGrpBillingMinutes QOSGrpBillingRunMinutes
QOSGrpCpuLimit QOSGrpCPUMinutesLimit QOSGrpCPURunMinutesLimit QOSGrpEnergy QOSGrpEnergyMinutes QOSGrpEnergyRunMinutes QOSGrpGRES
QOSGrpGRESMinutes QOSGrpGRESRunMinutes QOSGrpJobsLimit QOSGrpLicense QOSGrpLicenseMinutes QOSGrpLicenseRunMinutes QOSGrpMemLimit
QOSGrpMemoryMinutes QOSGrpMemoryRunMinutes QOSGrpNodeLimit QOSGrpNodeMinutes QOSGrpNodeRunMinutes QOSGrpSubmitJobsLimit QOSGrpUnknown
QOSGrpUnknownMinutes QOSGrpUnknownRunMinutes QOSGrpWallLimit QOSJobLimit QOSMaxBBMinutesPerJob QOSMaxBBPerJob QOSMaxBBPerNode
QOSMaxBBPerUser QOSMaxBillingMinutesPerJob QOSMaxBillingPerJob QOSMaxBillingPerNode QOSMaxBillingPerUser QOSMaxCpuMinutesPerJobLimit
QOSMaxCpuPerJobLimit QOSMaxCpuPerNode QOSMaxCpuPerUserLimit QOSMaxEnergyMinutesPerJob QOSMaxEnergyPerJob QOSMaxEnergyPerNode
QOSMaxEnergyPerUser QOSMaxGRESMinutesPerJob QOSMaxGRESPerJob QOSMaxGRESPerNode QOSMaxGRESPerUser QOSMaxJobsPerUserLimit
QOSMaxLicenseMinutesPerJob QOSMaxLicensePerJob QOSMaxLicensePerUser QOSMaxMemoryMinutesPerJob QOSMaxMemoryPerJob QOSMaxMemoryPerNode
QOSMaxMemoryPerUser QOSMaxNodeMinutesPerJob QOSMaxNodePerJobLimit QOSMaxNodePerUserLimit QOSMaxSubmitJobPerUserLimit
QOSMaxUnknownMinutesPerJob QOSMaxUnknownPerJob QOSMaxUnknownPerNode QOSMaxUnknownPerUser QOSMaxWallDurationPerJobLimit QOSMinBB
QOSMinBilling QOSMinCpuNotSatisfied QOSMinEnergy QOSMinGRES QOSMinLicense QOSMinMemory QOSMinNode QOSMinUnknown QOSNotAllowed
QOSResourceLimit QOSTimeLimit QOSUsageThreshold ReqNodeNotAvail Reservation ReservationDeleted Resources SchedDefer SystemFailure`

func TestDocumentedReasonsAreKnown(t *testing.T) {
	for _, name := range strings.Fields(documented) {
		words := Explain(Job{ID: "12", Task: 3, State: "PENDING", Reason: name})
		if strings.Contains(words, "Slurm says") || !strings.HasPrefix(words, "wa") && !strings.HasPrefix(words, "wi") && !strings.HasPrefix(words, "is ") {
			t.Errorf("%s: %q", name, words)
		}
		// What is formatted wrongly, or a word that a table lacks, would show so.
		if strings.ContainsAny(words, "!") || strings.Contains(words, "  ") || strings.HasSuffix(words, " ") {
			t.Errorf("%s: %q", name, words)
		}
	}
}

func TestStates(t *testing.T) {
	for _, name := range strings.Fields(`BOOT_FAIL CANCELLED COMPLETED CONFIGURING COMPLETING DEADLINE FAILED NODE_FAIL OUT_OF_MEMORY PENDING
		PREEMPTED RUNNING RESV_DEL_HOLD REQUEUE_FED REQUEUE_HOLD REQUEUED RESIZING REVOKED SIGNALING SPECIAL_EXIT STAGE_OUT STOPPED SUSPENDED TIMEOUT`) {
		j := Job{ID: "12", State: State(name)}
		n := 0
		for _, is := range []bool{j.Waits(), j.Runs(), j.Ended()} {
			if is {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%s is in %d phases", name, n)
		}
		if words := Explain(j); strings.Contains(words, "Slurm says") || strings.Contains(words, "%") {
			t.Errorf("%s: %q", name, words)
		}
	}
	for _, j := range []Job{{State: "SOMETHING_NEW"}, {State: "COMPLETING"}, {State: "REQUEUED"}} {
		if j.Ended() {
			t.Errorf("%s has ended", j.State)
		}
	}
	for _, test := range []struct {
		job  Job
		want bool
	}{
		{Job{State: "PENDING", Reason: "Resources"}, false},
		{Job{State: "PENDING", Reason: "TheMoonIsFull"}, false},
		{Job{State: "PENDING", Reason: "QOSMaxCpuPerUserLimit"}, false},
		{Job{State: "PENDING", Reason: "QOSMaxCpuPerJobLimit"}, true},
		{Job{State: "PENDING", Reason: "JobHeldUser"}, true},
		{Job{State: "REQUEUE_HOLD"}, true},
		{Job{State: "RUNNING", Reason: "JobHeldUser"}, false},
		{Job{State: "CANCELLED", Reason: "DependencyNeverSatisfied"}, false},
	} {
		if got := test.job.Stuck(); got != test.want {
			t.Errorf("%s %s: stuck is %v", test.job.State, test.job.Reason, got)
		}
	}
}
