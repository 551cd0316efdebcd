package stats

import (
	"math"

	"gonum.org/v1/gonum/mathext"
)

// normal is the standard normal distribution function.
func normal(z float64) float64 { return 0.5 * math.Erfc(-z/math.Sqrt2) }

// normalQuantile is its inverse: −∞ for 0, +∞ for 1.
func normalQuantile(p float64) float64 { return -math.Sqrt2 * math.Erfcinv(2*p) }

func normalDensity(x float64) float64 { return math.Exp(-x*x/2) / math.Sqrt(2*math.Pi) }

// studentQuantile is the p quantile of Student's t with nu degrees of freedom, for p from 1/2, by the incomplete beta
// function: P(|T| > t) = I_x(nu/2, 1/2) with x = nu/(nu + t²) (NIST Handbook of Mathematical Functions, 8.17; Abramowitz
// and Stegun, 26.7.1).
func studentQuantile(p, nu float64) float64 {
	x := mathext.InvRegIncBeta(nu/2, 0.5, 2*(1-p))
	return math.Sqrt(nu * (1 - x) / x)
}

// noncentralAbove is P(T > t) of the noncentral t with nu degrees of freedom: T = (Z + delta)/S with nu·S² of the χ²
// distribution, so it is the mean of Φ(delta − t·S) (N. L. Johnson, S. Kotz and N. Balakrishnan, Continuous Univariate
// Distributions, vol. 2, 2nd ed., § 31.2).
func noncentralAbove(t, nu, delta float64) float64 {
	gamma, _ := math.Lgamma(nu / 2)
	constant := math.Ln2 + nu/2*math.Log(nu/2) - gamma
	reach := 8 / math.Sqrt(2*nu)
	return simpson(max(1e-9, 1-reach), 1+reach, 400, func(s float64) float64 {
		return normal(delta-t*s) * math.Exp(constant+(nu-1)*math.Log(s)-nu*s*s/2)
	})
}

// binomial is P(X = k) of n trials at p.
func binomial(k, n int, p float64) float64 {
	switch {
	case p == 1 && k == n:
		return 1
	case p == 1:
		return 0
	}
	return math.Exp(logChoose(n, k) + float64(k)*math.Log(p) + float64(n-k)*math.Log1p(-p))
}

// upperBinomial is P(X ≥ k) of n trials at p, by the incomplete beta function (NIST Handbook, 8.17.5).
func upperBinomial(k, n int, p float64) float64 {
	switch {
	case k == 0:
		return 1
	case k > n:
		return 0
	}
	return mathext.RegIncBeta(float64(k), float64(n-k+1), p)
}

func logChoose(n, k int) float64 {
	all, _ := math.Lgamma(float64(n + 1))
	in, _ := math.Lgamma(float64(k + 1))
	out, _ := math.Lgamma(float64(n - k + 1))
	return all - in - out
}

// simpson integrates f by Simpson's rule over an even number of steps.
func simpson(low, high float64, steps int, f func(float64) float64) float64 {
	width := (high - low) / float64(steps)
	sum := f(low) + f(high)
	for i := 1; i < steps; i++ {
		sum += float64(2+2*(i%2)) * f(low+float64(i)*width)
	}
	return sum * width / 3
}
