package nn

import "fmt"

// TooSmallError says that a layer's result would have no rows or columns: the picture is too small for the network.
type TooSmallError struct {
	Arch  string
	Layer string
	In    Shape // of the layer
}

func (e *TooSmallError) Error() string {
	return fmt.Sprintf("the picture is too small for %s: the result of %s, from an input of %v, would be empty",
		e.Arch, e.Layer, e.In)
}

// one returns the only input, which most operations have.
func one(in []Shape) (Shape, error) {
	if len(in) != 1 {
		return Shape{}, fmt.Errorf("takes one input, got %d", len(in))
	}
	return in[0], nil
}

// windows is the number of places of a window of k elements that moves by stride over size elements with pad zeros on
// either side: torch's floor mode. It is at most 0 where the window does not fit.
func windows(size, k, stride, pad int) int {
	if size+2*pad < k {
		return 0
	}
	return (size+2*pad-k)/stride + 1
}

// ceilWindows is windows in torch's ceil_mode: a last window may reach past the end, and be wider than all there is, but
// must begin inside the elements or the padding before them (pooling_output_shape in ATen/native/Pool.h).
func ceilWindows(size, k, stride, pad int) int {
	beyond := size + 2*pad - k + stride - 1
	if beyond < 0 {
		return 0
	}
	n := beyond/stride + 1
	if (n-1)*stride >= size+pad {
		n--
	}
	return n
}

func (o Conv2d) infer(in []Shape) (Shape, error) {
	x, err := one(in)
	if err != nil {
		return Shape{}, err
	}
	g := o.groups()
	if o.Out < 1 || o.Kernel[0] < 1 || o.Kernel[1] < 1 || x.C%g != 0 || o.Out%g != 0 {
		return Shape{}, fmt.Errorf("%+v does not fit an input of %v", o, x)
	}
	s := o.stride()
	return Shape{
		H: windows(x.H, o.Kernel[0], s[0], o.Padding[0]),
		W: windows(x.W, o.Kernel[1], s[1], o.Padding[1]),
		C: o.Out,
	}, nil
}

// stride and groups are the settings with their defaults filled in.
func (o Conv2d) stride() [2]int { return [2]int{max(o.Stride[0], 1), max(o.Stride[1], 1)} }
func (o Conv2d) groups() int    { return max(o.Groups, 1) }

func (o BatchNorm2d) infer(in []Shape) (Shape, error) { return one(in) }
func (o Activate) infer(in []Shape) (Shape, error)    { return one(in) }

func (o Dropout) infer(in []Shape) (Shape, error) {
	if o.P < 0 || o.P >= 1 {
		return Shape{}, fmt.Errorf("a probability of %v is outside [0, 1)", o.P)
	}
	return one(in)
}

func (o MaxPool2d) infer(in []Shape) (Shape, error) {
	x, err := one(in)
	if err != nil {
		return Shape{}, err
	}
	if o.Kernel < 1 || o.Stride < 1 || 2*o.Padding > o.Kernel {
		return Shape{}, fmt.Errorf("%+v: kernel and stride must be at least 1, padding at most half the kernel", o)
	}
	f := windows
	if o.Ceil {
		f = ceilWindows
	}
	return Shape{H: f(x.H, o.Kernel, o.Stride, o.Padding), W: f(x.W, o.Kernel, o.Stride, o.Padding), C: x.C}, nil
}

func (o AvgPool2d) infer(in []Shape) (Shape, error) {
	return MaxPool2d{Kernel: o.Kernel, Stride: o.Stride, Padding: o.Padding}.infer(in)
}

func (o AdaptiveAvgPool2d) infer(in []Shape) (Shape, error) {
	x, err := one(in)
	if err != nil {
		return Shape{}, err
	}
	if o.H < 1 || o.W < 1 {
		return Shape{}, fmt.Errorf("a result of %d×%d", o.H, o.W)
	}
	return Shape{H: o.H, W: o.W, C: x.C}, nil
}

func (Flatten) infer(in []Shape) (Shape, error) {
	x, err := one(in)
	return Shape{H: 1, W: 1, C: x.Len()}, err
}

func (o Linear) infer(in []Shape) (Shape, error) {
	x, err := one(in)
	if err != nil {
		return Shape{}, err
	}
	if x.H != 1 || x.W != 1 || o.Out < 1 {
		return Shape{}, fmt.Errorf("%+v of an input of %v, which is not a vector", o, x)
	}
	return Shape{H: 1, W: 1, C: o.Out}, nil
}

func (Concat) infer(in []Shape) (Shape, error) {
	if len(in) < 2 {
		return Shape{}, fmt.Errorf("takes two inputs or more, got %d", len(in))
	}
	out := in[0]
	for _, x := range in[1:] {
		if x.H != out.H || x.W != out.W {
			return Shape{}, fmt.Errorf("inputs differ in rows or columns: %v", in)
		}
		out.C += x.C
	}
	return out, nil
}

func (Add) infer(in []Shape) (Shape, error) {
	if len(in) < 2 {
		return Shape{}, fmt.Errorf("takes two inputs or more, got %d", len(in))
	}
	for _, x := range in[1:] {
		if x != in[0] {
			return Shape{}, fmt.Errorf("inputs differ: %v", in)
		}
	}
	return in[0], nil
}
