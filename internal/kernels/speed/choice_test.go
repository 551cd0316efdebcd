package speed

import (
	"testing"

	"github.com/ftrun/ftrun/internal/kernels"
	"github.com/ftrun/ftrun/internal/kernels/cpu"
	"github.com/ftrun/ftrun/internal/nn"
	"github.com/ftrun/ftrun/models"
)

// TestClassesAreTheDevicesChoice: for all layers of the catalogue, a convolution is of one of Winograd's classes where the CPU
// computes it so, which shows in how many numbers it packs for each weight of 3×3: 9, or 16 of F(2×2,3×3), or 36 of F(4×4,3×3).
func TestClassesAreTheDevicesChoice(t *testing.T) {
	device, err := cpu.New(1)
	if err != nil {
		t.Fatal(err)
	}
	defer device.Close()
	met := map[class]int{}
	for _, arch := range models.Names() {
		info, _ := models.Lookup(arch)
		net, err := models.Build(arch, 10, info.Crop)
		if err != nil {
			t.Fatal(err)
		}
		for _, numerics := range []kernels.Numerics{kernels.Exact, kernels.Default, kernels.Fast} {
			recorder := NewRecorder(device)
			params, err := nn.NewParamStore(recorder, net)
			if err != nil {
				t.Fatal(err)
			}
			if err := nn.Rehearse(net, params, nn.Settings{Batch: 1, Numerics: numerics, Slab: nn.NewSlab(recorder)}); err != nil {
				t.Fatal(err)
			}
			for _, o := range recorder.Take() {
				d := o.Conv
				if int(o.Kind) >= convs {
					continue
				}
				is := classOf(d)
				met[is]++
				if d.Groups > 1 || d.R != 3 || d.S != 3 {
					if is == winograd2 || is == winograd4 {
						t.Errorf("%s: %+v is of class %d", arch, d, is)
					}
					continue
				}
				chosen := direct // or pixels, which is the same but for its speed
				switch weights := d.C * d.K; {
				case device.PackedLen(d) >= 36*weights:
					chosen = winograd4
				case device.PackedLen(d) >= 16*weights:
					chosen = winograd2
				}
				if is == pixels {
					is = direct
				}
				if is != chosen {
					t.Errorf("%s: %+v is of class %d, and computed as one of class %d", arch, d, is, chosen)
				}
			}
		}
	}
	for of := range class(classes) {
		if met[of] == 0 {
			t.Errorf("no layer is of class %d", of)
		}
	}
}
