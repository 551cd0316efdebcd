package executor

import (
	"testing"

	"github.com/ftrun/ftrun/internal/data"
	"github.com/ftrun/ftrun/internal/kernels"
	"github.com/ftrun/ftrun/internal/kernels/cpu"
	"github.com/ftrun/ftrun/models"
	"github.com/ftrun/ftrun/planner"
)

// roomy is a device that can make anything and run nothing: the memory of the larger networks is slow to have.
type roomy struct{ *cpu.Device }

func (roomy) Alloc(n int) (kernels.Buffer, error) { return kernels.Extent(n), nil }

// TestRehearsalTakesWhatTrainingTakes makes the programs of all architectures and wants every byte of parameters, packed
// weights, results, gradients and moments to have been told.
func TestRehearsalTakesWhatTrainingTakes(t *testing.T) {
	shares := &planner.Sharing{Train: &planner.Features{}, Val: &planner.Features{}}
	modes := []struct {
		name, batchNorm, numerics string
		trainable                 []string
		sharing                   *planner.Sharing
	}{
		{"finetune", models.BatchNormTrain, "default", []string{"**"}, &planner.Sharing{}},
		{"extract", models.BatchNormFrozen, "fast", []string{"head"}, &planner.Sharing{}},
		{"extract shared", models.BatchNormFrozen, "exact", []string{"head"}, shares},
	}
	of := &planner.Dataset{Classes: []string{"a", "b", "c"}, Pictures: map[string]int{data.Train: 5, data.Val: 2}}
	plain, err := cpu.New(1)
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	device := roomy{plain}
	for _, arch := range models.Names() {
		info, _ := models.Lookup(arch)
		for _, mode := range modes {
			t.Run(arch+" "+mode.name, func(t *testing.T) {
				set := &planner.Settings{Arch: arch, Trainable: mode.trainable, BatchNorm: mode.batchNorm, BatchSize: 3,
					Image: planner.Image{Crop: info.MinSize()}, Optimizer: planner.Optimizer{Kind: "adam"}, Numerics: mode.numerics, Precision: "fp32"}
				told, err := rehearse(device.Meter(1), set, of, mode.sharing)
				if err != nil {
					t.Fatal(err)
				}
				real := &training{run: &planner.Run{}, set: set, device: device}
				if err := real.describe(len(of.Classes)); err != nil {
					t.Fatal(err)
				}
				if err := real.allocate(nil); err != nil {
					t.Fatal(err)
				}
				if err := real.prepareOptimizer(); err != nil {
					t.Fatal(err)
				}
				real.programs.begin(real.cuts(mode.sharing))
				for _, n := range []int{3, 2} { // a whole batch and a last one
					if _, err := real.programs.training(n); err != nil {
						t.Fatal(err)
					}
					if _, err := real.programs.evaluation(n); err != nil {
						t.Fatal(err)
					}
				}
				for _, part := range []struct {
					name       string
					told, held int64
				}{
					{"parameters and packed weights", told.params.Memory(), real.params.Memory()},
					{"results and gradients", told.programs.memory(), real.programs.memory()},
					{"moments", told.optimizer.Memory(), real.optimizer.Memory()},
				} {
					if part.told != part.held || part.held == 0 {
						t.Errorf("%s: %d bytes told, %d held", part.name, part.told, part.held)
					}
				}
			})
		}
	}
}

// apart is a CPU that has a memory of its own, and keeps of the machine's what is uploaded at once, twice.
type apart struct{ kernels.Device }

type (
	counting   = kernels.Meter // a name that is none of its methods'
	apartMeter struct{ counting }
)

func (apart) Memory() (free, total int64, err error) { return 1 << 30, 1 << 30, nil }
func (d apart) Meter(threads int) kernels.Meter      { return apartMeter{d.Device.Meter(threads)} }
func (apartMeter) Staged(most int64) int64           { return 2 * most }

// unstaged is one that keeps nothing.
type unstaged struct{ apart }

func (d unstaged) Meter(threads int) kernels.Meter { return d.Device.Meter(threads) }

// TestStagedMemory: what a device keeps of the machine's memory to copy from is a run's, by its largest parameter or its batches.
func TestStagedMemory(t *testing.T) {
	device, err := cpu.New(1)
	if err != nil {
		t.Fatal(err)
	}
	defer device.Close()
	const crop = 64
	of := &planner.Dataset{Classes: []string{"a", "b"}, Pictures: map[string]int{data.Train: 244, data.Val: 153}}
	for _, test := range []struct {
		arch   string
		batch  int
		staged int64
	}{
		{"resnet18", 8, 2 * 4 * 512 * 512 * 9},
		{"squeezenet1_1", 128, 2 * 128 * 3 * crop * crop},
	} {
		set := &planner.Settings{Arch: test.arch, Trainable: []string{"**"}, BatchNorm: models.BatchNormAuto, BatchSize: test.batch,
			Image: planner.Image{Crop: crop}, Optimizer: planner.Optimizer{Kind: "sgd"}, Numerics: "default", Precision: "fp32"}
		var told [2]Memory
		for i, d := range []kernels.Device{unstaged{apart{device}}, apart{device}} {
			if told[i], err = RunMemory(d, 1, set, of, &planner.Sharing{}); err != nil {
				t.Fatal(err)
			}
		}
		if got := told[1].Start - told[0].Start; got != test.staged {
			t.Errorf("%s: %d bytes more at the start, want %d", test.arch, got, test.staged)
		}
		if got := told[1].Train - told[0].Train; got < test.staged || got > test.staged*11/10 || told[1].Device != told[0].Device {
			t.Errorf("%s: %d bytes more while it trains, want %d and garbage", test.arch, got, test.staged)
		}
	}
}

// BenchmarkRunMemory is what a plan spends on settings that it has not met before.
func BenchmarkRunMemory(b *testing.B) {
	of := &planner.Dataset{Classes: []string{"a", "b"}, Pictures: map[string]int{data.Train: 244, data.Val: 153}}
	device, err := cpu.New(1)
	if err != nil {
		b.Fatal(err)
	}
	defer device.Close()
	for _, arch := range []string{"squeezenet1_1", "resnet18", "inception_v3", "densenet121"} {
		info, _ := models.Lookup(arch)
		for _, trainable := range []string{"**", "head"} {
			b.Run(arch+" "+trainable, func(b *testing.B) {
				set := &planner.Settings{Arch: arch, Trainable: []string{trainable}, BatchNorm: models.BatchNormAuto, BatchSize: 8,
					Image: planner.Image{Crop: info.Crop}, Optimizer: planner.Optimizer{Kind: "sgd", Momentum: 0.9}, Numerics: "default", Precision: "fp32"}
				for b.Loop() {
					if _, err := RunMemory(device, 2, set, of, &planner.Sharing{}); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
