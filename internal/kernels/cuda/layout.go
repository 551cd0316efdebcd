//go:build gpu

package cuda

import (
	"fmt"

	"gorgonia.org/cu"

	"github.com/ftrun/ftrun/internal/kernels"
)

// CopyChannels: channels [srcOff, srcOff+n) of src (M,srcC) → channels [dstOff, dstOff+n) of dst (M,dstC).
func (d *Device) CopyChannels(m, n int, src kernels.Buffer, srcC, srcOff int, dst kernels.Buffer, dstC, dstOff int) error {
	const op = "CopyChannels"
	if n < 0 || srcOff < 0 || srcOff+n > srcC || dstOff < 0 || dstOff+n > dstC {
		panic(fmt.Sprintf("cuda: %s: %d channels do not go from %d of %d to %d of %d", op, n, srcOff, srcC, dstOff, dstC))
	}
	return d.launch("copy_channels", m*n, m, n, d.memory(op, "src", src, m*srcC), srcC, srcOff, d.memory(op, "dst", dst, m*dstC), dstC,
		dstOff)
}

// ToNCHW: x (N,H,W,C) → y (N,C,H,W).
func (d *Device) ToNCHW(n, h, w, c int, x, y kernels.Buffer) error {
	const op = "ToNCHW"
	return d.transpose(n, h*w, c, d.memory(op, "x", x, n*h*w*c), d.memory(op, "y", y, n*h*w*c))
}

// FromNCHW: x (N,C,H,W) → y (N,H,W,C).
func (d *Device) FromNCHW(n, h, w, c int, x, y kernels.Buffer) error {
	const op = "FromNCHW"
	return d.transpose(n, c, h*w, d.memory(op, "x", x, n*h*w*c), d.memory(op, "y", y, n*h*w*c))
}

// transpose: x (N,rows,cols) → y (N,cols,rows).
func (d *Device) transpose(n, rows, cols int, x, y cu.DevicePtr) error {
	return d.launch("transpose", n*rows*cols, x, y, n, rows, cols)
}
