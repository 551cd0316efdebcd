package stats

import "testing"

// The figures are scipy 1.17.1's: scipy.stats.nct.sf(t, nu, delta), and scipy.stats.t.ppf(p, nu).
func TestStudent(t *testing.T) {
	for _, c := range []struct{ p, nu, want float64 }{
		{0.95, 4, 2.1318467863266495}, {0.975, 14, 2.144786687917804}, {0.96875, 4, 2.5620843191440907}, {0.99, 1, 31.820515953773935},
	} {
		near(t, "quantile", studentQuantile(c.p, c.nu), c.want, 1e-9)
	}
	for _, c := range []struct{ t, nu, delta, want float64 }{
		{2.13, 4, 3, 0.7915500523918034}, {2.015, 5, 0, 0.05000308616349344}, {1.7, 30, 2.5, 0.7868133867771725},
	} {
		near(t, "noncentral", noncentralAbove(c.t, c.nu, c.delta), c.want, 1e-7)
	}
}
