package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/adrg/xdg"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/ftrun/ftrun/internal/durable"
	"github.com/ftrun/ftrun/internal/kernels/speed"
	"github.com/ftrun/ftrun/internal/runlog"
	"github.com/ftrun/ftrun/internal/weights"
	"github.com/ftrun/ftrun/reports"
)

// The scripts run these programs. All but ftrun itself serve the tests.
func TestMain(m *testing.M) {
	testscript.Main(&isolated{m}, map[string]func(){
		"ftrun":      func() { os.Exit(Main(os.Args[1:])) },
		"exits":      func() { os.Exit(exits(os.Args[1:])) },
		"tensors":    program(tensors),
		"course":     program(course),
		"picture":    program(picture),
		"evil":       program(evil),
		"same":       program(same),
		"limited":    program(limited),
		"damage":     program(damage),
		"fields":     program(fields),
		"comparison": program(comparisonFields),
		"widest":     program(widestLine),
		"losing":     program(losing),
	})
}

// isolated gives the tests a user's cache of their own, so that they neither measure this machine nor believe what was
// measured.
type isolated struct{ *testing.M }

func (m *isolated) Run() int {
	dir, err := os.MkdirTemp("", "ftrun-cache-")
	if err == nil {
		err = knownSpeeds(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	os.Setenv("XDG_CACHE_HOME", dir)
	xdg.Reload()
	return m.M.Run()
}

// knownSpeeds writes speeds of this machine to a user's cache: 10¹⁰ multiply-adds and 10⁹ elements a second.
func knownSpeeds(cache string) error {
	var p speed.Profile
	p.Call, p.Warm, p.Cold = 1e-6, 1e-9, 1e-9
	for i := range p.Macs {
		for j := range p.Macs[i] {
			p.Macs[i][j] = 1e-10
		}
	}
	for i := range p.Elements {
		p.Elements[i] = [2]float64{1e-9, 1e-9}
	}
	s := &speeds{Format: speedsFormat, Machines: map[string]*machine{}}
	for _, path := range []string{"avx512", "avx2", "generic"} {
		for _, threads := range []int{1, 2, 3, 4, runtime.GOMAXPROCS(0)} {
			s.Machines[machineName("cpu", path, threads)] = &machine{Measured: time.Now(), Speeds: p}
		}
	}
	raw, err := durable.SealJSON(s)
	if err != nil {
		return err
	}
	return durable.Write(filepath.Join(cache, "ftrun", "speeds.json"), raw)
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:           filepath.Join("testdata", "script"),
		UpdateScripts: os.Getenv("UPDATE_SCRIPTS") != "",
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", filepath.Join(env.WorkDir, ".home"))
			env.Setenv("XDG_CACHE_HOME", filepath.Join(env.WorkDir, ".cache"))
			if err := knownSpeeds(env.Getenv("XDG_CACHE_HOME")); err != nil {
				return err
			}
			// No test reaches the network: whoever tries is refused at once.
			env.Setenv("HTTPS_PROXY", "http://127.0.0.1:1")
			env.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"waitfor": waitFor, "runid": runID},
	})
}

func program(f func(args []string) error) func() {
	return func() {
		if err := f(os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

// exits N ftrun ARG...: the command ends with exit code N.
func exits(args []string) int {
	want, err := strconv.Atoi(args[0])
	if err != nil || args[1] != "ftrun" {
		fmt.Fprintln(os.Stderr, "usage: exits N ftrun ARG...")
		return 1
	}
	if got := Main(args[2:]); got != want {
		fmt.Fprintf(os.Stderr, "exit code %d, want %d\n", got, want)
		return 1
	}
	return 0
}

// waitfor PATTERN: a file of that name is there.
func waitFor(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: waitfor PATTERN")
	}
	for start := time.Now(); time.Since(start) < 30*time.Second; time.Sleep(5 * time.Millisecond) {
		if found, _ := filepath.Glob(ts.MkAbs(args[0])); len(found) > 0 {
			return
		}
	}
	ts.Fatalf("%s did not come", args[0])
}

// runid [-store DIR] NAME: NAME becomes the id of the store's one run.
func runID(ts *testscript.TestScript, neg bool, args []string) {
	store := defaultStore
	if len(args) == 3 && args[0] == "-store" {
		store, args = args[1], args[2:]
	}
	if neg || len(args) != 1 {
		ts.Fatalf("usage: runid [-store DIR] NAME")
	}
	statuses, err := runlog.Open(ts.MkAbs(store)).Statuses()
	ts.Check(err)
	id := ""
	for _, st := range statuses {
		if id != "" {
			ts.Fatalf("%s has more than one run", store)
		}
		id = st.ID
	}
	ts.Setenv(args[0], id)
}

// tensors FILE: a line for each tensor of a file of weights.
func tensors(args []string) error {
	f, err := weights.Open(args[0])
	if err != nil {
		return err
	}
	for _, t := range f.Tensors {
		fmt.Println(t.Name, shape(t.Shape))
	}
	return nil
}

// losing X FILE OUT: a baseline of other runs that are like those of FILE, but lost X less on the validation pictures.
func losing(args []string) error {
	less, err := strconv.ParseFloat(args[0], 64)
	if err != nil {
		return err
	}
	raw, err := os.ReadFile(args[1])
	if err != nil {
		return err
	}
	r, err := reports.ReadBaseline(raw, valueText)
	if err != nil {
		return err
	}
	for i := range r.Configs {
		for k := range r.Configs[i].Seeds {
			s := &r.Configs[i].Seeds[k]
			s.ID = fmt.Sprintf("%016x", 1000*i+k)
			s.Metrics.ValLoss -= less
		}
	}
	f, err := os.Create(args[2])
	if err != nil {
		return err
	}
	return errors.Join(reports.WriteBaseline(f, r), f.Close())
}

// course GLOB: metrics.jsonl without what the clock says.
func course(args []string) error {
	found, err := filepath.Glob(args[0])
	if err != nil || len(found) == 0 {
		return fmt.Errorf("no %s (%v)", args[0], err)
	}
	for _, path := range found {
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		dec := json.NewDecoder(bytes.NewReader(raw))
		for {
			var e runlog.Epoch
			if err := dec.Decode(&e); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				return err
			}
			e.TrainSeconds, e.ValSeconds, e.ImagesPerSecond = 0, 0, 0
			line, err := json.Marshal(e)
			if err != nil {
				return err
			}
			fmt.Println(string(line))
		}
	}
	return nil
}

// limited PROGRAM ARG...: with no file longer than 1 MB. That a write fails with EFBIG rather than with a signal is for the
// shell to set.
func limited(args []string) error {
	cmd := exec.Command("bash", append([]string{"-c", `trap "" XFSZ; ulimit -f 1024; exec "$@"`, "bash"}, args...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	return cmd.Run()
}

// damage FILE: one bit in the middle is flipped.
func damage(args []string) error {
	raw, err := os.ReadFile(args[0])
	if err != nil {
		return err
	}
	raw[len(raw)/2] ^= 1
	return os.WriteFile(args[0], raw, 0o666)
}

// same A B: two files, by patterns, have the same bytes.
func same(args []string) error {
	var content [2][]byte
	for i, pattern := range args {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) != 1 {
			return fmt.Errorf("%s is not one file: %q (%v)", pattern, found, err)
		}
		if content[i], err = os.ReadFile(found[0]); err != nil {
			return err
		}
	}
	if !bytes.Equal(content[0], content[1]) {
		return fmt.Errorf("%s and %s differ", args[0], args[1])
	}
	return nil
}

// picture FILE...: small pictures whose colours follow their names.
func picture(paths []string) error {
	for _, path := range paths {
		img := image.NewRGBA(image.Rect(0, 0, 40, 36))
		sum := 7
		for _, r := range path {
			sum = sum*31 + int(r)
		}
		for i := range img.Pix {
			sum = sum*1103515245 + 12345
			img.Pix[i] = byte(sum >> 16)
		}
		for x := range 40 {
			img.Set(x, 3, color.White)
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			return err
		}
		var b bytes.Buffer
		if err := png.Encode(&b, img); err != nil {
			return err
		}
		if err := os.WriteFile(path, b.Bytes(), 0o666); err != nil {
			return err
		}
	}
	return nil
}

// evil FILE: a pickle that would run a command.
func evil(args []string) error {
	return os.WriteFile(args[0], []byte("\x80\x02cposix\nsystem\nq\x00X\x0e\x00\x00\x00touch evil-ran\x85q\x01Rq\x02."), 0o666)
}

// fields FILE: the report as JSON, read strictly by the schema of docs/cli.md.
func fields(args []string) error {
	raw, err := os.ReadFile(args[0])
	if err != nil {
		return err
	}
	type run struct {
		ID, Sweep string
		Labels    map[string]any
		Seed      int64
		Status    string
		Error     string
		Params    runlog.Params
		Metrics   *runlog.Metrics
		Timing    *runlog.Timing
		Device    string
		Path      string
	}
	var doc struct{ Runs []run }
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&doc); err != nil {
		return err
	}
	for _, r := range doc.Runs {
		if len(r.ID) != 16 || r.Params.Total == 0 || (r.Metrics != nil) != (r.Status == "finished") {
			return fmt.Errorf("odd run %+v", r)
		}
		labels, err := json.Marshal(r.Labels)
		if err != nil {
			return err
		}
		fmt.Printf("%s %s seed %d: %s, %d of %d\n", r.Sweep, labels, r.Seed, r.Status, r.Params.Trainable, r.Params.Total)
		if r.Metrics != nil {
			fmt.Printf("  %d epochs, %s\n", r.Metrics.Epochs, r.Device)
		}
	}
	return nil
}

// comparison FILE: comparisons as JSON, read strictly by the schema of docs/cli.md.
func comparisonFields(args []string) error {
	raw, err := os.ReadFile(args[0])
	if err != nil {
		return err
	}
	var doc struct{ Comparisons []reports.Comparison }
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&doc); err != nil {
		return err
	}
	for _, c := range doc.Comparisons {
		fmt.Printf("%s, %s %v, %s: %d configurations of %s and %s\n", c.Criterion.Metric, c.Criterion.Bound, c.Criterion.Limit, c.Criterion.Test,
			len(c.Judged), c.Base.Origin, c.New.Origin)
		for _, j := range c.Judged {
			if j.P == nil || j.Interval == nil || j.Difference == nil || len(j.Seeds) != 5 {
				return fmt.Errorf("odd judgement %+v", j)
			}
		}
	}
	return nil
}

// widest N FILE...: no line has more than N characters.
func widestLine(args []string) error {
	most, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	for _, path := range args[1:] {
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for i, line := range strings.Split(string(raw), "\n") {
			if n := len([]rune(line)); n > most {
				return fmt.Errorf("%s:%d: %d characters: %s", path, i+1, n, line)
			}
		}
	}
	return nil
}
