package stats

import (
	"fmt"
	"math"
	"sort"
)

// SeedDesign is a comparison by SignFlip before it is made: from it follows what drop it could find.
type SeedDesign struct {
	Seeds  int
	Std    float64 // of the differences over seeds; of independent sides the root of the sum of their variances
	Margin float64 // a drop is found where d ≤ Margin is rejected
	Alpha  float64 // one-sided; with Holm over k configurations Alpha/k is safe, and a little too strict
}

// PictureDesign is a comparison by Pictures before it is made. Without a drop the seeds err independently of each other,
// as far as a picture's difficulty leaves it to chance, so that they are as many times the pictures. A drop is taken to hit
// the same pictures with every seed, of which seeds tell nothing new: one that hits others with each is found more often.
type PictureDesign struct {
	Pictures   int
	Seeds      int     // that both sides have
	Discordant float64 // share of pictures on which the two sides differ where there is no drop, as between two seeds
	Margin     float64 // a drop is found where d ≤ Margin is rejected
	Alpha      float64 // as of SeedDesign
}

// CanReject tells whether any data could be enough: 2^−Seeds is the least p value of sign flips.
func (d SeedDesign) CanReject() bool {
	d.check()
	return d.rank() >= 1
}

// CanReject tells whether any data could be enough: those where the first side alone is right on every picture.
func (d PictureDesign) CanReject() bool {
	d.check()
	return d.Pictures > 0 && d.Seeds > 0 && d.p(d.Pictures, 0) <= d.Alpha
}

// Power is the probability that a true drop is found.
//
// Sign flips reject where the smallest mean of a subset of rank ⌊Alpha·2^n⌋ is above the margin (see SignFlip). Of rank
// 1 and 2 these are means of the least value and of the least two, whose distribution is known for normal differences;
// of higher ranks the test is close to Student's, whose power is the noncentral t's, at the alpha that it attains,
// ⌊Alpha·2^n⌋/2^n (E. L. Lehmann and J. P. Romano, Testing Statistical Hypotheses, 3rd ed., § 15.2: asymptotically they
// are one). Tests hold it within 5 points of simulations.
func (d SeedDesign) Power(drop float64) float64 {
	d.check()
	rank := d.rank()
	if rank < 1 {
		return 0
	}
	if d.Std == 0 {
		if drop > d.Margin {
			return 1
		}
		return 0
	}
	effect := (drop - d.Margin) / d.Std
	switch rank {
	case 1:
		return math.Pow(normal(effect), float64(d.Seeds))
	case 2:
		return leastTwoAbove(-effect, d.Seeds)
	}
	attained := d.Alpha
	if rank < math.MaxInt32 {
		attained = math.Ldexp(rank, -d.Seeds)
	}
	nu := float64(d.Seeds - 1)
	return noncentralAbove(studentQuantile(1-attained, nu), nu, effect*math.Sqrt(float64(d.Seeds)))
}

// Power is the probability that a true drop is found: the number of discordant pictures is binomial, of these those on
// which the first side is right are binomial, and the test is that of Pictures. A drop adds as many discordant pictures
// as it is large. Several seeds are counted as their test counts them, divided by the design effect: the variance over
// seeds and pictures, of which the drop's part is common to the seeds, over that of as many independent answers.
func (d PictureDesign) Power(drop float64) float64 {
	d.check()
	discordant := min(1, d.Discordant+math.Abs(drop))
	if d.Pictures == 0 || d.Seeds == 0 || discordant == 0 || math.Abs(drop) > 1 {
		return 0
	}
	seeds, common := float64(d.Seeds), math.Abs(drop)-drop*drop
	effect := seeds
	if independent := discordant - drop*drop; independent > 0 {
		effect = min(max((discordant-math.Abs(drop)+seeds*common)/independent, 1), seeds)
	}
	d.Pictures = max(1, int(math.Round(float64(d.Pictures)*seeds/effect)))
	n, first := float64(d.Pictures), (1+drop/discordant)/2
	mean, std := n*discordant, math.Sqrt(n*discordant*(1-discordant))
	low, high := max(0, int(mean-8*std)), min(d.Pictures, int(math.Ceil(mean+8*std)))
	step := max(1, (high-low)/128) // the power changes slowly with the number
	found, all := 0.0, 0.0
	for k := low; k <= high; k += step {
		weight := binomial(k, d.Pictures, discordant)
		all += weight
		// b more first ones of k reject the easier, the more they are.
		b := sort.Search(k+1, func(b int) bool { return d.p(b, k-b) <= d.Alpha })
		found += weight * upperBinomial(b, k, first)
	}
	return found / all
}

// SmallestDrop is the least drop that is found with this power, +∞ where none is. Less than it may be found, too, with
// less luck.
func (d SeedDesign) SmallestDrop(power float64) float64 {
	checkPower(power)
	if !d.CanReject() {
		return math.Inf(1)
	}
	if d.Std == 0 {
		return d.Margin
	}
	far := d.Margin + d.Std
	for d.Power(far) < power {
		far += far - d.Margin
	}
	return bisect(d.Margin, far, 1e-6*d.Std, func(drop float64) bool { return d.Power(drop) >= power })
}

// SmallestDrop is the least drop that is found with this power, +∞ where none is.
func (d PictureDesign) SmallestDrop(power float64) float64 {
	checkPower(power)
	if d.Power(1) < power {
		return math.Inf(1)
	}
	return bisect(d.Margin, 1, 1e-6, func(drop float64) bool { return d.Power(drop) >= power })
}

// most is how many seeds and pictures Needed looks at.
const (
	mostSeeds    = 1_000
	mostPictures = 10_000_000
)

// Needed is how many seeds find a drop with this power; ok is false where 1,000 don't, as of a drop within the margin.
func (d SeedDesign) Needed(drop, power float64) (seeds int, ok bool) {
	if drop <= d.Margin {
		return 0, false
	}
	for d.Seeds = 1; d.Seeds <= mostSeeds; d.Seeds++ {
		if d.Power(drop) >= power {
			return d.Seeds, true
		}
	}
	return 0, false
}

// SeedAlarms is the probability that a change of seed alone is found to be more than the margin: models of different seeds
// are different models, and Pictures asks about these very ones. std is the standard deviation of a side's share of right
// answers over seeds. The difference of the means is taken to be normal, and the test to reject where it exceeds the margin
// by the normal quantile of the discordant pictures' standard error.
func (d PictureDesign) SeedAlarms(std float64) float64 {
	d.check()
	if std == 0 || d.Pictures == 0 || d.Seeds == 0 {
		return 0
	}
	answers := math.Sqrt(d.Discordant / float64(d.Pictures*d.Seeds))
	return normal(-(d.Margin - normalQuantile(d.Alpha)*answers) / (std * math.Sqrt(2/float64(d.Seeds))))
}

// NeededSeeds is how many seeds find a drop with this power on the pictures there are; ok is false where 1,000 don't.
func (d PictureDesign) NeededSeeds(drop, power float64) (seeds int, ok bool) {
	enough := func(n int) bool {
		d.Seeds = n
		return d.Power(drop) >= power
	}
	if drop <= d.Margin || !enough(mostSeeds) {
		return 0, false
	}
	return 1 + sort.Search(mostSeeds, func(n int) bool { return enough(n + 1) }), true
}

// Needed is how many pictures find a drop with this power, to 1 %, with the seeds there are; ok is false where ten million
// don't, as of a drop within the margin.
func (d PictureDesign) Needed(drop, power float64) (pictures int, ok bool) {
	if drop <= d.Margin {
		return 0, false
	}
	enough := func(n int) bool {
		d.Pictures = n
		return d.Power(drop) >= power
	}
	low, high := 0, 1
	for !enough(high) {
		if low, high = high, 2*high; high > mostPictures {
			return 0, false
		}
	}
	for high-low > 1+high/100 {
		if middle := low + (high-low)/2; enough(middle) {
			high = middle
		} else {
			low = middle
		}
	}
	return high, true
}

func (d SeedDesign) check() {
	checkDesign(d.Seeds, d.Std, d.Margin, d.Alpha)
}

func (d PictureDesign) check() {
	checkDesign(min(d.Pictures, d.Seeds), d.Discordant, d.Margin, d.Alpha)
}

// checkDesign panics over figures that no design has: who read them has refused them before.
func checkDesign(n int, noise, margin, alpha float64) {
	checkMargin(margin)
	if n < 0 || !(noise >= 0 && finite(noise)) || !(alpha > 0 && alpha < 1) {
		panic(fmt.Sprintf("stats: there is no comparison of %d with a noise of %v at alpha %v", n, noise, alpha))
	}
}

func checkPower(power float64) {
	if !(power > 0 && power < 1) {
		panic(fmt.Sprintf("stats: a power of %v is not between 0 and 1", power))
	}
}

// rank is ⌊Alpha·2^n⌋, how many patterns may be as extreme as the data where they reject.
func (d SeedDesign) rank() float64 { return math.Floor(math.Ldexp(d.Alpha, d.Seeds)) }

// p is the p value of d ≤ Margin where the first side alone is right on b pictures and the second on c.
func (d PictureDesign) p(b, c int) float64 {
	greater, less := midPMcNemar(b, c)
	test := pictures{greater: greater, less: less, score: tango{float64(b), float64(c), float64(d.Pictures)}}
	return test.At(d.Margin).Greater
}

// leastTwoAbove is the probability that the mean of the least two of n standard normal values is above x: with the
// least at u, all others are above both u and 2x − u.
func leastTwoAbove(x float64, n int) float64 {
	return simpson(-9, 9, 720, func(u float64) float64 {
		return float64(n) * normalDensity(u) * math.Pow(normal(-max(u, 2*x-u)), float64(n-1))
	})
}
