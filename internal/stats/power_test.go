package stats

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// TestPowerOfSeeds holds the formula against 1,500 comparisons with that drop, within 5 points and two standard errors
// of the simulation.
func TestPowerOfSeeds(t *testing.T) {
	const comparisons = 1_500
	random := rand.New(rand.NewPCG(4, 4))
	for _, d := range []SeedDesign{
		{5, 0.01, 0, 0.05}, {6, 0.01, 0, 0.05}, {7, 0.02, 0.01, 0.05}, {10, 0.01, 0.01, 0.05}, {14, 0.01, 0, 0.05},
		{8, 0.01, 0, 0.05 / 6}, {10, 0.01, 0, 0.05 / 20}, {12, 0.01, 0.005, 0.01}, {6, 0.01, 0, 0.1}, {4, 0.01, 0, 0.1},
	} {
		for _, effect := range []float64{0, 0.5, 1, 1.5, 2, 3} {
			drop, found := d.Margin+effect*d.Std, 0
			for range comparisons {
				x := make([]float64, d.Seeds)
				for i := range x {
					x[i] = drop + d.Std*random.NormFloat64()
				}
				if made(t)(SignFlip(x, 1)).At(d.Margin).Greater <= d.Alpha {
					found++
				}
			}
			share := float64(found) / comparisons
			near(t, fmt.Sprintf("%+v, drop %v", d, drop), d.Power(drop), share, 0.05+2*math.Sqrt(share*(1-share)/comparisons))
		}
	}
}

func TestPowerOfPictures(t *testing.T) {
	const comparisons = 600
	random := rand.New(rand.NewPCG(8, 8))
	for _, d := range []PictureDesign{
		{60, 1, 0.1, 0, 0.05}, {153, 1, 0.08, 0, 0.05}, {153, 1, 0.08, 0.01, 0.05}, {1000, 1, 0.05, 0.01, 0.05 / 6}, {2000, 1, 0.1, 0.005, 0.01},
	} {
		for _, drop := range []float64{0, 0.01, 0.02, 0.04, 0.08, 0.15} {
			discordant, found := d.Discordant+drop, 0
			for range comparisons {
				sample := make([]Discordance, d.Pictures)
				for i := range sample {
					switch u := random.Float64(); {
					case u < (discordant+drop)/2:
						sample[i].First = 1
					case u < discordant:
						sample[i].Second = 1
					}
				}
				if made(t)(Pictures(sample, 1)).At(d.Margin).Greater <= d.Alpha {
					found++
				}
			}
			share := float64(found) / comparisons
			near(t, fmt.Sprintf("%+v, drop %v", d, drop), d.Power(drop), share, 0.05+2*math.Sqrt(share*(1-share)/comparisons))
		}
	}
}

// The power at SmallestDrop is the one asked for, and Needed is the first number that reaches it.
func TestSmallestDropAndNeeded(t *testing.T) {
	seeds := SeedDesign{Seeds: 6, Std: 0.012, Margin: 0.01, Alpha: 0.05}
	drop := seeds.SmallestDrop(0.8)
	near(t, "power of seeds", seeds.Power(drop), 0.8, 1e-4)
	if n, ok := seeds.Needed(drop, 0.8); n != 6 || !ok {
		t.Errorf("%d seeds, %v", n, ok)
	}
	for _, want := range []int{5, 9, 20} {
		n, ok := seeds.Needed((SeedDesign{want, 0.012, 0.01, 0.05}).SmallestDrop(0.8), 0.8)
		if n != want || !ok {
			t.Errorf("%d seeds for what %d find", n, want)
		}
	}
	pictures := PictureDesign{Pictures: 153, Seeds: 1, Discordant: 0.08, Margin: 0.01, Alpha: 0.05}
	drop = pictures.SmallestDrop(0.8)
	near(t, "power of pictures", pictures.Power(drop), 0.8, 0.02) // it has steps
	if n, ok := pictures.Needed(drop, 0.8); !ok || n < 140 || n > 160 {
		t.Errorf("%d pictures, %v", n, ok)
	}
	many := PictureDesign{Pictures: 50_000, Seeds: 1, Discordant: 0.1, Margin: 0.01, Alpha: 0.05}
	drop = many.SmallestDrop(0.8)
	near(t, "power of many pictures", many.Power(drop), 0.8, 1e-3)
}

func TestWhatCanNeverBeFound(t *testing.T) {
	for seeds, can := range map[int]bool{0: false, 1: false, 4: false, 5: true, 50: true, 2000: true} {
		d := SeedDesign{Seeds: seeds, Std: 0.01, Alpha: 0.05}
		if d.CanReject() != can || math.IsInf(d.SmallestDrop(0.8), 1) == can || d.Power(1) > 0 != can {
			t.Errorf("%d seeds: %v, smallest drop %v, power %v", seeds, d.CanReject(), d.SmallestDrop(0.8), d.Power(1))
		}
	}
	for pictures, can := range map[int]bool{0: false, 3: false, 4: true, 100: true} {
		d := PictureDesign{Pictures: pictures, Seeds: 1, Discordant: 0.1, Alpha: 0.05}
		if d.CanReject() != can || math.IsInf(d.SmallestDrop(0.8), 1) == can {
			t.Errorf("%d pictures: %v, smallest drop %v", pictures, d.CanReject(), d.SmallestDrop(0.8))
		}
	}
	if n, ok := (SeedDesign{Std: 0.01, Margin: 0.02, Alpha: 0.05}).Needed(0.02, 0.8); ok {
		t.Errorf("%d seeds find a drop of the margin", n)
	}
	if n, ok := (SeedDesign{Std: 0.01, Alpha: 0.05}).Needed(0.0001, 0.8); ok {
		t.Errorf("%d seeds find a hundredth of the noise", n)
	}
	if n, ok := (PictureDesign{Seeds: 1, Discordant: 0.1, Margin: 0.02, Alpha: 0.05}).Needed(0.01, 0.8); ok {
		t.Errorf("%d pictures find a drop within the margin", n)
	}
	still := SeedDesign{Seeds: 5, Margin: 0.01, Alpha: 0.05}
	if still.Power(0.02) != 1 || still.Power(0.01) != 0 || still.SmallestDrop(0.8) != 0.01 {
		t.Error("without noise every drop beyond the margin is found")
	}
}

// A drop hits the same pictures with every seed, beside what each seed gets wrong by itself, the more the harder a picture
// is. A drop that hits others with each seed is found at least as often.
func TestPowerOfPicturesAndSeeds(t *testing.T) {
	const comparisons = 600
	random := rand.New(rand.NewPCG(3, 9))
	for _, c := range []struct {
		pictures, seeds int
		hardest, margin float64
	}{{200, 5, 0.4, 0.01}, {400, 5, 0.2, 0.01}, {400, 3, 0.4, 0.02}, {1000, 10, 0.3, 0.005}} {
		difficulty, discordant := make([]float64, c.pictures), 0.0
		for i := range difficulty {
			difficulty[i] = c.hardest * math.Pow(float64(i)/float64(c.pictures), 3)
			discordant += 2 * difficulty[i] * (1 - difficulty[i]) / float64(c.pictures)
		}
		d := PictureDesign{c.pictures, c.seeds, discordant, c.margin, 0.05}
		found := func(drop float64, together bool) float64 {
			n := 0
			for range comparisons {
				sample := make([]Discordance, c.pictures)
				for i := range sample {
					hit := random.Float64() < drop
					for range c.seeds {
						if !together {
							hit = random.Float64() < drop
						}
						first, second := random.Float64() >= difficulty[i], random.Float64() >= difficulty[i] && !hit
						if first && !second {
							sample[i].First++
						} else if second && !first {
							sample[i].Second++
						}
					}
				}
				if made(t)(Pictures(sample, c.seeds)).At(d.Margin).Greater <= d.Alpha {
					n++
				}
			}
			return float64(n) / comparisons
		}
		for _, drop := range []float64{0, 0.02, 0.03, 0.04, 0.06} {
			lost := drop * (1 - c.hardest/4) // of those that would be right
			together, apart := found(drop, true), found(drop, false)
			t.Logf("%+v, drop %.3f: %.3f, simulated %.3f, apart %.3f", d, lost, d.Power(lost), together, apart)
			within := 0.05 + 2*math.Sqrt(together*(1-together)/comparisons)
			near(t, fmt.Sprintf("%+v, drop %v", d, lost), d.Power(lost), together, within)
			if d.Power(lost) > apart+within {
				t.Errorf("%+v, drop %v: %.3f is promised, and one that hits other pictures with each seed is found in %.3f", d, lost, d.Power(lost), apart)
			}
		}
	}
}

// TestAlarmsAtAChangeOfSeed: models differ from seed to seed by more than their answers to single pictures do, as where a
// training goes better or worse as a whole. Nothing else differs.
func TestAlarmsAtAChangeOfSeed(t *testing.T) {
	const comparisons, pictures, wrong = 600, 1000, 0.1
	random := rand.New(rand.NewPCG(3, 9))
	for _, c := range []struct {
		seeds       int
		std, margin float64
	}{{1, 0.02, 0.01}, {1, 0.02, 0.03}, {3, 0.02, 0.01}, {1, 0.005, 0.01}, {1, 0.03, 0}} {
		discordant := 2 * wrong * (1 - wrong)
		d := PictureDesign{pictures, c.seeds, discordant, c.margin, 0.05}
		alarms := 0
		for range comparisons {
			sample := make([]Discordance, pictures)
			for range c.seeds {
				old, new := wrong+c.std*random.NormFloat64(), wrong+c.std*random.NormFloat64()
				for i := range sample {
					first, second := random.Float64() >= old, random.Float64() >= new
					if first && !second {
						sample[i].First++
					} else if second && !first {
						sample[i].Second++
					}
				}
			}
			if made(t)(Pictures(sample, c.seeds)).At(d.Margin).Greater <= d.Alpha {
				alarms++
			}
		}
		share := float64(alarms) / comparisons
		std := math.Sqrt(c.std*c.std + discordant/2/pictures)
		t.Logf("%+v: %.3f, simulated %.3f", c, d.SeedAlarms(std), share)
		near(t, fmt.Sprintf("%+v", c), d.SeedAlarms(std), share, 0.05+2*math.Sqrt(share*(1-share)/comparisons))
	}
}
