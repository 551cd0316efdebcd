package data

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strconv"
)

// SyntheticConfig are the knobs of drawn pictures; a zero stands for the default.
//
// In the task "shapes" a class is the outline of the one large figure, whatever its colour, place, size, turn, filling
// and background; in "textures" it is the pattern. Figures are filled with patterns and stand before patterns, so that a
// network that has learnt one task brings edges and patterns to the other.
type SyntheticConfig struct {
	Task     string         // "shapes" (default) or "textures"
	Classes  int            // 2 to 10; default 4
	Pictures map[string]int // split → pictures in all, the classes as equally often as can be; default train 400, val 200
	Size     int            // rows and columns, pixels, 16 to 1024; default 64
	Seed     int64
}

// syntheticVersion names what the generator draws; it goes into the pictures' hashes.
const syntheticVersion = "2"

// syntheticTasks lists the classes of each task, easily told apart first.
var syntheticTasks = map[string][]string{
	"shapes":   {"circle", "square", "triangle", "cross", "ring", "star", "crescent", "hexagon", "hourglass", "frame"},
	"textures": {"stripes", "checks", "dots", "clouds", "rings", "bricks", "waves", "cells", "weave", "grain"},
}

// syntheticSource is one drawn picture. It does not depend on the numbers of classes and pictures: a larger data set
// begins with the pictures of a smaller one.
type syntheticSource struct {
	task, class string
	split       string
	number      int // from 0, within class and split
	size        int
	seed        int64
}

func (s syntheticSource) hash() string {
	sum := sha256.Sum256(fmt.Appendf(nil, "ftrun synthetic %s %q %q %q %d %d %d", syntheticVersion, s.task, s.class, s.split,
		s.number, s.size, s.seed))
	return hex.EncodeToString(sum[:])
}

func openSynthetic(cfg Config) (*Dataset, Problems) {
	c := cfg.Synthetic
	var p Problems
	if c.Task == "" {
		c.Task = "shapes"
	}
	if c.Classes == 0 {
		c.Classes = 4
	}
	if c.Pictures == nil {
		c.Pictures = map[string]int{Train: 400, Val: 200}
	}
	if c.Size == 0 {
		c.Size = 64
	}
	names, ok := syntheticTasks[c.Task]
	if !ok {
		p.addf("there is no task %q; there are \"shapes\" and \"textures\"", c.Task)
	} else if c.Classes < 2 || c.Classes > len(names) {
		p.addf("classes = %d: the task %s has between 2 and %d of them", c.Classes, c.Task, len(names))
	}
	if c.Size < 16 || c.Size > 1024 {
		p.addf("size = %d must lie within [16, 1024] pixels", c.Size)
	}
	p = append(p, checkSplitNames(c.Pictures, Train, Val)...)
	for _, split := range splitNames {
		if n, ok := c.Pictures[split]; ok && n < c.Classes {
			p.addf("%d pictures in %s are fewer than the %d classes", n, split, c.Classes)
		} else if n > 10_000_000 {
			p.addf("%d pictures in %s are more than 10 million", n, split)
		}
	}
	if cfg.Path != "" || cfg.Folders != nil || cfg.Fractions != nil {
		p.addf("path and splits have no effect on drawn pictures: leave them out")
	}
	if len(p) > 0 {
		return nil, p
	}
	d := &Dataset{Name: cfg.Name, Classes: slices.Sorted(slices.Values(names[:c.Classes])), Splits: map[string]*Split{}}
	for _, split := range splitNames {
		total, ok := c.Pictures[split]
		if !ok {
			continue
		}
		s := &Split{Name: split, Items: make([]Item, 0, total)}
		digits := len(strconv.Itoa(total))
		for i, class := range d.Classes {
			n := total / c.Classes
			if i < total%c.Classes {
				n++
			}
			for k := range n {
				s.Items = append(s.Items, Item{
					Path:   fmt.Sprintf("synthetic/%s/%s/%0*d", split, class, max(digits, 4), k+1),
					Class:  i,
					source: syntheticSource{c.Task, class, split, k, c.Size, c.Seed},
				})
			}
		}
		d.Splits[split] = s
	}
	return d, nil
}

// decode draws the picture.
func (s syntheticSource) decode(string) (*Image, error) {
	key := newStreamKey("synthetic", syntheticVersion, s.task, s.class, s.split, strconv.FormatInt(s.seed, 10))
	r := key.stream(uint64(s.number), 0, 0)
	img := NewImage(s.size, s.size)
	if s.task == "textures" {
		drawTexture(img, s.class, &r)
	} else {
		drawShape(img, s.class, &r)
	}
	return img, nil
}

// rgbColor is linear in the picture's bytes, 0 to 255.
type rgbColor [3]float64

func randomColor(r *stream) rgbColor {
	return rgbColor{r.uniform(20, 235), r.uniform(20, 235), r.uniform(20, 235)}
}

func (c rgbColor) luma() float64 { return 0.299*c[0] + 0.587*c[1] + 0.114*c[2] }

func (c rgbColor) mix(d rgbColor, t float64) rgbColor {
	for i := range c {
		c[i] += t * (d[i] - c[i])
	}
	return c
}

// contrasting draws a colour whose luma differs from c's by lo to hi.
func contrasting(r *stream, c rgbColor, lo, hi float64) rgbColor {
	for range 100 {
		d := randomColor(r)
		if diff := math.Abs(d.luma() - c.luma()); lo <= diff && diff <= hi {
			return d
		}
	}
	step := (lo + hi) / 2 // c is at an end of the range, or the band is narrow
	if c.luma() > 127 {
		step = -step
	}
	for i := range c {
		c[i] += step
	}
	return c
}

// pattern is a texture over the plane, of values between 0 and 1; the picture spans [-1, 1] both ways.
type pattern struct {
	kind       string
	cos, sin   float64
	freq       float64 // periods across the picture, about
	dx, dy     float64 // phases
	a, b       float64 // what a kind makes of it: amplitude, duty
	noise      uint64  // seed of the lattice
	sharpness  float64
	pixelScale float64 // lattice points across the picture, for grain
}

func randomPattern(kind string, size int, r *stream) *pattern {
	turn := r.uniform(0, math.Pi)
	p := &pattern{kind: kind, cos: math.Cos(turn), sin: math.Sin(turn), noise: r.uint64(), pixelScale: float64(size)}
	p.freq = r.uniform(2.5, 6)
	p.dx, p.dy = r.uniform(-1, 1), r.uniform(-1, 1)
	p.a, p.b = r.uniform(0, 1), r.uniform(0, 1)
	p.sharpness = r.uniform(1, 4)
	return p
}

// wave is a period-1 wave between 0 and 1, from a sine to nearly a square.
func (p *pattern) wave(x float64) float64 {
	return clamp01(0.5 + 0.5*p.sharpness*math.Sin(2*math.Pi*x))
}

func clamp01(x float64) float64 { return min(max(x, 0), 1) }

// edge goes from 1 to 0 as d passes 0, over width.
func edge(d, width float64) float64 { return clamp01(0.5 - d/width) }

func (p *pattern) at(x, y float64) float64 {
	u := (x*p.cos+y*p.sin)*p.freq/2 + p.dx
	v := (y*p.cos-x*p.sin)*p.freq/2 + p.dy
	soft := 0.08 * p.freq / 2 // width of an edge in units of periods
	switch p.kind {
	case "stripes":
		return p.wave(u)
	case "waves":
		return p.wave(u + (0.25+0.2*p.a)*math.Sin(2*math.Pi*v*(0.5+0.4*p.b)))
	case "checks":
		return clamp01(0.5 + 0.8*p.sharpness*math.Sin(2*math.Pi*u)*math.Sin(2*math.Pi*v))
	case "dots":
		du, dv := u-math.Floor(u)-0.5, v-math.Floor(v)-0.5
		return edge(math.Hypot(du, dv)-(0.2+0.15*p.a), soft)
	case "rings":
		return p.wave(math.Hypot(x-0.7*p.dx, y-0.7*p.dy) * p.freq / 2)
	case "bricks":
		row := math.Floor(2 * v)
		s := u
		if int64(row)&1 != 0 {
			s += 0.5
		}
		joint := 0.05 + 0.07*p.a
		return 1 - max(edge(math.Abs(s-math.Round(s))-joint, soft), edge(math.Abs(2*v-math.Round(2*v))/2-joint, soft))
	case "weave":
		i, j := math.Floor(2*u), math.Floor(2*v)
		across, along := 2*u-i-0.5, 2*v-j-0.5
		if (int64(i)+int64(j))&1 != 0 {
			across, along = along, across
		}
		return edge(math.Abs(across)-0.32, 2*soft) * (0.55 + 0.45*math.Cos(math.Pi*along))
	case "cells":
		return clamp01(1.4 * p.nearest(1.5*u, 1.5*v))
	case "clouds":
		return clamp01(2.2*(0.55*p.value(u, v, 0)+0.3*p.value(2.1*u, 2.1*v, 1)+0.15*p.value(4.3*u, 4.3*v, 2)) - 0.6)
	case "grain":
		f := p.pixelScale / (5 + 4*p.a)
		return clamp01(1.8*p.value(u/p.freq*2*f, v/p.freq*2*f, 0) - 0.4)
	}
	panic("data: no pattern " + p.kind)
}

// lattice is uniform noise in [0, 1) at whole coordinates.
func (p *pattern) lattice(i, j, layer int64) float64 {
	s := stream{p.noise ^ uint64(i)*0x9e3779b97f4a7c15 ^ uint64(j)*0xc2b2ae3d27d4eb4f ^ uint64(layer)*0x165667b19e3779f9}
	return s.float64()
}

// value is smooth noise between the lattice's values.
func (p *pattern) value(u, v float64, layer int64) float64 {
	fi, fj := math.Floor(u), math.Floor(v)
	i, j := int64(fi), int64(fj)
	a, b := u-fi, v-fj
	a, b = a*a*(3-2*a), b*b*(3-2*b)
	top := p.lattice(i, j, layer)*(1-a) + p.lattice(i+1, j, layer)*a
	bottom := p.lattice(i, j+1, layer)*(1-a) + p.lattice(i+1, j+1, layer)*a
	return top*(1-b) + bottom*b
}

// nearest is the distance to the nearest of one random point a cell (Worley, A cellular texture basis function, 1996).
func (p *pattern) nearest(u, v float64) float64 {
	i, j := int64(math.Floor(u)), int64(math.Floor(v))
	best := math.Inf(1)
	for di := int64(-1); di <= 1; di++ {
		for dj := int64(-1); dj <= 1; dj++ {
			px := float64(i+di) + p.lattice(i+di, j+dj, 3)
			py := float64(j+dj) + p.lattice(i+di, j+dj, 4)
			best = min(best, math.Hypot(u-px, v-py))
		}
	}
	return best
}

// light is brightness that changes across the picture.
type light struct{ dx, dy, gain float64 }

func randomLight(r *stream) light {
	return light{r.uniform(-0.3, 0.3), r.uniform(-0.3, 0.3), r.uniform(0.75, 1.15)}
}

// paint fills img from a colour for each place in [-1, 1]², under a light and with noise of the given strength.
func paint(img *Image, r *stream, noise float64, at func(x, y float64) rgbColor) {
	l := randomLight(r)
	for j := range img.H {
		y := (2*float64(j)+1)/float64(img.H) - 1
		for i := range img.W {
			x := (2*float64(i)+1)/float64(img.W) - 1
			c := at(x, y)
			gain := l.gain + l.dx*x + l.dy*y
			o := img.Pix[3*(j*img.W+i):]
			for k, v := range c {
				v = v*gain + noise*(r.float64()+r.float64()-1)
				o[k] = uint8(min(max(v, 0), 255) + 0.5)
			}
		}
	}
}

func drawTexture(img *Image, class string, r *stream) {
	p := randomPattern(class, img.W, r)
	from := randomColor(r)
	to := contrasting(r, from, 60, 150)
	paint(img, r, r.uniform(5, 30), func(x, y float64) rgbColor { return from.mix(to, p.at(x, y)) })
}

func drawShape(img *Image, class string, r *stream) {
	patterns := syntheticTasks["textures"]
	back := randomPattern(patterns[r.intn(len(patterns))], img.W, r)
	fill := randomPattern(patterns[r.intn(len(patterns))], img.W, r)
	back1 := randomColor(r)
	back2 := back1.mix(randomColor(r), r.uniform(0.1, 0.45))
	fill1 := contrasting(r, back1.mix(back2, 0.5), 60, 150)
	fill2 := fill1.mix(randomColor(r), r.uniform(0, 0.35))

	scale := r.uniform(0.35, 0.7)
	cx, cy := r.uniform(-1, 1)*(0.95-scale), r.uniform(-1, 1)*(0.95-scale)
	turn := r.uniform(-0.6, 0.6)
	stretch := r.uniform(0.85, 1.18)
	cos, sin := math.Cos(turn)/scale, math.Sin(turn)/scale
	soft := 3 / (float64(img.W) * scale)

	// A thin bar across the picture hides a part of some figures.
	barAngle, barAt := r.uniform(0, math.Pi), r.uniform(-0.6, 0.6)
	barWidth := r.uniform(-0.06, 0.06) // below zero: no bar
	barColor := randomColor(r)
	bc, bs := math.Cos(barAngle), math.Sin(barAngle)

	paint(img, r, r.uniform(5, 30), func(x, y float64) rgbColor {
		c := back1.mix(back2, back.at(x, y))
		u, v := (x-cx)*cos+(y-cy)*sin, (y-cy)*cos-(x-cx)*sin
		if t := edge(outline(class, u*stretch, v/stretch), soft); t > 0 {
			c = c.mix(fill1.mix(fill2, fill.at(x, y)), t)
		}
		if barWidth > 0 {
			c = c.mix(barColor, edge(math.Abs(x*bc+y*bs-barAt)-barWidth, 3/float64(img.W)))
		}
		return c
	})
}

// outline is the distance from a figure's edge, about: below zero inside. Figures fill most of [-1, 1]².
func outline(class string, x, y float64) float64 {
	ax, ay := math.Abs(x), math.Abs(y)
	switch class {
	case "circle":
		return math.Hypot(x, y) - 0.9
	case "square":
		return max(ax, ay) - 0.8
	case "triangle":
		return max(y, ax*math.Sqrt(3)/2-y/2) - 0.5
	case "hexagon":
		return max(ay, ax*math.Sqrt(3)/2+ay/2) - 0.82
	case "cross":
		return min(max(ax-0.95, ay-0.32), max(ax-0.32, ay-0.95))
	case "ring":
		return math.Abs(math.Hypot(x, y)-0.68) - 0.23
	case "frame":
		return math.Abs(max(ax, ay)-0.64) - 0.2
	case "hourglass":
		return max((ax-0.95*ay)*0.72, ay-0.9)
	case "crescent":
		return max(math.Hypot(x, y)-0.95, 0.78-math.Hypot(x-0.5, y))
	case "star":
		// Folded to half of one of five points, a star is what lies on the inner side of one line.
		const fifth = 2 * math.Pi / 5
		a := math.Atan2(x, -y)
		a -= fifth * math.Round(a/fifth)
		h := math.Hypot(x, y)
		px, py := h*math.Cos(a), h*math.Abs(math.Sin(a))
		ix, iy := 0.42*math.Cos(fifth/2), 0.42*math.Sin(fifth/2)
		nx, ny := iy, 1-ix // normal of the line from the tip (1, 0) to the notch (ix, iy)
		return ((px-1)*nx + py*ny) / math.Hypot(nx, ny)
	}
	panic("data: no figure " + class)
}
