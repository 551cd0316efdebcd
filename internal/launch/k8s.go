package launch

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"maps"
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
	// attempts is how often an index is started again after it failed; it goes on from its last checkpoint. That its time was
	// up after it had trained, a node was drained or a pod preempted is no failure.
	attempts = 5
	// saving is how many seconds a pod is given to write a checkpoint when it is to stop.
	saving = 120
	// workerFailed is what `ftrun worker` exits with where a training failed, as it would again.
	workerFailed = 3
	// workerSaved is what it exits with after SIGTERM, where it has trained and saved the run.
	workerSaved = 143
	// container is the name of the pods' only one.
	container = "ftrun"
)

// Pods says what pods are given beside what a launcher says.
type Pods struct {
	Weights string // the folder of downloaded weights, FTRUN_WEIGHTS; absolute; "" where no run starts from such
	// User and Group are as whom they run: who planned, so that what they write is theirs. 0: as whom the image says.
	User, Group int
}

// WriteJobs prints arrays as indexed Jobs of Kubernetes 1.29 or newer, documents of YAML for `kubectl create`. Those that
// wait for others are suspended; a script in the comments before them resumes each when those have ended, however: features
// that runs don't find they make. An error says which file the pods would not see.
func WriteJobs(w io.Writer, f *Folder, p *planner.Plan, arrays []Array, worker *Worker, pods Pods) error {
	if err := pods.check(p, arrays, worker); err != nil {
		return err
	}
	var b bytes.Buffer
	introduceJobs(&b, f, arrays, worker, pods)
	for i := range arrays {
		resumed := ""
		if arrays[i].waits() {
			resumed = ", to be resumed after " + numbers(arrays[i].Awaited())
		}
		fmt.Fprintf(&b, "---\n# Job %d: %s%s.\n", i+1, arrays[i].Contents(), resumed)
		enc := yaml.NewEncoder(&b)
		enc.SetIndent(2)
		if err := enc.Encode(newJob(f, arrays, i, worker, pods)); err != nil {
			return fmt.Errorf("writing a Job: %w", err)
		}
	}
	_, err := w.Write(b.Bytes())
	return err
}

// introduceJobs writes what a person wants to know of the file.
func introduceJobs(b *bytes.Buffer, f *Folder, arrays []Array, worker *Worker, pods Pods) {
	fmt.Fprintf(b, "# Launch %s of ftrun: %s, for Kubernetes 1.29 or newer.\n", f.ID, counted(len(arrays), "indexed Job", "indexed Jobs"))
	b.WriteString("# Claims are mounted so that pods see at the same paths what this machine sees:\n")
	told := map[mount]bool{}
	for i := range arrays {
		for _, m := range mounts(&arrays[i].Launch, worker) {
			if !told[m] {
				told[m] = true
				fmt.Fprintf(b, "#   %s at %s%s\n", m.claim, m.path, map[bool]string{true: ", only to be read"}[m.readOnly])
			}
		}
	}
	if pods.Weights != "" {
		fmt.Fprintf(b, "# Weights are looked for in %s; `FTRUN_WEIGHTS=… ftrun init` fetches them there.\n", pods.Weights)
	}
	if pods.User > 0 {
		fmt.Fprintf(b, "# Pods run as user %d of group %d, who planned, so that what they write is theirs.\n", pods.User, pods.Group)
	}
	which := "-l " + instanceLabel + "=" + instance(f)
	if ns := namespaces(arrays); ns != "" {
		which += " " + ns
	}
	b.WriteString("#\n# ftrun apply knows nothing of these Jobs. Results come into the store, for ftrun report and ftrun show.\n")
	// To apply the file again would suspend Jobs that were resumed.
	fmt.Fprintf(b, "#\n# Start: kubectl create -f FILE\n# Watch: kubectl get jobs,pods %[1]s\n# End, keeping what is trained: kubectl delete jobs %[1]s\n", which)
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

// mount is a claim, and where it is mounted, here as in the pods.
type mount struct {
	claim, path string
	readOnly    bool
}

// mounts lists the claims of a launcher; the first is that of the store.
func mounts(l *planner.Launch, worker *Worker) []mount {
	all := []mount{{claim: l.Claim, path: cmp.Or(l.Mount, worker.Chdir)}}
	for _, claim := range slices.Sorted(maps.Keys(l.Volumes)) {
		all = append(all, mount{claim, l.Volumes[claim], true})
	}
	return all
}

// check makes sure that the pods see all that the tasks read and write.
func (pods *Pods) check(p *planner.Plan, arrays []Array, worker *Worker) error {
	type look struct{ mounts, path string }
	looked := map[look]bool{}
	for i := range arrays {
		l := &arrays[i].Launch
		all := mounts(l, worker)
		for j, m := range all {
			if k := slices.IndexFunc(all[:j], func(o mount) bool { return o.path == m.path }); k >= 0 {
				return fmt.Errorf("%s: the claims %s and %s can't both be mounted at %s", l, all[k].claim, m.claim, m.path)
			}
		}
		sees := func(among []mount, what, path, mend string) error {
			if !filepath.IsAbs(path) {
				path = filepath.Join(worker.Chdir, path)
			}
			if at := (look{fmt.Sprint(among), path}); !looked[at] {
				looked[at] = true
				if why := unseen(among, path); why != "" {
					return fmt.Errorf("pods of %s would not see %s: %s; %s", l, what, why, mend)
				}
			}
			return nil
		}
		const own = "put it there, or say in mount where the claim is mounted"
		if err := sees(all[:1], "the working directory", worker.Chdir, own); err != nil {
			return err
		}
		if err := sees(all[:1], "the store", worker.Store, own); err != nil {
			return err
		}
		if pods.Weights != "" {
			if err := sees(all, "the folder of weights", pods.Weights, "name a folder there in FTRUN_WEIGHTS"); err != nil {
				return err
			}
		}
		const read = "put it there, or name in volumes the claim that holds it"
		for _, t := range arrays[i].Tasks {
			r := &p.Runs[t.Index]
			if d := &p.Datasets[r.Dataset]; d.Path != "" {
				if err := sees(all, "the data set "+d.Name, d.Path, read); err != nil {
					return err
				}
			}
			if path := p.Settings[r.Settings].Weights.Path; path != "" {
				if err := sees(all, "the file of weights", path, read); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// unseen says why pods would not see what lies at path, an absolute one, through the mounts; "" where they would.
func unseen(mounts []mount, path string) string {
	places := make([]string, len(mounts))
	for i, m := range mounts {
		places[i] = m.path + " (claim " + m.claim + ")"
	}
	there := strings.Join(places, " and ")
	if !slices.ContainsFunc(mounts, func(m mount) bool { return within(m.path, path) }) {
		return fmt.Sprintf("it is %s, and they see what lies in %s", path, there)
	}
	// A link that leads out of the volumes leads nowhere in a pod.
	target, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "" // it is not there yet
	}
	for _, m := range mounts {
		root, err := filepath.EvalSymlinks(m.path)
		if err != nil {
			root = m.path
		}
		if within(root, target) {
			return ""
		}
	}
	return fmt.Sprintf("%s is a link to %s, and they see what lies in %s", path, target, there)
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
	AutomountServiceAccountToken  bool           `yaml:"automountServiceAccountToken"`
	SecurityContext               *podSecurity   `yaml:"securityContext,omitempty"`
	Containers                    []podContainer `yaml:"containers"`
	Volumes                       []podVolume    `yaml:"volumes"`
}

type podSecurity struct {
	RunAsNonRoot   bool           `yaml:"runAsNonRoot"`
	RunAsUser      int            `yaml:"runAsUser"`
	RunAsGroup     int            `yaml:"runAsGroup"`
	SeccompProfile seccompProfile `yaml:"seccompProfile"`
}

type seccompProfile struct {
	Type string `yaml:"type"`
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

	SecurityContext *containerSecurity `yaml:"securityContext,omitempty"`
}

type containerSecurity struct {
	AllowPrivilegeEscalation bool         `yaml:"allowPrivilegeEscalation"`
	Capabilities             capabilities `yaml:"capabilities"`
}

type capabilities struct {
	Drop []string `yaml:"drop,flow"`
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
	ReadOnly  bool   `yaml:"readOnly,omitempty"`
}

type podVolume struct {
	Name  string   `yaml:"name"`
	Claim podClaim `yaml:"persistentVolumeClaim"`
}

type podClaim struct {
	ClaimName string `yaml:"claimName"`
	ReadOnly  bool   `yaml:"readOnly,omitempty"`
}

// newJob is array i as a Job: an index is a task.
func newJob(f *Folder, arrays []Array, i int, worker *Worker, pods Pods) *job {
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
		Resources: resources{Requests: amounts, Limits: amounts},
	}
	pod := podSpec{
		RestartPolicy: "Never", ActiveDeadlineSeconds: l.Seconds, TerminationGracePeriodSeconds: saving,
	}
	for _, m := range mounts(l, worker) {
		c.VolumeMounts = append(c.VolumeMounts, volumeMount{m.claim, m.path, m.readOnly})
		pod.Volumes = append(pod.Volumes, podVolume{m.claim, podClaim{m.claim, m.readOnly}})
	}
	if pods.User > 0 {
		// With that a pod keeps the Pod Security Standard "restricted", which clusters may ask for. One that is root needs
		// its capabilities, to write where another user may.
		pod.SecurityContext = &podSecurity{RunAsNonRoot: true, RunAsUser: pods.User, RunAsGroup: pods.Group, SeccompProfile: seccompProfile{"RuntimeDefault"}}
		c.SecurityContext = &containerSecurity{Capabilities: capabilities{[]string{"ALL"}}}
	}
	line := worker.Command(f, i, a)
	for at := range line {
		line[at] = literal(line[at])
	}
	if c.Command = line; l.Setup != "" {
		c.Command = []string{"/bin/sh", "-c", literal(strings.TrimRight(l.Setup, "\n") + "\nexec \"$@\"\n"), "setup"}
		c.Args = line
	}
	if pods.Weights != "" {
		c.Env = []envVar{{"FTRUN_WEIGHTS", literal(pods.Weights)}}
	}
	pod.Containers = []podContainer{c}
	return &job{
		APIVersion: "batch/v1", Kind: "Job",
		Metadata: metadata{Name: f.JobName(i), Namespace: l.Namespace, Labels: labels},
		Spec: jobSpec{
			Suspend: a.waits(), CompletionMode: "Indexed", Completions: len(a.Tasks), Parallelism: parallel,
			BackoffLimitPerIndex: attempts,
			PodFailurePolicy: podFailurePolicy{[]podFailureRule{
				{Action: "FailIndex", OnExitCodes: &exitCodes{container, "In", []int{workerFailed}}},
				{Action: "Ignore", OnExitCodes: &exitCodes{container, "In", []int{workerSaved}}},
				{Action: "Ignore", OnPodConditions: []podCondition{{"DisruptionTarget", "True"}}},
			}},
			Template: podTemplate{Metadata: metadata{Labels: labels}, Spec: pod},
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
