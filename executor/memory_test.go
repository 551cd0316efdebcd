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
