package launch

import (
	"bytes"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/ftrun/ftrun/planner"
)

// MaxIndexes is the most indexes that Kubernetes allows a Job which limits the failures of each of them and says nothing
// more about failures (validation of batch/v1).
const MaxIndexes = 100_000

const (
	// attempts is how often an index is started again after it failed or its time was up; it goes on from its last
	// checkpoint. That a node was drained or a pod preempted is no failure.
	attempts = 5
	// saving is how many seconds a pod is given to write a checkpoint when it is to stop.
	saving = 120
	// workerFailed is what `ftrun worker` exits with where a training failed, as it would again.
	workerFailed = 3
	// container and volume are the names of the pods' only ones.
	container, volume = "ftrun", "store"
)

// Volume is what the pods see of this machine's files.
type Volume struct {
	Root    string // where the claim is mounted, here as in the pods; absolute
	Weights string // the folder of downloaded weights, FTRUN_WEIGHTS; absolute; "" where no run starts from such
}

// WriteJobs prints arrays as indexed Jobs of Kubernetes 1.29 or newer, documents of YAML for `kubectl apply`. Those that
// wait for others are suspended; a script in the comments before them resumes each when those have ended, however: features
// that runs don't find they make. An error says which file the pods would not see.
func WriteJobs(w io.Writer, f *Folder, p *planner.Plan, arrays []Array, worker *Worker, v Volume) error {
	if err := v.check(p, arrays, worker); err != nil {
		return err
	}
	var b bytes.Buffer
	introduceJobs(&b, f, arrays, v)
	for i := range arrays {
		resumed := ""
		if arrays[i].waits() {
			resumed = ", to be resumed after " + numbers(arrays[i].Awaited())
		}
		fmt.Fprintf(&b, "---\n# Job %d: %s%s.\n", i+1, arrays[i].Contents(), resumed)
		enc := yaml.NewEncoder(&b)
		enc.SetIndent(2)
		if err := enc.Encode(newJob(f, arrays, i, worker, v)); err != nil {
			return fmt.Errorf("writing a Job: %w", err)
		}
	}
	_, err := w.Write(b.Bytes())
	return err
}

// introduceJobs writes what a person wants to know of the file.
func introduceJobs(b *bytes.Buffer, f *Folder, arrays []Array, v Volume) {
	fmt.Fprintf(b, "# Launch %s of ftrun: %s, for Kubernetes 1.29 or newer.\n", f.ID, counted(len(arrays), "indexed Job", "indexed Jobs"))
	fmt.Fprintf(b, "# The claim's volume is mounted at %s, so that pods see what this machine sees there.\n", v.Root)
	if v.Weights != "" {
		fmt.Fprintf(b, "# Weights are looked for in %s; `FTRUN_WEIGHTS=… ftrun init` fetches them there.\n", v.Weights)
	}
	which := "-l " + instanceLabel + "=" + instance(f)
	if ns := namespaces(arrays); ns != "" {
		which += " " + ns
	}
	b.WriteString("#\n# ftrun apply knows nothing of these Jobs. Results come into the store, for ftrun report and ftrun show.\n")
	fmt.Fprintf(b, "#\n# Start: kubectl apply -f FILE\n# Watch: kubectl get jobs,pods %[1]s\n# End, keeping what is trained: kubectl delete jobs %[1]s\n", which)
	if !slices.ContainsFunc(arrays, func(a Array) bool { return a.waits() }) {
		return
	}
	b.WriteString(`#
# A Job can't wait for another in Kubernetes. Those that have to are suspended; the lines that begin with #$ are a script
# that resumes each when it is time. It may be ended, and started again: sed -n 's/^#\$ //p' FILE | sh
#
#$ conditions() { kubectl get job "$@" -o 'jsonpath={.status.conditions[?(@.status=="True")].type}'; }
#$ ended() { until conditions "$@" | grep -Eqw 'Complete|Failed'; do sleep 30; done; }
#$ resume() { kubectl patch job "$@" --type merge -p '{"spec":{"suspend":false}}'; }
`)
	named := func(i int) string {
		if ns := arrays[i].Launch.Namespace; ns != "" {
			return f.JobName(i) + " -n " + ns
		}
		return f.JobName(i)
	}
	for i := range arrays {
		if !arrays[i].waits() {
			continue
		}
		var steps []string
		for _, at := range arrays[i].Awaited() {
			steps = append(steps, "ended "+named(at))
		}
		fmt.Fprintf(b, "#$ { %s; resume %s; } &\n", strings.Join(steps, "; "), named(i))
	}
	b.WriteString("#$ wait\n")
}

// namespaces is kubectl's option for the namespaces of arrays.
func namespaces(arrays []Array) string {
	first := arrays[0].Launch.Namespace
	if slices.ContainsFunc(arrays, func(a Array) bool { return a.Launch.Namespace != first }) {
		return "--all-namespaces"
	}
	if first == "" {
		return ""
	}
	return "-n " + first
}

// check makes sure that the pods see all that the tasks read and write.
func (v *Volume) check(p *planner.Plan, arrays []Array, worker *Worker) error {
	seen := map[string]bool{}
	look := func(what, path string) error {
		if !filepath.IsAbs(path) {
			path = filepath.Join(worker.Chdir, path)
		}
		if seen[path] {
			return nil
		}
		seen[path] = true
		if !within(v.Root, path) {
			return fmt.Errorf("the pods would not see %s at %s: the claim's volume is mounted at %s, and holds what lies there", what, path, v.Root)
		}
		// A link that leads out of the volume leads nowhere in a pod.
		root, err := filepath.EvalSymlinks(v.Root)
		if err != nil {
			return nil // the volume is not seen from here
		}
		if target, err := filepath.EvalSymlinks(path); err == nil && !within(root, target) {
			return fmt.Errorf("the pods would not see %s at %s: it is a link to %s, outside of the claim's volume, which is mounted at %s", what, path, target, v.Root)
		}
		return nil
	}
	if err := look("the working directory", worker.Chdir); err != nil {
		return err
	}
	if err := look("the store", worker.Store); err != nil {
		return err
	}
	if v.Weights != "" {
		if err := look("the folder of weights", v.Weights); err != nil {
			return err
		}
	}
	for i := range arrays {
		for _, t := range arrays[i].Tasks {
			r := &p.Runs[t.Index]
			if d := &p.Datasets[r.Dataset]; d.Path != "" {
				if err := look("the data set "+d.Name, d.Path); err != nil {
					return err
				}
			}
			if path := p.Settings[r.Settings].Weights.Path; path != "" {
				if err := look("the weights", path); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// within tells whether path is root or lies in it.
func within(root, path string) bool {
	rel, err := filepath.Rel(root, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}

// Labels that all Jobs and pods of a launch have; the keys are those that Kubernetes recommends.
const (
	nameLabel     = "app.kubernetes.io/name"
	instanceLabel = "app.kubernetes.io/instance"
)

func instance(f *Folder) string { return "ftrun-" + f.ID }

// job and what it is made of are the part of Kubernetes' batch/v1 that is written here, by its names.
type job struct {
	APIVersion string   `yaml:"apiVersion"`
	Kind       string   `yaml:"kind"`
	Metadata   metadata `yaml:"metadata"`
	Spec       jobSpec  `yaml:"spec"`
}

type metadata struct {
	Name      string            `yaml:"name,omitempty"`
	Namespace string            `yaml:"namespace,omitempty"`
	Labels    map[string]string `yaml:"labels"`
}

type jobSpec struct {
	Suspend              bool             `yaml:"suspend,omitempty"`
	CompletionMode       string           `yaml:"completionMode"`
	Completions          int              `yaml:"completions"`
	Parallelism          int              `yaml:"parallelism"`
	BackoffLimitPerIndex int              `yaml:"backoffLimitPerIndex"`
	PodFailurePolicy     podFailurePolicy `yaml:"podFailurePolicy"`
	Template             podTemplate      `yaml:"template"`
}

type podFailurePolicy struct {
	Rules []podFailureRule `yaml:"rules"`
}

type podFailureRule struct {
	Action          string         `yaml:"action"`
	OnExitCodes     *exitCodes     `yaml:"onExitCodes,omitempty"`
	OnPodConditions []podCondition `yaml:"onPodConditions,omitempty"`
}

type exitCodes struct {
	ContainerName string `yaml:"containerName"`
	Operator      string `yaml:"operator"`
	Values        []int  `yaml:"values,flow"`
}

type podCondition struct {
	Type   string `yaml:"type"`
	Status string `yaml:"status"`
}

type podTemplate struct {
	Metadata metadata `yaml:"metadata"`
	Spec     podSpec  `yaml:"spec"`
}

type podSpec struct {
	RestartPolicy                 string         `yaml:"restartPolicy"`
	ActiveDeadlineSeconds         int64          `yaml:"activeDeadlineSeconds,omitempty"`
	TerminationGracePeriodSeconds int            `yaml:"terminationGracePeriodSeconds"`
	Containers                    []podContainer `yaml:"containers"`
	Volumes                       []podVolume    `yaml:"volumes"`
}

type podContainer struct {
	Name         string        `yaml:"name"`
	Image        string        `yaml:"image"`
	Command      []string      `yaml:"command"`
	Args         []string      `yaml:"args,omitempty"`
	WorkingDir   string        `yaml:"workingDir"`
	Env          []envVar      `yaml:"env,omitempty"`
	Resources    resources     `yaml:"resources"`
	VolumeMounts []volumeMount `yaml:"volumeMounts"`
}

type envVar struct {
	Name  string `yaml:"name"`
	Value string `yaml:"value"`
}

type resources struct {
	Requests map[string]string `yaml:"requests"`
	Limits   map[string]string `yaml:"limits"`
}

type volumeMount struct {
	Name      string `yaml:"name"`
	MountPath string `yaml:"mountPath"`
}

type podVolume struct {
	Name  string   `yaml:"name"`
	Claim podClaim `yaml:"persistentVolumeClaim"`
}

type podClaim struct {
	ClaimName string `yaml:"claimName"`
}

// newJob is array i as a Job: an index is a task.
func newJob(f *Folder, arrays []Array, i int, worker *Worker, v Volume) *job {
	a := &arrays[i]
	l := &a.Launch
	labels := map[string]string{nameLabel: "ftrun", instanceLabel: instance(f)}
	parallel := len(a.Tasks)
	if l.MaxParallel > 0 {
		parallel = min(parallel, l.MaxParallel)
	}
	// What is asked for is also the most that is given: ftrun takes as many threads as it has processors.
	amounts := map[string]string{"cpu": strconv.Itoa(max(l.CPUs, 1))}
	if l.Memory > 0 {
		amounts["memory"] = quantity(l.Memory)
	}
	if l.GPUs > 0 {
		amounts["nvidia.com/gpu"] = strconv.Itoa(l.GPUs)
	}
	c := podContainer{
		Name: container, Image: l.Image, WorkingDir: worker.Chdir,
		Resources: resources{Requests: amounts, Limits: amounts}, VolumeMounts: []volumeMount{{volume, v.Root}},
	}
	line := worker.Command(f, i, a)
	for at := range line {
		line[at] = literal(line[at])
	}
	if c.Command = line; l.Setup != "" {
		c.Command = []string{"/bin/sh", "-c", literal(strings.TrimRight(l.Setup, "\n") + "\nexec \"$@\"\n"), "setup"}
		c.Args = line
	}
	if v.Weights != "" {
		c.Env = []envVar{{"FTRUN_WEIGHTS", literal(v.Weights)}}
	}
	return &job{
		APIVersion: "batch/v1", Kind: "Job",
		Metadata: metadata{Name: f.JobName(i), Namespace: l.Namespace, Labels: labels},
		Spec: jobSpec{
			Suspend: a.waits(), CompletionMode: "Indexed", Completions: len(a.Tasks), Parallelism: parallel,
			BackoffLimitPerIndex: attempts,
			PodFailurePolicy: podFailurePolicy{[]podFailureRule{
				{Action: "FailIndex", OnExitCodes: &exitCodes{container, "In", []int{workerFailed}}},
				{Action: "Ignore", OnPodConditions: []podCondition{{"DisruptionTarget", "True"}}},
			}},
			Template: podTemplate{
				Metadata: metadata{Labels: labels},
				Spec: podSpec{
					RestartPolicy: "Never", ActiveDeadlineSeconds: l.Seconds, TerminationGracePeriodSeconds: saving,
					Containers: []podContainer{c}, Volumes: []podVolume{{volume, podClaim{l.Claim}}},
				},
			},
		},
	}
}

// quantity writes bytes as Kubernetes does, in the largest unit in which they are whole.
func quantity(bytes int64) string {
	units := []string{"", "Ki", "Mi", "Gi", "Ti"}
	at := 0
	for ; at < len(units)-1 && bytes%1024 == 0; at++ {
		bytes /= 1024
	}
	return strconv.FormatInt(bytes, 10) + units[at]
}

// literal keeps Kubernetes from taking $(NAME) for a variable: in commands and values of variables $$ stands for $.
func literal(s string) string { return strings.NewReplacer("$$", "$$$$", "$(", "$$(").Replace(s) }
