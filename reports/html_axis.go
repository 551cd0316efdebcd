package reports

import (
	"math"
	"strconv"
	"strings"
)

// axis maps values to a chart's units, linearly or by their logarithm.
type axis struct {
	low, high float64 // of values, or of their logarithms to 10
	from, to  float64 // in units of the chart
	log       bool
}

func (a axis) at(v float64) float64 {
	if a.log {
		v = math.Log10(v)
	}
	v = min(max(v, a.low), a.high)
	return math.Round((a.from+(v-a.low)/(a.high-a.low)*(a.to-a.from))*10) / 10
}

// linear is an axis over round numbers that hold low and high, with some six ticks.
func linear(low, high, from, to float64) (axis, []tick) {
	if high-low < 1e-9*max(1, math.Abs(high)) {
		pad := max(math.Abs(high)*0.05, 1e-3)
		low, high = low-pad, high+pad
	}
	step := roundStep((high - low) / 5)
	a := axis{low: math.Floor(low/step+1e-9) * step, high: math.Ceil(high/step-1e-9) * step, from: from, to: to}
	digits := max(0, int(math.Ceil(-math.Log10(step)-1e-9)))
	var ticks []tick
	for i := range int(math.Round((a.high-a.low)/step)) + 1 {
		v := a.low + float64(i)*step
		if math.Abs(v) < step/2 {
			v = 0 // and not -0
		}
		ticks = append(ticks, tick{a.at(v), strconv.FormatFloat(v, 'f', digits, 64)})
	}
	return a, ticks
}

// roundStep is the next of 1, 2, 5 and their tenfold that is not less.
func roundStep(v float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 2, 5} {
		if v <= m*power*(1+1e-9) {
			return m * power
		}
	}
	return 10 * power
}

// logarithmic is an axis over the powers of ten about low and high; where these are few, 2 and 5 times them have ticks too.
func logarithmic(low, high, from, to float64) (axis, []tick) {
	a := axis{from: from, to: to, log: true}
	a.low, a.high = math.Log10(low), math.Log10(high)
	pad := max(0.06*(a.high-a.low), 0.06)
	a.low, a.high = a.low-pad, a.high+pad
	factors := []float64{1, 2, 5}
	every := 1
	if span := a.high - a.low; span > 2 {
		factors = factors[:1]
		every = int(math.Ceil(span / 6))
	}
	var ticks []tick
	for e := int(math.Floor(a.low)); e <= int(math.Ceil(a.high)); e++ {
		if e%every != 0 {
			continue
		}
		for _, f := range factors {
			v := f * math.Pow(10, float64(e))
			if l := math.Log10(v); l >= a.low && l <= a.high {
				ticks = append(ticks, tick{a.at(v), short(v)})
			}
		}
	}
	return a, ticks
}

// short writes a number of parameters, or a loss, in few characters: 500, 2k, 11M, 1e30.
func short(v float64) string {
	if v >= 1e12 {
		return strings.Replace(strconv.FormatFloat(v, 'g', 3, 64), "e+", "e", 1)
	}
	for _, unit := range []struct {
		size float64
		name string
	}{{1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
		if v >= unit.size*0.9995 {
			return strconv.FormatFloat(v/unit.size, 'g', 3, 64) + unit.name
		}
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}

// epochAxis is an axis over whole epochs from 1.
func epochAxis(last int) (axis, []tick) {
	a := axis{low: 1, high: float64(last), from: frameLeft + 8, to: frameRight - 8}
	if last == 1 {
		a.low, a.high = 0, 2
		return a, []tick{{a.at(1), "1"}}
	}
	step := max(1, int(roundStep(float64(last-1)/6)))
	ticks := []tick{{a.at(1), "1"}}
	for e := step; e <= last; e += step {
		if e > 1 && (e-1)*6 >= step { // not over the first
			ticks = append(ticks, tick{a.at(float64(e)), strconv.Itoa(e)})
		}
	}
	return a, ticks
}
