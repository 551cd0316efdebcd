package data

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
)

// Op is one step between a decoded picture and a network's input. Names, parameters, defaults and distributions are those
// of torchvision.transforms on PIL pictures.
type Op interface {
	// Kind is the name in configuration files.
	Kind() string
	check() error
	// apply returns the changed picture: img itself, or memory of s. It may write to img only where img is s's own.
	apply(img *Image, size int, r *stream, s *scratch) (*Image, error)
}

// ResizeOp scales the shorter side to Size pixels and the other to int(Size·long/short).
type ResizeOp struct{ Size int }

// CenterCrop cuts the middle out; a picture smaller than that is set in black.
type CenterCrop struct{}

// RandomResizedCrop cuts out a part whose share of the area is uniform in Scale and whose width by height is log-uniform
// in Ratio, and scales it to the size of the input: ten tries to fit it, then the greatest middle part within Ratio.
type RandomResizedCrop struct{ Scale, Ratio [2]float64 }

// RandomCrop cuts out a part of the size of the input, after Padding black pixels were set around the picture.
type RandomCrop struct{ Padding int }

// HFlip mirrors left and right, with probability P.
type HFlip struct{ P float64 }

// VFlip mirrors top and bottom, with probability P.
type VFlip struct{ P float64 }

// ColorJitter changes brightness, contrast, saturation and hue by factors uniform in the given ranges, in random order.
// Factors of 1 and a hue of 0 leave a picture as it is; a range of these alone is skipped.
type ColorJitter struct {
	Brightness, Contrast, Saturation [2]float64 // 0 ≤ low ≤ high
	Hue                              [2]float64 // turns of the colour wheel, within [-0.5, 0.5]
}

// RandomRotation turns the picture counter-clockwise about its middle by an angle uniform in Degrees; nearest neighbour,
// black corners.
type RandomRotation struct{ Degrees [2]float64 }

func (ResizeOp) Kind() string          { return "resize" }
func (CenterCrop) Kind() string        { return "center_crop" }
func (RandomResizedCrop) Kind() string { return "random_resized_crop" }
func (RandomCrop) Kind() string        { return "random_crop" }
func (HFlip) Kind() string             { return "hflip" }
func (VFlip) Kind() string             { return "vflip" }
func (ColorJitter) Kind() string       { return "color_jitter" }
func (RandomRotation) Kind() string    { return "random_rotation" }

// opKind makes one kind of Op from its parameters.
type opKind struct {
	params []string
	make   func(p *params) Op
}

var opKinds = map[string]opKind{
	"resize":      {[]string{"size"}, func(p *params) Op { return ResizeOp{p.integer("size", 256)} }},
	"center_crop": {nil, func(*params) Op { return CenterCrop{} }},
	"random_resized_crop": {[]string{"scale", "ratio"}, func(p *params) Op {
		return RandomResizedCrop{p.pair("scale", 0.08, 1), p.pair("ratio", 3.0/4, 4.0/3)}
	}},
	"random_crop": {[]string{"padding"}, func(p *params) Op { return RandomCrop{p.integer("padding", 0)} }},
	"hflip":       {[]string{"p"}, func(p *params) Op { return HFlip{p.number("p", 0.5)} }},
	"vflip":       {[]string{"p"}, func(p *params) Op { return VFlip{p.number("p", 0.5)} }},
	"color_jitter": {[]string{"brightness", "contrast", "saturation", "hue"}, func(p *params) Op {
		return ColorJitter{p.around("brightness", 1), p.around("contrast", 1), p.around("saturation", 1), p.around("hue", 0)}
	}},
	"random_rotation": {[]string{"degrees"}, func(p *params) Op {
		if !p.has("degrees") {
			p.fail("degrees", "is missing: give the largest angle, as in degrees = 10")
		}
		return RandomRotation{p.around("degrees", 0)}
	}},
}

// OpKinds are the names that NewOp knows, sorted.
func OpKinds() []string {
	names := make([]string, 0, len(opKinds))
	for name := range opKinds {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// OpParams are the parameters that kind takes, or nil where there is no such kind.
func OpParams(kind string) []string { return opKinds[kind].params }

// NewOp makes the operation of a configuration file: its kind, and parameters that are each a number or two numbers
// (low, high). What is left out is torchvision's default; a factor or angle x given as one number means [1−x, 1+x]
// (color_jitter) or [−x, x] (hue, degrees). Unknown names and values out of range are errors, told all at once.
func NewOp(kind string, parameters map[string][]float64) (Op, error) {
	k, ok := opKinds[kind]
	if !ok {
		return nil, fmt.Errorf("there is no operation %q; there are %s", kind, strings.Join(OpKinds(), ", "))
	}
	p := &params{kind: kind, values: parameters}
	names := make([]string, 0, len(parameters))
	for name := range parameters {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if !slices.Contains(k.params, name) {
			takes := "takes no parameters"
			if len(k.params) > 0 {
				takes = "takes " + strings.Join(k.params, ", ")
			}
			p.errs = append(p.errs, fmt.Errorf("%s has no parameter %q: it %s", kind, name, takes))
		}
	}
	op := k.make(p)
	if err := errors.Join(p.errs...); err != nil {
		return nil, err
	}
	if err := op.check(); err != nil {
		return nil, err
	}
	return op, nil
}

// params reads an operation's parameters and collects what is wrong with them.
type params struct {
	kind   string
	values map[string][]float64
	errs   []error
}

func (p *params) has(name string) bool { _, ok := p.values[name]; return ok }

func (p *params) fail(name, what string) {
	p.errs = append(p.errs, fmt.Errorf("%s: %s %s", p.kind, name, what))
}

func (p *params) number(name string, otherwise float64) float64 {
	v, ok := p.values[name]
	if !ok {
		return otherwise
	}
	if len(v) != 1 {
		p.fail(name, "must be one number")
		return otherwise
	}
	return v[0]
}

func (p *params) integer(name string, otherwise int) int {
	v := p.number(name, float64(otherwise))
	if v != math.Trunc(v) || math.Abs(v) > 1<<20 {
		p.fail(name, fmt.Sprintf("must be a whole number of pixels, not %v", v))
		return otherwise
	}
	return int(v)
}

func (p *params) pair(name string, lo, hi float64) [2]float64 {
	v, ok := p.values[name]
	if !ok {
		return [2]float64{lo, hi}
	}
	if len(v) != 2 {
		p.fail(name, "must be two numbers, the low and the high end")
		return [2]float64{lo, hi}
	}
	return [2]float64{v[0], v[1]}
}

// around reads a range given by its ends or by its greatest distance from the middle; factors do not go below 0.
func (p *params) around(name string, middle float64) [2]float64 {
	v := p.values[name]
	switch len(v) {
	case 0:
		return [2]float64{middle, middle}
	case 1:
		if v[0] < 0 {
			p.fail(name, fmt.Sprintf("must not be negative, but is %v", v[0]))
			return [2]float64{middle, middle}
		}
		lo := middle - v[0]
		if middle > 0 {
			lo = max(lo, 0)
		}
		return [2]float64{lo, middle + v[0]}
	}
	return p.pair(name, middle, middle)
}

func checkRange(kind, name string, r [2]float64, lo, hi float64) error {
	if !(lo <= r[0] && r[0] <= r[1] && r[1] <= hi) {
		return fmt.Errorf("%s: %s = [%v, %v] must rise and lie within [%v, %v]", kind, name, r[0], r[1], lo, hi)
	}
	return nil
}

func checkProbability(kind string, p float64) error {
	if !(0 <= p && p <= 1) {
		return fmt.Errorf("%s: p = %v must lie within [0, 1]", kind, p)
	}
	return nil
}

func (o ResizeOp) check() error {
	if o.Size < 1 || o.Size > 1<<14 {
		return fmt.Errorf("resize: size = %d must lie within [1, %d] pixels", o.Size, 1<<14)
	}
	return nil
}

func (CenterCrop) check() error { return nil }

func (o RandomResizedCrop) check() error {
	errs := []error{
		checkRange(o.Kind(), "scale", o.Scale, 0, 1),
		checkRange(o.Kind(), "ratio", o.Ratio, 0.01, 100),
	}
	if o.Scale[1] == 0 {
		errs = append(errs, errors.New("random_resized_crop: scale = [0, 0] leaves nothing of the picture"))
	}
	return errors.Join(errs...)
}

func (o RandomCrop) check() error {
	if o.Padding < 0 || o.Padding > 1<<12 {
		return fmt.Errorf("random_crop: padding = %d must lie within [0, %d] pixels", o.Padding, 1<<12)
	}
	return nil
}

func (o HFlip) check() error { return checkProbability(o.Kind(), o.P) }
func (o VFlip) check() error { return checkProbability(o.Kind(), o.P) }

func (o ColorJitter) check() error {
	if (o == ColorJitter{[2]float64{1, 1}, [2]float64{1, 1}, [2]float64{1, 1}, [2]float64{0, 0}}) {
		return errors.New("color_jitter changes nothing: give brightness, contrast, saturation or hue")
	}
	return errors.Join(
		checkRange(o.Kind(), "brightness", o.Brightness, 0, math.MaxFloat32),
		checkRange(o.Kind(), "contrast", o.Contrast, 0, math.MaxFloat32),
		checkRange(o.Kind(), "saturation", o.Saturation, 0, math.MaxFloat32),
		checkRange(o.Kind(), "hue", o.Hue, -0.5, 0.5),
	)
}

func (o RandomRotation) check() error {
	return checkRange(o.Kind(), "degrees", o.Degrees, -360, 360)
}

// resized is torchvision's size after Resize(size): the shorter side is size, the longer int(size·long/short).
func resized(w, h, size int) (int, int) {
	if w <= h {
		return size, size * h / w
	}
	return size * w / h, size
}

// centered is where torchvision begins the middle part: Python's round, halves to even.
func centered(outer, inner int) int {
	return int(math.RoundToEven(float64(outer-inner) / 2))
}

func (o ResizeOp) apply(img *Image, _ int, _ *stream, s *scratch) (*Image, error) {
	w, h := resized(img.W, img.H, o.Size)
	if w == img.W && h == img.H {
		return img, nil
	}
	if err := checkSize(w, h); err != nil {
		return nil, fmt.Errorf("resize to %d: %w", o.Size, err)
	}
	out := s.next(w, h)
	resizeInto(out, img, Rect{0, 0, img.W, img.H}, w, h, 0, 0, true, s)
	return out, nil
}

// resizeCenterCrop is Resize and CenterCrop in one, computing what the crop keeps only.
func resizeCenterCrop(dst, img *Image, resize int, s *scratch) error {
	w, h := resized(img.W, img.H, resize)
	if err := checkSize(w, h); err != nil {
		return fmt.Errorf("resize to %d: %w", resize, err)
	}
	resizeInto(dst, img, Rect{0, 0, img.W, img.H}, w, h, centered(w, dst.W), centered(h, dst.H), true, s)
	return nil
}

func (CenterCrop) apply(img *Image, size int, _ *stream, s *scratch) (*Image, error) {
	if img.W == size && img.H == size {
		return img, nil
	}
	if img.W >= size && img.H >= size {
		return cut(img, centered(img.W, size), centered(img.H, size), size, s), nil
	}
	// torchvision pads the lacking side with (size−w)/2 left and (size−w+1)/2 right, then crops.
	left, top := -((size - img.W) / 2), -((size - img.H) / 2)
	if img.W >= size {
		left = centered(img.W, size)
	}
	if img.H >= size {
		top = centered(img.H, size)
	}
	return cut(img, left, top, size, s), nil
}

// cut returns size×size pixels of img from (left, top); what lies outside is black.
func cut(img *Image, left, top, size int, s *scratch) *Image {
	out := s.next(size, size)
	x0, x1 := max(left, 0), min(left+size, img.W)
	for y := range size {
		row := out.Pix[3*y*size : 3*(y+1)*size]
		if iy := y + top; iy < 0 || iy >= img.H || x0 >= x1 {
			clear(row)
			continue
		}
		clear(row[:3*(x0-left)])
		copy(row[3*(x0-left):], img.Pix[3*((y+top)*img.W+x0):3*((y+top)*img.W+x1)])
		clear(row[3*(x1-left):])
	}
	return out
}

// box draws the part of a w×h picture; it may reach beyond by the padding.
func (o RandomCrop) box(w, h, size int, r *stream) (Rect, error) {
	w, h = w+2*o.Padding, h+2*o.Padding
	if w < size || h < size {
		return Rect{}, fmt.Errorf("random_crop: %d×%d pixels with padding are less than the crop's %d: resize to more first",
			w, h, size)
	}
	top := r.intn(h - size + 1)
	left := r.intn(w - size + 1)
	return Rect{left - o.Padding, top - o.Padding, size, size}, nil
}

func (o RandomCrop) apply(img *Image, size int, r *stream, s *scratch) (*Image, error) {
	box, err := o.box(img.W, img.H, size, r)
	if err != nil {
		return nil, err
	}
	return cut(img, box.X, box.Y, size, s), nil
}

// box draws the part of a w×h picture (torchvision's RandomResizedCrop.get_params).
func (o RandomResizedCrop) box(w, h int, r *stream) Rect {
	area := float64(w) * float64(h)
	lo, hi := math.Log(o.Ratio[0]), math.Log(o.Ratio[1])
	for range 10 {
		target := area * r.uniform(o.Scale[0], o.Scale[1])
		ratio := math.Exp(r.uniform(lo, hi))
		bw := int(math.RoundToEven(math.Sqrt(target * ratio)))
		bh := int(math.RoundToEven(math.Sqrt(target / ratio)))
		if 0 < bw && bw <= w && 0 < bh && bh <= h {
			y := r.intn(h - bh + 1)
			x := r.intn(w - bw + 1)
			return Rect{x, y, bw, bh}
		}
	}
	bw, bh := w, h
	if in := float64(w) / float64(h); in < o.Ratio[0] {
		bh = min(max(int(math.RoundToEven(float64(w)/o.Ratio[0])), 1), h)
	} else if in > o.Ratio[1] {
		bw = min(max(int(math.RoundToEven(float64(h)*o.Ratio[1])), 1), w)
	}
	return Rect{(w - bw) / 2, (h - bh) / 2, bw, bh}
}

func (o RandomResizedCrop) apply(img *Image, size int, r *stream, s *scratch) (*Image, error) {
	box := o.box(img.W, img.H, r)
	out := s.next(size, size)
	resizeInto(out, img, box, size, size, 0, 0, false, s)
	return out, nil
}

// flips draws whether a flip of that probability is done.
func flips(p float64, r *stream) bool { return r.float64() < p }

func (o HFlip) apply(img *Image, _ int, r *stream, s *scratch) (*Image, error) {
	if !flips(o.P, r) {
		return img, nil
	}
	out := s.next(img.W, img.H)
	for y := range img.H {
		in, to := img.Pix[3*y*img.W:3*(y+1)*img.W], out.Pix[3*y*img.W:3*(y+1)*img.W]
		for i, j := 0, len(to)-3; j >= 0; i, j = i+3, j-3 {
			to[j], to[j+1], to[j+2] = in[i], in[i+1], in[i+2]
		}
	}
	return out, nil
}

func (o VFlip) apply(img *Image, _ int, r *stream, s *scratch) (*Image, error) {
	if !flips(o.P, r) {
		return img, nil
	}
	out := s.next(img.W, img.H)
	row := 3 * img.W
	for y := range img.H {
		copy(out.Pix[y*row:(y+1)*row], img.Pix[(img.H-1-y)*row:(img.H-y)*row])
	}
	return out, nil
}

func (o RandomRotation) apply(img *Image, _ int, r *stream, s *scratch) (*Image, error) {
	angle := r.uniform(o.Degrees[0], o.Degrees[1])
	if math.Mod(angle, 360) == 0 {
		return img, nil
	}
	out := s.next(img.W, img.H)
	rotate(out, img, angle)
	return out, nil
}

// rotate turns img by degrees counter-clockwise into dst of the same size: Pillow's Image.rotate, which rounds the matrix
// to 15 digits and walks the source in 16-bit fixed point. A turn by 180° is exact.
func rotate(dst, img *Image, degrees float64) {
	a := math.Mod(degrees, 360)
	if a < 0 {
		a += 360
	}
	n := 3 * img.W
	switch {
	case a == 180:
		for i, j := 0, len(img.Pix)-3; j >= 0; i, j = i+3, j-3 {
			copy(dst.Pix[i:i+3], img.Pix[j:j+3])
		}
		return
	case (a == 90 || a == 270) && img.W == img.H:
		for y := range img.H {
			for x := range img.W {
				sx, sy := img.W-1-y, x // the right column becomes the top row
				if a == 270 {
					sx, sy = y, img.H-1-x
				}
				copy(dst.Pix[y*n+3*x:y*n+3*x+3], img.Pix[sy*n+3*sx:])
			}
		}
		return
	}
	rad := -a * (math.Pi / 180)
	round15 := func(v float64) float64 { return math.RoundToEven(v*1e15) / 1e15 }
	m := [6]float64{round15(math.Cos(rad)), round15(math.Sin(rad)), 0, round15(-math.Sin(rad)), round15(math.Cos(rad)), 0}
	cx, cy := float64(img.W)/2, float64(img.H)/2
	m[2] = m[0]*-cx + m[1]*-cy + cx
	m[5] = m[3]*-cx + m[4]*-cy + cy
	fix := func(v float64) int { return int(math.Floor(v*65536 + 0.5)) }
	dx, dy := fix(m[0]), fix(m[3])
	x0, y0 := fix(m[2]+m[0]*0.5+m[1]*0.5), fix(m[5]+m[3]*0.5+m[4]*0.5)
	for y := range img.H {
		out := dst.Pix[y*n : (y+1)*n]
		sx, sy := x0+y*fix(m[1]), y0+y*fix(m[4])
		for x := range img.W {
			ix, iy := sx>>16, sy>>16
			o := out[3*x : 3*x+3 : 3*x+3]
			if uint(ix) < uint(img.W) && uint(iy) < uint(img.H) {
				p := img.Pix[iy*n+3*ix : iy*n+3*ix+3]
				o[0], o[1], o[2] = p[0], p[1], p[2]
			} else {
				o[0], o[1], o[2] = 0, 0, 0
			}
			sx += dx
			sy += dy
		}
	}
}
