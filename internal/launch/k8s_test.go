package launch

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"github.com/ftrun/ftrun/planner"
)

// jobSchema is Kubernetes' own of a Job (testdata/k8s), closed: what it doesn't name is refused.
func jobSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", "k8s", "job.json"))
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	closeObjects(doc)
	c := jsonschema.NewCompiler()
	if err := c.AddResource("job.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("job.json#/components/schemas/io.k8s.api.batch.v1.Job")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// closeObjects lets objects of a schema have the members alone that it names.
func closeObjects(v any) {
	switch v := v.(type) {
	case map[string]any:
		if _, names := v["properties"].(map[string]any); names && v["additionalProperties"] == nil {
			v["additionalProperties"] = false
		}
		for _, member := range v {
			closeObjects(member)
		}
	case []any:
		for _, item := range v {
			closeObjects(item)
		}
	}
}

// documents reads YAML as a schema wants it.
func documents(t *testing.T, text []byte) (docs []any) {
	t.Helper()
	for dec := yaml.NewDecoder(bytes.NewReader(text)); ; {
		var v any
		err := dec.Decode(&v)
		if errors.Is(err, io.EOF) {
			return docs
		}
		if err != nil {
			t.Fatalf("no YAML: %v\n%s", err, text)
		}
		raw, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
		if err != nil {
			t.Fatal(err)
		}
		docs = append(docs, doc)
	}
}

// pods is a launcher with everything that it may say.
var pods = planner.Launch{
	Kind: planner.K8s, Name: "pods", CPUs: 8, GPUs: 1, Memory: 16 << 30, Seconds: 7200, MaxParallel: 2,
	Setup: "echo $(nproc) $$\nulimit -c 0\n", Image: "registry.example/ftrun:0.1", Claim: "store", Namespace: "training",
	Mount: "/mnt", Volumes: map[string]string{"datasets": "/data"},
}

// printed is a launch of three Jobs that wait for each other: features, the runs that share them, and one that starts
// from their weights.
func printed(t *testing.T, l planner.Launch) (text []byte, arrays []Array) {
	t.Helper()
	p := testPlan([]planner.Launch{l}, planner.Run{ID: id("a"), Sharing: 1}, planner.Run{ID: id("b"), Sharing: 1}, planner.Run{ID: id("c"), Sharing: 1},
		planner.Run{ID: id("d"), Needs: ids("a", "b")})
	arrays = Arrange(p, MaxIndexes, true)
	f := &Folder{ID: ID(arrays), Dir: "/mnt/lab/.ftrun/launches/" + ID(arrays)}
	var b bytes.Buffer
	worker := &Worker{Program: "ftrun", Chdir: "/mnt/lab", Store: "/mnt/lab/.ftrun"}
	if err := WriteJobs(&b, f, p, arrays, worker, Pods{Weights: "/mnt/lab/weights", User: 1000, Group: 100}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), arrays
}

func TestJobsKeepTheSchema(t *testing.T) {
	schema := jobSchema(t)
	bare := planner.Launch{Kind: planner.K8s, Name: "bare", Image: "ftrun", Claim: "store"}
	for _, l := range []planner.Launch{pods, bare} {
		text, arrays := printed(t, l)
		docs := documents(t, text)
		if len(docs) != len(arrays) {
			t.Fatalf("%s: %d documents for %d arrays", l.Name, len(docs), len(arrays))
		}
		for i, doc := range docs {
			if err := schema.Validate(doc); err != nil {
				t.Errorf("%s: Job %d: %v", l.Name, i+1, err)
			}
		}
	}
}

// TestSchemaFindsFaults: the schema, closed, would find what a Job could have wrong.
func TestSchemaFindsFaults(t *testing.T) {
	schema := jobSchema(t)
	text, _ := printed(t, pods)
	for name, change := range map[string][2]string{
		"a field of the Job in another case":  {"completionMode: Indexed", "completionmode: Indexed"},
		"a field that a container has not":    {"workingDir:", "workDir:"},
		"a field in the wrong place":          {"restartPolicy: Never", "restartPolicy: Never\n      backoffLimit: 3"},
		"a text for a number":                 {"parallelism: ", "parallelism: n"},
		"a number for a text":                 {"image: registry.example/ftrun:0.1", "image: 7"},
		"a truth for a quantity":              {"nvidia.com/gpu: \"1\"", "nvidia.com/gpu: true"},
		"a claim without a name":              {"claimName: store", "readOnly: false"},
		"a capability that is not in a list":  {"drop: [ALL]", "drop: ALL"},
		"a user that is a name":               {"runAsUser: 1000", "runAsUser: me"},
		"a rule without an action":            {"- action: Ignore\n        onPod", "- onPod"},
		"a list for an object":                {"persistentVolumeClaim:\n            claimName", "persistentVolumeClaim:\n          - claimName"},
		"a Job without a template":            {"  template:\n", "  podTemplate:\n"},
		"an exit code that is a text":         {"values: [3]", "values: [\"three\"]"},
		"a variable without a name":           {"- name: FTRUN_WEIGHTS\n", "- key: FTRUN_WEIGHTS\n"},
		"a deadline that is not whole":        {"activeDeadlineSeconds: 7200", "activeDeadlineSeconds: 7200.5"},
		"a label that is no text":             {"app.kubernetes.io/name: ftrun", "app.kubernetes.io/name: [ftrun]"},
		"a condition that is given by a name": {"- type: DisruptionTarget", "- condition: DisruptionTarget"},
	} {
		changed := bytes.Replace(text, []byte(change[0]), []byte(change[1]), 1)
		if bytes.Equal(changed, text) {
			t.Errorf("%s: there is no %q in what is printed", name, change[0])
			continue
		}
		found := false
		for _, doc := range documents(t, changed) {
			found = found || schema.Validate(doc) != nil
		}
		if !found {
			t.Errorf("%s is not found", name)
		}
	}
}

// TestJobSaysWhatIsAskedFor reads a Job as Kubernetes would.
func TestJobSaysWhatIsAskedFor(t *testing.T) {
	text, arrays := printed(t, pods)
	var jobs []job
	for dec := yaml.NewDecoder(bytes.NewReader(text)); ; {
		var j job
		if err := dec.Decode(&j); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		jobs = append(jobs, j)
	}
	for i, want := range []struct {
		suspended             bool
		completions, parallel int
		features              bool
	}{{false, 1, 1, true}, {true, 3, 2, false}, {true, 1, 1, false}} {
		j := &jobs[i]
		spec, pod := &j.Spec, &j.Spec.Template.Spec
		c := &pod.Containers[0]
		if j.Metadata.Name != fmt.Sprintf("ftrun-%s-%d", ID(arrays), i+1) || j.Metadata.Namespace != "training" {
			t.Errorf("Job %d is %s in %s", i+1, j.Metadata.Name, j.Metadata.Namespace)
		}
		if spec.Suspend != want.suspended || spec.Completions != want.completions || spec.Parallelism != want.parallel || spec.CompletionMode != "Indexed" {
			t.Errorf("Job %d: suspended %v, %d completions, %d at a time, %s", i+1, spec.Suspend, spec.Completions, spec.Parallelism, spec.CompletionMode)
		}
		// A policy of failures, and a limit for each index, want pods that are not started again in place.
		if pod.RestartPolicy != "Never" || pod.ActiveDeadlineSeconds != 7200 {
			t.Errorf("Job %d: restart policy %s, %d s", i+1, pod.RestartPolicy, pod.ActiveDeadlineSeconds)
		}
		// The claim of the store is written to, data sets are read.
		volumes := []podVolume{{"store", podClaim{"store", false}}, {"datasets", podClaim{"datasets", true}}}
		mounts := []volumeMount{{"store", "/mnt", false}, {"datasets", "/data", true}}
		if !slices.Equal(pod.Volumes, volumes) || !slices.Equal(c.VolumeMounts, mounts) {
			t.Errorf("Job %d: volumes %v at %v", i+1, pod.Volumes, c.VolumeMounts)
		}
		if s := pod.SecurityContext; s == nil || s.RunAsUser != 1000 || s.RunAsGroup != 100 || !s.RunAsNonRoot || c.SecurityContext == nil {
			t.Errorf("Job %d: runs as %+v, %+v", i+1, s, c.SecurityContext)
		}
		if got := c.Resources.Limits; got["cpu"] != "8" || got["memory"] != "16Gi" || got["nvidia.com/gpu"] != "1" {
			t.Errorf("Job %d has %v", i+1, got)
		}
		line := strings.Join(c.Args, " ")
		if want := fmt.Sprintf("ftrun worker%s -device cuda:0 -store /mnt/lab/.ftrun /mnt/lab/.ftrun/launches/%s/%d.plan.json", map[bool]string{true: " -features"}[want.features], ID(arrays), i+1); line != want {
			t.Errorf("Job %d calls %s, want %s", i+1, line, want)
		}
		if want := "echo $(nproc) $$\nulimit -c 0\nexec \"$@\"\n"; expanded(c.Command[2]) != want {
			t.Errorf("Job %d prepares with %q, want %q", i+1, expanded(c.Command[2]), want)
		}
		if c.Env[0] != (envVar{"FTRUN_WEIGHTS", "/mnt/lab/weights"}) {
			t.Errorf("Job %d has the environment %v", i+1, c.Env)
		}
	}
}

// expanded is what a container gets for a text in which no variable is known, by the rule that the documentation of
// Container.command gives: $$ is $, and $(NAME) stays.
func expanded(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		b.WriteByte(s[i])
		if s[i] == '$' && i+1 < len(s) && s[i+1] == '$' {
			i++
		}
	}
	return b.String()
}

func TestLiteral(t *testing.T) {
	for _, s := range []string{"", "plain", "$HOME", "$(nproc)", "$$", "$$(x)", "$$$(x) $$$$", "$", "a$"} {
		if got := expanded(literal(s)); got != s {
			t.Errorf("%q arrives as %q", s, got)
		}
		if strings.Contains(strings.ReplaceAll(literal(s), "$$", ""), "$(") {
			t.Errorf("%q as %q refers to a variable", s, literal(s))
		}
	}
}

func TestQuantity(t *testing.T) {
	for bytes, want := range map[int64]string{1: "1", 1000: "1000", 1024: "1Ki", 1500 << 20: "1500Mi", 16 << 30: "16Gi", 1 << 41: "2Ti", 1 << 50: "1024Ti"} {
		if got := quantity(bytes); got != want {
			t.Errorf("%d bytes are %s, want %s", bytes, got, want)
		}
	}
}

// TestWhatPodsDoNotSee: a Job that would not find its files is not printed.
func TestWhatPodsDoNotSee(t *testing.T) {
	root := t.TempDir()
	if err := os.Symlink(t.TempDir(), filepath.Join(root, "link")); err != nil {
		t.Skip("no links here: ", err)
	}
	store, lab := filepath.Join(root, ".ftrun"), filepath.Join(root, "lab")
	for _, test := range []struct {
		name, mount, data, weights, store, fetched, says string
	}{
		{"all is there", root, "data", filepath.Join(root, "w.pth"), store, filepath.Join(root, "weights"), ""},
		{"a folder that is named like its parent's", root, "..data", "", store, "", ""},
		{"data beside it", root, "../../data", "", store, "", "the data set shapes: it is " + filepath.Join(filepath.Dir(root), "data")},
		{"data of another claim", root, "/data/ants", "", store, "", ""},
		{"the store on a claim that is only read", root, "data", "", "/data/.ftrun", "", "the store: it is /data/.ftrun"},
		{"data that a link leads to", root, "../link", "", store, "", "/link is a link to"},
		{"a file of weights", root, "data", "/models/w.pth", store, "", "the file of weights: it is /models/w.pth"},
		{"the store", root, "data", "", "/scratch/.ftrun", "", "say in mount where the claim is mounted"},
		{"the working directory", filepath.Join(root, "elsewhere"), "data", "", store, "", "the working directory: it is " + lab},
		{"nothing but the working directory is mounted", "", "data", "", filepath.Join(lab, ".ftrun"), "", ""},
		{"a store beside it", "", "data", "", store, "", "the store"},
		{"fetched weights", root, "data", "", store, "/home/me/.cache", "name a folder there in FTRUN_WEIGHTS"},
		{"two claims at one place", "/data", "data", "", store, "", "the claims store and datasets can't both be mounted at /data"},
	} {
		l := pods
		l.Mount = test.mount
		p := testPlan([]planner.Launch{l}, planner.Run{ID: id("a")})
		p.Datasets[0].Path, p.Settings[0].Weights.Path = test.data, test.weights
		arrays := Arrange(p, 10, true)
		f := &Folder{ID: ID(arrays), Dir: filepath.Join(test.store, "launches", ID(arrays))}
		var b bytes.Buffer
		err := WriteJobs(&b, f, p, arrays, &Worker{Program: "ftrun", Chdir: lab, Store: test.store}, Pods{Weights: test.fetched})
		switch {
		case test.says == "" && err != nil:
			t.Errorf("%s: %v", test.name, err)
		case test.says != "" && (err == nil || !strings.Contains(err.Error(), test.says) || b.Len() > 0):
			t.Errorf("%s: %v, with %d bytes printed; want an error with %q", test.name, err, b.Len(), test.says)
		}
	}
}

// TestScriptResumesJobs runs the script in the comments with a kubectl that knows which Jobs ended, and how.
func TestScriptResumesJobs(t *testing.T) {
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("there is no sh")
	}
	text, _ := printed(t, pods)
	var script strings.Builder
	for line := range strings.Lines(string(text)) {
		if command, ok := strings.CutPrefix(line, "#$"); ok {
			script.WriteString(strings.TrimPrefix(command, " "))
		}
	}
	// Job 2 starts when the features' Job has ended, however, and Job 3, whose run starts from its runs' weights, after it.
	for _, features := range []string{"Complete", "Failed"} {
		dir := t.TempDir()
		kubectl := `#!/bin/sh
set -eu
job=$3; job=${job##*-}
[ "$4 $5" = "-n training" ] || exit 1
case $1 in
patch)
	[ "$8 $9" = '-p {"spec":{"suspend":false}}' ] || exit 1
	echo $job >> "$DIR/resumed"
	;;
get)
	case $job in
	1) # ends when it is asked for the third time
		echo . >> "$DIR/asked"
		if [ $(wc -l < "$DIR/asked") -ge 3 ]; then echo FailureTarget $FEATURES; else echo FailureTarget; fi ;;
	2) if grep -q 2 "$DIR/resumed"; then echo Complete; else echo Suspended; fi ;;
	esac ;;
esac
`
		for name, body := range map[string]string{"kubectl": kubectl, "sleep": "#!/bin/sh\nexec /bin/sleep 0.01\n"} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(body), 0o777); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(dir, "resumed"), nil, 0o666); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("sh")
		cmd.Stdin = strings.NewReader(script.String())
		cmd.Env = append(os.Environ(), "PATH="+dir+string(filepath.ListSeparator)+os.Getenv("PATH"), "DIR="+dir, "FEATURES="+features)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		resumed, err := os.ReadFile(filepath.Join(dir, "resumed"))
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(strings.Fields(string(resumed)), " "); got != "2 3" {
			t.Errorf("features %s: Jobs %q are resumed, want 2, then 3; %s", features, got, out)
		}
	}
}
