package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/ftrun/ftrun/internal/launch"
	"github.com/ftrun/ftrun/internal/runlog"
	"github.com/ftrun/ftrun/internal/slurm"
	"github.com/ftrun/ftrun/planner"
	"github.com/ftrun/ftrun/reports"
)

// Formats of plan: for people, and scripts that start what is planned.
const (
	formatText   = "text"
	formatSbatch = "sbatch"
	formatK8s    = "k8s"
)

func planFormats() []string { return []string{formatText, formatSbatch, formatK8s} }

// arraysShown is the number of lines about job arrays.
const arraysShown = 50

// patienceOfPlan is how long plan waits for a cluster to say how long a job array may be.
const patienceOfPlan = 5 * time.Second

// slurmTasks is Slurm's MaxArraySize where nothing else is said (slurm.conf), which bounds the tasks of an array.
const slurmTasks = 1001

// maxTasks is the most tasks that an array may have. Without Slurm's commands it is what Slurm has as a default, and known
// is false.
func maxTasks(ctx context.Context, kind string) (tasks int, known bool) {
	if kind == planner.K8s {
		return launch.MaxIndexes, true
	}
	client, err := slurm.Find()
	if err != nil {
		return slurmTasks, false
	}
	ctx, cancel := context.WithTimeout(ctx, patienceOfPlan)
	defer cancel()
	client.Patience = 0 // apply waits for a cluster that is down; who asks for a plan does not
	if limits, err := client.Limits(ctx); err == nil && limits.Tasks() > 0 {
		return limits.Tasks(), true
	}
	return slurmTasks, false
}

// showLaunch shows the job arrays that a plan would be on a cluster: what they are of, what they wait for, what each of
// their tasks asks for, and what all that comes to. Without share no features are made beforehand. Of what is trained on this
// machine it says nothing.
func (a *app) showLaunch(ctx context.Context, p *planner.Plan, share bool) error {
	by, err := p.Launcher()
	if err != nil || by.Kind == planner.Local {
		return err
	}
	kind := by.Kind
	most, known := maxTasks(ctx, kind)
	arrays := launch.Arrange(p, most, share)
	if len(arrays) == 0 {
		return nil
	}
	w := a.out
	noun := [2]string{"job array of Slurm", "job arrays of Slurm"}
	if kind == planner.K8s {
		noun = [2]string{"indexed Job of Kubernetes", "indexed Jobs of Kubernetes"}
	}
	tasks := 0
	for i := range arrays {
		tasks += len(arrays[i].Tasks)
	}
	fmt.Fprintf(w, "\n%s: %s, %s in all:\n", a.paint(w, bold, launcherNames(arrays)), reports.Plural(len(arrays), noun[0], noun[1]), reports.Plural(tasks, "task", "tasks"))

	waits, bounded, estimated, unsaid, gpus := false, false, false, false, false
	for i := range arrays {
		l := &arrays[i].Launch
		waits = waits || len(arrays[i].Awaited()) > 0
		bounded = bounded || l.MaxParallel > 0
		estimated = estimated || l.EstimatedMemory && l.Memory > 0 || l.EstimatedTime && l.Seconds > 0
		unsaid = unsaid || l.Memory == 0 || l.Seconds == 0
		gpus = gpus || l.GPUs > 0
	}
	header := []string{"array", "trains"}
	if waits {
		header = append(header, "starts after")
	}
	right := len(header)
	header = append(header, "tasks", "cpus")
	if gpus {
		header = append(header, "gpus")
	}
	header = append(header, "memory", "time limit")
	var rows [][]string
	more := 0
	if len(arrays) > longest {
		more = len(arrays) - arraysShown
	}
	for i := range arrays[:len(arrays)-more] {
		array := &arrays[i]
		l := &array.Launch
		row := []string{strconv.Itoa(i + 1), arrayContents(p, array)}
		if waits {
			row = append(row, startsAfter(array))
		}
		row = append(row, reports.Count(int64(len(array.Tasks))), strconv.Itoa(max(l.CPUs, 1)))
		if gpus {
			row = append(row, strconv.Itoa(l.GPUs))
		}
		memory, limit := "–", "–"
		if l.Memory > 0 {
			memory = estimateMark(l.EstimatedMemory) + memoryText(l.Memory)
		}
		if l.Seconds > 0 {
			limit = estimateMark(l.EstimatedTime) + reports.Duration(float64(l.Seconds))
		}
		rows = append(rows, append(row, memory, limit))
	}
	if err := reports.WriteText(w, header, right, rows); err != nil {
		return err
	}
	if more > 0 {
		fmt.Fprintf(w, "… and %s.\n", reports.Plural(more, "more array", "more arrays"))
	}
	if waits {
		if kind == planner.K8s {
			fmt.Fprintln(w, "starts after: when these have ended, in any way; until then it is suspended.")
		} else {
			fmt.Fprintln(w, `starts after: "1 ok" when all of array 1 succeeded, "1" when it has ended.`)
		}
		if bounded {
			fmt.Fprintln(w, "Arrays of a launcher with max_parallel follow one another, to keep it.")
		}
	}
	if estimated {
		fmt.Fprintln(w, "~: from its runs' estimates, with a margin.")
	}
	if unsaid {
		fmt.Fprintln(w, "–: what the cluster gives where nothing is asked for.")
	}
	a.showOptions(arrays)
	if !known && cutAt(arrays, most) {
		fmt.Fprintf(w, "%s.\n", unknownLength(most))
	}
	a.showNodeHours(p, arrays)
	return nil
}

// cutAt tells whether an array is as long as may be.
func cutAt(arrays []launch.Array, most int) bool {
	return slices.ContainsFunc(arrays, func(array launch.Array) bool { return len(array.Tasks) == most })
}

// unknownLength says at what length arrays are cut where the cluster can't be asked.
func unknownLength(most int) string {
	return fmt.Sprintf("Arrays are cut at %s tasks, which is Slurm's default: the cluster can't be asked from here", reports.Count(int64(most)))
}

func estimateMark(estimated bool) string {
	if estimated {
		return "~"
	}
	return ""
}

// launcherNames names the launchers of the arrays: "Launcher cluster".
func launcherNames(arrays []launch.Array) string {
	var names []string
	for i := range arrays {
		if name := arrays[i].Launch.Name; !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if len(names) == 1 {
		return "Launcher " + names[0]
	}
	return "Launchers " + strings.Join(names, ", ")
}

// widestContents is the number of characters at which names of sweeps are cut, so that the table fits 80 columns.
const widestContents = 20

// arrayContents names the sweeps that the runs of an array belong to.
func arrayContents(p *planner.Plan, array *launch.Array) string {
	if array.Features {
		return "(shared features)"
	}
	var sweeps []string
	for _, t := range array.Tasks {
		if sweep := p.Configs[p.Runs[t.Index].Config].Sweep; !slices.Contains(sweeps, sweep) {
			sweeps = append(sweeps, sweep)
		}
	}
	return reports.Shorten(strings.Join(sweeps, ", "), widestContents)
}

// startsAfter writes what an array waits for: "1 ok, 2-4".
func startsAfter(array *launch.Array) string {
	if awaited := array.Awaited(); array.Launch.Kind == planner.K8s && len(awaited) > 0 {
		return arrayNumbers(awaited)
	}
	var parts []string
	if len(array.AfterOK) > 0 {
		parts = append(parts, arrayNumbers(array.AfterOK)+" ok")
	}
	if len(array.After) > 0 {
		parts = append(parts, arrayNumbers(array.After))
	}
	if len(parts) == 0 {
		return "–"
	}
	return strings.Join(parts, ", ")
}

// arrayNumbers writes indices as people count: "1-3".
func arrayNumbers(indices []int) string {
	numbers := make([]int64, len(indices))
	for i, at := range indices {
		numbers[i] = int64(at + 1)
	}
	return reports.Ranges(numbers)
}

// showOptions prints what else arrays ask for, a line for all that ask for the same.
func (a *app) showOptions(arrays []launch.Array) {
	var order []string
	asking := map[string][]int{}
	for i := range arrays {
		said := strings.Join(launchOptions(&arrays[i].Launch), "\n")
		if said == "" {
			continue
		}
		if asking[said] == nil {
			order = append(order, said)
		}
		asking[said] = append(asking[said], i)
	}
	for _, said := range order {
		who := "Each array"
		if len(asking[said]) < len(arrays) {
			who = "Array " + arrayNumbers(asking[said])
			if len(asking[said]) > 1 {
				who = "Arrays " + arrayNumbers(asking[said])
			}
		}
		line := who + ": "
		for i, part := range strings.Split(said, "\n") {
			if i > 0 {
				line += ", "
			}
			if utf8.RuneCountInString(line+part) > columns-len(", ") && i > 0 {
				fmt.Fprintln(a.out, strings.TrimRight(line, " "))
				line = "  "
			}
			line += part
		}
		fmt.Fprintln(a.out, line+".")
	}
}

// columns is the width of a terminal that lines are kept to where they can be.
const columns = 80

// launchOptions lists what a launch asks for beside an amount of the machine.
func launchOptions(l *planner.Launch) (parts []string) {
	add := func(name, value string) {
		if value != "" {
			parts = append(parts, name+" "+reports.Printable(value))
		}
	}
	if l.MaxParallel > 0 {
		parts = append(parts, "at most "+reports.Plural(l.MaxParallel, "task", "tasks")+" at a time")
	}
	add("partition", l.Partition)
	add("account", l.Account)
	add("qos", l.QOS)
	add("constraint", l.Constraint)
	add("options", strings.Join(l.Extra, " "))
	add("image", l.Image)
	if add("claim", l.Claim); l.Mount != "" {
		parts[len(parts)-1] += " at " + reports.Printable(l.Mount)
	}
	for _, claim := range slices.Sorted(maps.Keys(l.Volumes)) {
		add("claim", claim+" at "+l.Volumes[claim])
	}
	add("namespace", l.Namespace)
	return parts
}

// showNodeHours says what the arrays come to, at most and as expected. A task is counted as a node for as long as it
// runs: how many of them a cluster puts on one node is not known here.
func (a *app) showNodeHours(p *planner.Plan, arrays []launch.Array) {
	w := a.out
	var nodes, cpus, gpus float64 // hours
	unlimited := 0
	for i := range arrays {
		l, n := &arrays[i].Launch, len(arrays[i].Tasks)
		if l.Seconds == 0 {
			unlimited += n
		}
		hours := float64(n) * float64(l.Seconds) / 3600
		nodes += hours
		cpus += hours * float64(max(l.CPUs, 1))
		gpus += hours * float64(l.GPUs)
	}
	fmt.Fprintln(w, "Node-hours, where each task counts as one node for as long as it runs:")
	switch {
	case unlimited > 0:
		fmt.Fprintf(w, "  at most: not known, for %s no time limit\n", reports.Plural(unlimited, "task has", "tasks have"))
	case gpus > 0:
		fmt.Fprintf(w, "  at most %s, by the time limits (CPU-hours %s, GPU-hours %s)\n", hoursText(nodes), hoursText(cpus), hoursText(gpus))
	default:
		fmt.Fprintf(w, "  at most %s, by the time limits (CPU-hours %s)\n", hoursText(nodes), hoursText(cpus))
	}
	s := p.Summarize()
	estimated, other := "CPU", func(a launch.Array) bool { return a.Launch.GPUs > 0 }
	if s.DeviceMemory > 0 {
		estimated, other = "GPU", func(a launch.Array) bool { return a.Launch.GPUs == 0 }
	}
	switch {
	case s.Seconds == 0:
	case slices.ContainsFunc(arrays, other):
		fmt.Fprintf(w, "  expected: not known, for the estimates are of this machine's %s\n", estimated)
	default:
		fmt.Fprintf(w, "  expected: %s, if nodes are as fast as this machine\n", hoursText(s.Seconds/3600))
	}
}

// hoursText writes hours with two digits that count.
func hoursText(hours float64) string {
	switch {
	case hours >= 10:
		return reports.Count(int64(hours + 0.5))
	case hours >= 0.995:
		return strconv.FormatFloat(hours, 'f', 1, 64)
	case hours < 0.005:
		return "less than 0.01"
	}
	return strconv.FormatFloat(hours, 'f', 2, 64)
}

// printLaunch prints what starts a plan's runs on a cluster, and leaves in the store the plans that it refers to.
func (a *app) printLaunch(ctx context.Context, p *planner.Plan, store *runlog.Store, format string) error {
	if !changes(p) {
		fmt.Fprintln(a.out, "# There is nothing to train.")
		return nil
	}
	by, err := p.Launcher()
	if err != nil {
		return err
	}
	kind := by.Kind
	if wanted := map[string]string{formatSbatch: planner.Slurm, formatK8s: planner.K8s}[format]; kind != wanted {
		return fmt.Errorf("-format %s prints the jobs of a launcher %q, and these runs are for %s: choose another with -launcher", format, wanted, by)
	}
	dir, err := os.Getwd()
	if err != nil {
		return err
	}
	if store, err = absoluteStore(store); err != nil { // jobs start elsewhere
		return err
	}
	most, known := maxTasks(ctx, kind)
	arrays := launch.Arrange(p, most, true)
	worker := &launch.Worker{Chdir: dir, Store: store.Dir}
	weights := "" // where pods look for them
	var write func(w io.Writer, f *launch.Folder) error
	switch format {
	case formatSbatch:
		if worker.Program, err = os.Executable(); err != nil {
			return err
		}
		write = func(w io.Writer, f *launch.Folder) error { return launch.WriteSbatch(w, f, arrays, worker) }
	case formatK8s:
		worker.Program = "ftrun" // of the image
		weights = a.podWeights(p, store)
		pods := launch.Pods{Weights: weights, User: os.Getuid(), Group: os.Getgid()}
		write = func(w io.Writer, f *launch.Folder) error { return launch.WriteJobs(w, f, p, arrays, worker, pods) }
	}
	// What is refused leaves nothing in the store.
	if err := write(io.Discard, launch.Unwritten(store, arrays)); err != nil {
		return err
	}
	f, err := launch.Prepare(store, p, arrays)
	if err != nil {
		return a.unwritable(fmt.Errorf("leaving the plans of the jobs: %w", err))
	}
	if !known && cutAt(arrays, most) {
		fmt.Fprintf(a.err, "%s.\n", unknownLength(most))
	}
	a.explainWeights(p, weights)
	return write(a.out, f)
}

// podWeights is the folder in which pods look for downloaded weights: $FTRUN_WEIGHTS, or one in the store, which they see;
// "" where no run starts from such.
func (a *app) podWeights(p *planner.Plan, store *runlog.Store) string {
	if !startsFromCatalogue(p) {
		return ""
	}
	if given, _ := a.env("FTRUN_WEIGHTS"); given != "" {
		if dir, err := filepath.Abs(given); err == nil {
			return dir
		}
	}
	return filepath.Join(store.Dir, "weights")
}

// explainWeights says how downloaded weights come to where jobs look for them: nodes often have no network. dir is where
// that is not where this user's programs look.
func (a *app) explainWeights(p *planner.Plan, dir string) {
	if !startsFromCatalogue(p) {
		return
	}
	fetch := commandLine("ftrun", "init", p.Target)
	if dir != "" {
		fetch = "FTRUN_WEIGHTS=" + commandLine(dir) + " " + fetch
	}
	fmt.Fprintf(a.err, "Before jobs start, `%s` fetches what weights they start from.\n", fetch)
}

// startsFromCatalogue tells whether a run that is to be trained starts from downloaded weights.
func startsFromCatalogue(p *planner.Plan) bool {
	return slices.ContainsFunc(p.Runs, func(r planner.Run) bool {
		return r.Action != planner.Done && p.Settings[r.Settings].Weights.Kind == "catalogue"
	})
}

// checkPlanFormat refuses a format that there is none of, and flags that would have no effect beside it.
func checkPlanFormat(format string, asJSON bool, budget time.Duration) error {
	switch {
	case !slices.Contains(planFormats(), format):
		return fmt.Errorf("there is no format %q of a plan: -format %s", format, list(planFormats()))
	case format != formatText && asJSON:
		return errors.New("-json prints the plan, and -format " + format + " the jobs: give one of the two")
	case format != formatText && budget != 0:
		return errors.New("-budget has no effect with -format " + format)
	}
	return nil
}
