package executor

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ftrun/ftrun/internal/kernels"
	"github.com/ftrun/ftrun/internal/kernels/cpu"
	"github.com/ftrun/ftrun/planner"
)

// chooser is a CPU that claims to have algorithms: it chooses one for each layer, and the batch and its choice show in the
// bits of what it computes.
type chooser struct {
	kernels.Device
	tuning     kernels.Tuning
	algorithms kernels.Algorithms
	told       *[]kernels.Tuning
	begin      int // the first algorithm that it chooses
}

func (c *chooser) Tune(how kernels.Tuning) error {
	c.tuning = how
	*c.told = append(*c.told, how)
	return nil
}

func (c *chooser) Algorithms() kernels.Algorithms { return maps.Clone(c.algorithms) }

func (c *chooser) Adopt(a kernels.Algorithms) {
	if c.algorithms = maps.Clone(a); a == nil {
		c.algorithms = kernels.Algorithms{}
	}
}

// Path is another than the CPU's.
func (c *chooser) Path() string { return "of choice" }

func (c *chooser) FixedBatch() int { return 8 }

// shade makes the choice for a layer, and the batch, show in a result.
func (c *chooser) shade(d kernels.Conv, y kernels.Buffer) error {
	n := d.N
	d.N = 0
	layer := d.String()
	algorithm, known := c.algorithms[layer]
	if !known && c.tuning.Timings != nil {
		algorithm = c.begin + len(c.algorithms)%3
		c.algorithms[layer] = algorithm
	}
	return c.Scale(1+float32(algorithm)/1024+float32(n)/4096, y)
}

func (c *chooser) ConvForward(d kernels.Conv, x, w, bias, y kernels.Buffer, act kernels.Activation) error {
	if err := c.Device.ConvForward(d, x, w, bias, y, act); err != nil || d.StepY != 0 {
		return err
	}
	return c.shade(d, y)
}

func (c *chooser) ConvForwardPacked(d kernels.Conv, x, packed, bias, residual, y kernels.Buffer, act kernels.Activation) error {
	if err := c.Device.ConvForwardPacked(d, x, packed, bias, residual, y, act); err != nil || d.StepY != 0 {
		return err
	}
	return c.shade(d, y)
}

// forgetful are Timings that keep nothing.
type forgetful struct{}

func (forgetful) Fastest(string, string) (int, bool) { return 0, false }
func (forgetful) Keep(string, string, int)           {}

// choosers has the lab's devices choose, from the given algorithm on, and returns what they are told.
func (l *lab) choosers(begin int) *[]kernels.Tuning {
	told := &[]kernels.Tuning{}
	l.opt.Timings = forgetful{}
	l.opt.Places = []Place{{Open: func(threads int) (kernels.Device, error) {
		d, err := cpu.New(threads)
		if err != nil {
			return nil, err
		}
		return &chooser{Device: d, algorithms: kernels.Algorithms{}, told: told, begin: begin}, nil
	}}}
	return told
}

// TestAlgorithmsAreKeptWithTheRun: a run that goes on takes the algorithms that it began with, though its device would choose
// others now, and so do its bits.
func TestAlgorithmsAreKeptWithTheRun(t *testing.T) {
	straight := newLab(t)
	straight.choosers(0)
	id := straight.run(resumable)
	straight.apply(1, 0, 0, 0)
	want := straight.result(id)

	other := newLab(t)
	other.choosers(1)
	other.run(resumable)
	other.apply(1, 0, 0, 0)
	if cmp.Equal(want, other.result(id)) {
		t.Fatal("other algorithms give the same bits: nothing is tested")
	}

	l := newLab(t)
	l.run(resumable)
	l.choosers(0)
	l.interruptAt(step(2, 2)) // after a validation, so that all has been chosen
	l.choosers(1)
	l.apply(1, 0, 0, 0)
	if d := cmp.Diff(want, l.result(id)); d != "" {
		t.Errorf("differs from the run that was not interrupted: %s", d)
	}
}

// TestDevicesAreTold how the run is to compute; what they compute to be shared is by algorithms that nobody chose.
func TestDevicesAreTold(t *testing.T) {
	l := newLab(t)
	told := l.choosers(0)
	l.run(func(s *planner.Settings) { s.Epochs, s.Precision, s.Deterministic = 1, "tf32", false })
	l.apply(1, 0, 0, 0)
	want := []kernels.Tuning{
		{Precision: kernels.TF32}, // to see whether it can
		{Precision: kernels.TF32, Nondeterministic: true, Timings: l.opt.Timings},
	}
	if d := cmp.Diff(want, *told); d != "" {
		t.Errorf("devices are told otherwise: %s", d)
	}
}

// TestFeaturesOfAFixedBatch: on a device whose results depend on the batch, features are the same bits whatever the memory
// allows, with whatever algorithms runs compute, and however many pictures are left for the last batch.
func TestFeaturesOfAFixedBatch(t *testing.T) {
	files := map[string]string{}
	for i, limit := range []int64{1, 1 << 30} {
		l := newLab(t)
		told := l.choosers(i)
		heads(l, nil)
		l.opt.FeatureMemory = limit
		l.apply(2, 0, 0, 0)
		if len(l.featureFiles()) == 0 {
			t.Fatal("no features are shared")
		}
		for _, file := range l.featureFiles() {
			name, hash := file[strings.LastIndex(file, "/")+1:], fileHash(t, file)
			if before, there := files[name]; i > 0 && (!there || before != hash) {
				t.Errorf("%s has other bits", name)
			}
			files[name] = hash
		}
		measuring := 0
		for _, how := range *told {
			if how.Timings != nil {
				measuring++
			}
		}
		if measuring != 2 {
			t.Errorf("%d devices choose algorithms, want those of the two runs", measuring)
		}
	}
}

// TestPrecisionThatNoDeviceHas: nothing is started, and the error says which run it is and how to mend it. A plan is told the
// same.
func TestPrecisionThatNoDeviceHas(t *testing.T) {
	l := newLab(t)
	id := l.run(nil)
	l.run(func(s *planner.Settings) { s.Precision = "bf16" })
	l.run(func(s *planner.Settings) { s.Precision = "bf16" })
	for _, test := range []struct {
		places int
		want   []string
	}{
		{1, []string{"sweep1 seed 1 and 1 more: precision = \"bf16\"", "cpu computes in fp32", "-device cuda:0", `"fp32"`}},
		{2, []string{"sweep1 seed 1 and 1 more: none of the 2 devices has its precision: precision = \"bf16\""}},
	} {
		l.opt.Places = slices.Repeat(l.opt.Places[:1], test.places)
		_, err := Apply(t.Context(), l.opt)
		planned := CheckPrecisions(l.plan, l.opt.Places)
		if err == nil || planned == nil || planned.Error() != err.Error() {
			t.Fatalf("the plan is told %v, and apply gives %v", planned, err)
		}
		wantText(t, []string{err.Error()}, test.want...)
	}
	if _, there, _ := l.store.Run(id).Status(); there {
		t.Error("a run was started")
	}
	for i := range l.plan.Runs {
		l.plan.Runs[i].Action = planner.Done
	}
	if err := CheckPrecisions(l.plan, nil); err != nil {
		t.Errorf("of runs that are done: %v", err)
	}
}

// TestPrecisionThatOneDeviceHas: runs go to the devices that have it, however many others are free, and where that is of
// interest it is told.
func TestPrecisionThatOneDeviceHas(t *testing.T) {
	l := newLab(t)
	plain := l.opt.Places[0]
	for range 3 {
		l.run(func(s *planner.Settings) { s.Epochs, s.Precision = 1, "bf16" })
	}
	l.run(func(s *planner.Settings) { s.Epochs = 1 })
	l.choosers(0)
	l.opt.Places = []Place{plain, l.opt.Places[0], plain}
	l.opt.Parallelism, l.opt.Threads = 3, 3
	l.apply(4, 0, 0, 0)
	for i := range l.plan.Runs {
		path := l.status(l.plan.Runs[i].ID).Result.Path
		if on := path == "of choice"; on != (i < 3) {
			t.Errorf("run %d was trained on %s", i, path)
		}
	}
	wantText(t, l.log.texts(), "runs in bf16 are trained on cpu only: there is no bf16 on cpu, cpu")
	if err := CheckPrecisions(l.plan, l.opt.Places); err != nil {
		t.Errorf("the plan is told %v", err)
	}
}
