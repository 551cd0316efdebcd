package kerneltest

import (
	"fmt"
	"testing"

	"github.com/ftrun/ftrun/internal/kernels"
)

func (s *suite) copyChannels(t *testing.T) {
	tests := []struct{ m, n, srcC, srcOff, dstC, dstOff int }{
		{100, 16, 16, 0, 48, 0}, {100, 16, 16, 0, 48, 16}, {100, 32, 32, 0, 48, 16}, {100, 16, 48, 32, 16, 0},
		{63, 15, 17, 1, 33, 7}, {63, 33, 33, 0, 34, 1}, {7, 1, 3, 2, 2, 0}, {1, 48, 70, 11, 64, 16}, {9, 0, 4, 4, 3, 3},
		{5000, 3, 5, 1, 4, 1},
	}
	for _, test := range tests {
		t.Run(fmt.Sprintf("%d rows, %d channels from %d of %d to %d of %d", test.m, test.n, test.srcOff, test.srcC,
			test.dstOff, test.dstC), func(t *testing.T) {
			r := newSource("channels")
			s.check(t, call{
				args: []arg{
					{name: "src", data: r.normal(test.m * test.srcC)},
					{name: "dst", data: r.normal(test.m * test.dstC), role: inout},
				},
				run: func(d kernels.Device, b []kernels.Buffer) error {
					return d.CopyChannels(test.m, test.n, b[0], test.srcC, test.srcOff, b[1], test.dstC, test.dstOff)
				},
			}, exact)
		})
	}
}

func (s *suite) toNCHW(t *testing.T)   { s.layout(t, kernels.Device.ToNCHW) }
func (s *suite) fromNCHW(t *testing.T) { s.layout(t, kernels.Device.FromNCHW) }

func (s *suite) layout(t *testing.T, turn func(d kernels.Device, n, h, w, c int, x, y kernels.Buffer) error) {
	for _, test := range [][3]int{{6, 6, 48}, {7, 7, 33}, {1, 1, 17}, {5, 3, 1}, {1, 9, 2}, {13, 11, 3}, {4, 4, 16}, {35, 33, 70}} {
		h, w, c := test[0], test[1], test[2]
		t.Run(fmt.Sprintf("%dx%dx%d", h, w, c), func(t *testing.T) {
			build := func(n int) call {
				return call{
					args: []arg{
						{name: "x", data: newSource("layout").normal(n * h * w * c), batched: true},
						{name: "y", data: zeros(n * h * w * c), role: out, batched: true},
					},
					run: func(d kernels.Device, b []kernels.Buffer) error { return turn(d, n, h, w, c, b[0], b[1]) },
				}
			}
			s.check(t, build(3), exact)
			s.checkPictures(t, build)
		})
	}
}
