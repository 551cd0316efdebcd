package cpu

import (
	"fmt"
	"testing"

	"github.com/ftrun/ftrun/internal/kernels"
)

// kept is what the fields of a scratch hold.
func (s *scratch) kept() lengths {
	return lengths{
		weights: cap(s.weights), partial: cap(s.partial), factors: cap(s.factors), squares: cap(s.squares), band: cap(s.band),
		panel: cap(s.panel), maxima: cap(s.maxima), winograd: cap(s.winograd), filters: cap(s.filters),
		products: cap(s.products), edge: cap(s.edge), between: cap(s.between),
	}
}

// TestMeter runs each operation on a device and on its Meter, and wants the scratch memory that the Meter tells.
func TestMeter(t *testing.T) {
	base := kernels.Conv{N: 3, H: 20, W: 20, C: 24, K: 40, R: 3, S: 3, StrideH: 1, StrideW: 1, PadH: 1, PadW: 1, Groups: 1}
	like := func(change func(c *kernels.Conv)) kernels.Conv {
		c := base
		change(&c)
		return c
	}
	type operation struct {
		name string
		run  func(d kernels.Device, buffer func(int) kernels.Buffer) error
	}
	var operations []operation
	for _, conv := range []struct {
		name string
		kernels.Conv
	}{
		{"direct", base},
		{"large", like(func(c *kernels.Conv) { c.H, c.W, c.C, c.R, c.S, c.PadH, c.PadW = 80, 80, 32, 5, 5, 2, 2 })},
		{"strided", like(func(c *kernels.Conv) { c.StrideH, c.StrideW = 2, 2 })},
		{"without padding", like(func(c *kernels.Conv) { c.PadH, c.PadW = 0, 0 })},
		{"1x1", like(func(c *kernels.Conv) { c.R, c.S, c.PadH, c.PadW = 1, 1, 0, 0 })},
		{"strided 1x1", like(func(c *kernels.Conv) { c.R, c.S, c.PadH, c.PadW, c.StrideH, c.StrideW = 1, 1, 0, 0, 2, 2 })},
		{"of few channels", like(func(c *kernels.Conv) { c.C, c.H, c.W = 3, 40, 40 })},
		{"in groups", like(func(c *kernels.Conv) { c.Groups = 4 })},
		{"depthwise", like(func(c *kernels.Conv) { c.K, c.Groups = c.C, c.C })},
		{"small weights", like(func(c *kernels.Conv) { c.N, c.C, c.K = 16, 8, 8 })},
		{"by F(2,3)", like(func(c *kernels.Conv) { c.Numerics = kernels.Default })},
		{"by F(2,3), one picture", like(func(c *kernels.Conv) { c.N, c.H, c.W, c.Numerics = 1, 8, 8, kernels.Default })},
		{"by F(4,3)", like(func(c *kernels.Conv) { c.Numerics = kernels.Fast })},
		{"by F(2,3), deep", like(func(c *kernels.Conv) { c.H, c.W, c.C, c.K, c.Numerics = 5, 5, 512, 272, kernels.Default })},
		{"by F(2,3), deep in parts", like(func(c *kernels.Conv) {
			c.N, c.H, c.W, c.C, c.K, c.Numerics = 32, 7, 7, 512, 272, kernels.Default
		})},
	} {
		name := func(method string) string { return method + " " + conv.name }
		c := conv.Conv
		operations = append(operations,
			operation{name("ConvForward"), func(d kernels.Device, b func(int) kernels.Buffer) error {
				return d.ConvForward(c, b(c.LenX()), b(c.LenW()), nil, b(c.LenY()), kernels.ReLU)
			}},
			operation{name("PackWeights"), func(d kernels.Device, b func(int) kernels.Buffer) error {
				return d.PackWeights(c, b(c.LenW()), b(d.PackedLen(c)))
			}},
			operation{name("ConvForwardPacked"), func(d kernels.Device, b func(int) kernels.Buffer) error {
				y := b(c.LenY())
				return d.ConvForwardPacked(c, b(c.LenX()), b(d.PackedLen(c)), b(c.K), y, y, kernels.ReLU)
			}},
			operation{name("ConvBackwardData"), func(d kernels.Device, b func(int) kernels.Buffer) error {
				return d.ConvBackwardData(c, b(c.LenW()), b(c.LenY()), b(c.LenX()))
			}},
			operation{name("ConvBackwardWeights"), func(d kernels.Device, b func(int) kernels.Buffer) error {
				return d.ConvBackwardWeights(c, b(c.LenX()), b(c.LenY()), b(c.LenW()))
			}})
	}
	l := kernels.Linear{N: 5, I: 300, O: 70}
	pool := kernels.Pool{N: 2, H: 12, W: 12, C: 20, P: 6, Q: 6, R: 3, S: 3, StrideH: 2, StrideW: 2, PadH: 1, PadW: 1}
	const m, n = 900, 20
	operations = append(operations,
		operation{"LinearForward", func(d kernels.Device, b func(int) kernels.Buffer) error {
			return d.LinearForward(l, b(l.N*l.I), b(l.O*l.I), b(l.O), b(l.N*l.O), kernels.ReLU)
		}},
		operation{"LinearBackwardData", func(d kernels.Device, b func(int) kernels.Buffer) error {
			return d.LinearBackwardData(l, b(l.O*l.I), b(l.N*l.O), b(l.N*l.I))
		}},
		operation{"LinearBackwardWeights", func(d kernels.Device, b func(int) kernels.Buffer) error {
			return d.LinearBackwardWeights(l, b(l.N*l.I), b(l.N*l.O), b(l.O*l.I))
		}},
		operation{"SumRows", func(d kernels.Device, b func(int) kernels.Buffer) error {
			return d.SumRows(m, n, b(m*n), b(n))
		}},
		operation{"BatchNormStats", func(d kernels.Device, b func(int) kernels.Buffer) error {
			return d.BatchNormStats(m, n, b(m*n), b(n), b(n), b(n), b(n), 0.1, 1e-5)
		}},
		operation{"BatchNormApply", func(d kernels.Device, b func(int) kernels.Buffer) error {
			return d.BatchNormApply(m, n, b(m*n), b(n), b(n), b(n), b(n), nil, b(m*n), kernels.ReLU)
		}},
		operation{"BatchNormReduce", func(d kernels.Device, b func(int) kernels.Buffer) error {
			return d.BatchNormReduce(m, n, b(m*n), b(m*n), b(n), b(n), b(n), b(n), b(n), b(n), kernels.ReLU)
		}},
		operation{"BatchNormBackwardData", func(d kernels.Device, b func(int) kernels.Buffer) error {
			return d.BatchNormBackwardData(m, n, b(m*n), b(m*n), b(n), b(n), b(n), b(n), b(n), b(n), b(m*n), kernels.ReLU)
		}},
		operation{"MaxPoolBackward", func(d kernels.Device, b func(int) kernels.Buffer) error {
			return d.MaxPoolBackward(pool, b(pool.LenX()), b(pool.LenY()), b(pool.LenY()), b(pool.LenX()))
		}},
		operation{"SumSquares", func(d kernels.Device, b func(int) kernels.Buffer) error {
			_, err := d.SumSquares(b(40_000))
			return err
		}})

	for p := generic; p <= bestPath(); p++ {
		t.Setenv(pathVariable, p.String())
		for _, threads := range []int{1, 2, 3} {
			if p == generic && threads != 2 {
				continue // it is slow, and the drivers are the same
			}
			for _, o := range operations {
				t.Run(fmt.Sprintf("%s/%d/%s", p, threads, o.name), func(t *testing.T) {
					d, err := New(threads)
					if err != nil {
						t.Fatal(err)
					}
					defer d.Close()
					told := d.Meter(threads).(*meter)
					run := func(d kernels.Device) {
						err := o.run(d, func(n int) kernels.Buffer {
							b, _ := d.Alloc(n)
							return b
						})
						if err != nil {
							t.Fatal(err)
						}
					}
					run(told)
					run(d)
					if got := d.shared.kept(); got != told.shared {
						t.Errorf("the threads share %+v, told %+v", got, told.shared)
					}
					var worker lengths
					for i := range d.workers {
						worker = worker.atLeast(d.workers[i].kept())
					}
					if worker != told.worker {
						t.Errorf("a thread has %+v, told %+v", worker, told.worker)
					}
				})
			}
		}
	}
}

// atLeast is the greater of each length.
func (l lengths) atLeast(o lengths) lengths {
	return lengths{
		max(l.weights, o.weights), max(l.partial, o.partial), max(l.factors, o.factors), max(l.squares, o.squares), max(l.band, o.band),
		max(l.panel, o.panel), max(l.maxima, o.maxima), max(l.winograd, o.winograd), max(l.filters, o.filters),
		max(l.products, o.products), max(l.edge, o.edge), max(l.between, o.between),
	}
}
