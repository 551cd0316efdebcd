package cpu

import (
	"fmt"
	"math"

	"github.com/ftrun/ftrun/internal/kernels"
)

// A convolution is computed without an im2col: in NHWC the S·C elements under one row of the filter lie side by side, so
// one output pixel is the product of R such runs with a panel of packed weights, and neighbouring pixels are the rows of
// a tile. Backward data is the same correlation, run over dy with the filter turned round; a stride s splits it into s·s
// phases, each of stride 1 with every s-th tap. Backward weights sums outer products over pixels (conv_weights.go).

// post is what happens to a result before it is stored: what y holds is added, then bias, then come the bounds.
type post struct {
	accumulate bool
	on         bool      // bias and bounds
	bias       []float32 // nil for none
	lo, hi     float32
}

// zeros stands for a bias that was left out.
var zeros [maxWidth]float32

func newPost(bias []float32, act kernels.Activation) post {
	p := post{on: bias != nil || act != kernels.Identity, bias: bias}
	p.lo, p.hi = bounds(act)
	return p
}

// bounds are those between which an activation lets values pass.
func bounds(act kernels.Activation) (lo, hi float32) {
	lo, hi = float32(math.Inf(-1)), float32(math.Inf(1))
	if act != kernels.Identity {
		lo = 0
	}
	if act == kernels.ReLU6 {
		hi = 6
	}
	return lo, hi
}

// at is the bias of column k on, as the micro-kernels take it.
func (p *post) at(k int) *float32 {
	switch {
	case !p.on:
		return nil
	case p.bias == nil:
		return &zeros[0]
	}
	return &p.bias[k]
}

// checkConv panics where the shape is not one of a convolution.
func checkConv(c kernels.Conv) {
	if c.N < 1 || c.Groups < 1 || c.C%c.Groups != 0 || c.K%c.Groups != 0 || c.StrideH < 1 || c.StrideW < 1 ||
		c.PadH < 0 || c.PadW < 0 || c.H+2*c.PadH < c.R || c.W+2*c.PadW < c.S || c.PositionY() < c.K {
		panic(fmt.Sprintf("cpu: impossible shape: %v", c))
	}
}

// isDepthwise tells whether each channel has its own filter and one output.
func isDepthwise(c kernels.Conv) bool { return c.Groups > 1 && c.Groups == c.C && c.K == c.C }

// ConvForward computes y = act(conv(x, w) + bias).
func (d *Device) ConvForward(c kernels.Conv, x, w, bias, y kernels.Buffer, act kernels.Activation) error {
	checkConv(c)
	xs, ws, ys := floats(x, c.LenX()), floats(w, c.LenW()), floats(y, c.LenY())
	pst := newPost(optional(bias, c.K), act)
	if isDepthwise(c) {
		d.depthwiseForward(c, xs, ws, ys, pst)
		return nil
	}
	f := forwardOf(c, d.micro)
	f.post = pst
	if how := d.winogradFor(&f, c.Numerics); how.m > 0 {
		plan := d.winogradOf(f, how.m, ws, false)
		d.winograd(&plan, how, xs, ys)
		return nil
	}
	packed := grow(&d.shared.weights, f.packedLen())
	parallel(d, packWeights{f, packed, ws})
	d.correlate(&f, xs, packed, ys)
	return nil
}

// PackedLen is the number of elements of packed weights: panels, or Winograd's filters.
func (d *Device) PackedLen(c kernels.Conv) int {
	checkConv(c)
	if isDepthwise(c) {
		return c.LenW()
	}
	f := forwardOf(c, d.micro)
	if how := d.winogradFor(&f, c.Numerics); how.m > 0 {
		plan := d.winogradOf(f, how.m, nil, false)
		return plan.filtersLen()
	}
	return f.packedLen()
}

// PackWeights brings w into the form that ConvForwardPacked reads.
func (d *Device) PackWeights(c kernels.Conv, w, packed kernels.Buffer) error {
	ws, to := floats(w, c.LenW()), floats(packed, d.PackedLen(c))
	if isDepthwise(c) {
		copy(to, ws)
		return nil
	}
	f := forwardOf(c, d.micro)
	if how := d.winogradFor(&f, c.Numerics); how.m > 0 {
		plan := d.winogradOf(f, how.m, ws, false)
		parallel(d, transformFilters{plan, to})
		return nil
	}
	parallel(d, packWeights{f, to, ws})
	return nil
}

// ConvForwardPacked computes y = act(conv(x, w) + bias + residual) from packed w.
func (d *Device) ConvForwardPacked(c kernels.Conv, x, packed, bias, residual, y kernels.Buffer, act kernels.Activation) error {
	xs, ws, ys := floats(x, c.LenX()), floats(packed, d.PackedLen(c)), floats(y, c.LenY())
	pst, rs := newPost(optional(bias, c.K), act), optional(residual, len(ys))
	if rs != nil && c.StepY != 0 {
		panic(fmt.Sprintf("cpu: a residual beside other channels: %v", c))
	}
	if isDepthwise(c) {
		d.depthwisePacked(c, xs, ws, rs, ys, pst)
		return nil
	}
	if rs != nil {
		pst.accumulate = true
		if &rs[0] != &ys[0] {
			eachElement(d, len(ys), copying{rs, ys})
		}
	}
	f := forwardOf(c, d.micro)
	f.post = pst
	if how := d.winogradFor(&f, c.Numerics); how.m > 0 {
		plan := d.winogradOf(f, how.m, nil, false)
		plan.filters = ws
		d.winograd(&plan, how, xs, ys)
		return nil
	}
	d.correlate(&f, xs, ws, ys)
	return nil
}

// depthwisePacked computes a depthwise y = act(conv(x, w) + bias + residual).
func (d *Device) depthwisePacked(c kernels.Conv, x, w, residual, y []float32, p post) {
	if residual == nil {
		d.depthwiseForward(c, x, w, y, p)
		return
	}
	sum := grow(&d.shared.partial, len(y))
	d.depthwiseForward(c, x, w, sum, newPost(p.bias, kernels.Identity))
	eachElement(d, len(y), addPair{sum, residual, y, p.lo, p.hi})
}

// ConvBackwardData computes dx from w and dy.
func (d *Device) ConvBackwardData(c kernels.Conv, w, dy, dx kernels.Buffer) error {
	checkConv(c)
	ws, dys, dxs := floats(w, c.LenW()), floats(dy, c.LenY()), floats(dx, c.LenX())
	phases, covered := d.phasesOf(c)
	if !covered {
		parallel(d, clearing{dxs})
	}
	if isDepthwise(c) {
		d.depthwiseBackwardData(c, phases, ws, dys, dxs)
		return nil
	}
	if len(phases) == 1 {
		f := &phases[0].correlation
		if how := d.winogradFor(f, c.Numerics); how.m > 0 {
			plan := d.winogradOf(*f, how.m, ws, true)
			d.winograd(&plan, how, dys, dxs)
			return nil
		}
	}
	total := 0
	for i := range phases {
		total += phases[i].packedLen()
	}
	packed := grow(&d.shared.weights, total)
	parallel(d, packTurned{c, phases, packed, ws})
	for i := range phases {
		p := &phases[i]
		d.correlate(&p.correlation, dys, packed, dxs[p.offset:])
		packed = packed[p.packedLen():]
	}
	return nil
}

// correlation is a convolution as the tiles see it: y[n,p,q,k] = Σ x[n, p·sh+r−padH, q·sw+s−padW, c]·w[r,s,c,k] in every
// group, w packed, y with strides of its own.
type correlation struct {
	n, h, w    int
	c, k       int // channels of a group
	groups     int
	r, s       int
	sh, sw     int
	padH, padW int // before the first row and column; negative cuts off. What lies behind the last follows from p, q
	p, q       int

	yImage, yRow, yPixel int // elements from one to the next

	panels panels // of k
	post   post
}

func forwardOf(c kernels.Conv, m *micro) correlation {
	return correlation{
		n: c.N, h: c.H, w: c.W, c: c.C / c.Groups, k: c.K / c.Groups, groups: c.Groups, r: c.R, s: c.S,
		sh: c.StrideH, sw: c.StrideW, padH: c.PadH, padW: c.PadW, p: c.P(), q: c.Q(),
		yImage: c.P() * c.Q() * c.PositionY(), yRow: c.Q() * c.PositionY(), yPixel: c.PositionY(),
		panels: panels{m.width, c.K / c.Groups},
	}
}

// phase is the part of backward data that fills every sh-th row and sw-th column of dx, from row r0 and column s0 of the
// filter on.
type phase struct {
	correlation
	r0, s0 int // first tap of the filter; the others follow in steps of the stride
	offset int // of the first element in dx
}

// phasesOf splits backward data; covered tells whether the phases fill all of dx. What they leave out gets no gradient.
func (d *Device) phasesOf(c kernels.Conv) (phases []phase, covered bool) {
	phases, covered = d.phases[:0], true
	for r0 := range c.StrideH {
		for s0 := range c.StrideW {
			// Row h of dx takes part in tap r where h + PadH − r is a multiple of the stride.
			h0, p0, r := phaseOf(r0, c.R, c.StrideH, c.PadH)
			w0, q0, s := phaseOf(s0, c.S, c.StrideW, c.PadW)
			rows, cols := (c.H-h0+c.StrideH-1)/c.StrideH, (c.W-w0+c.StrideW-1)/c.StrideW
			if rows <= 0 || cols <= 0 {
				continue
			}
			if r <= 0 || s <= 0 {
				covered = false
				continue
			}
			phases = append(phases, phase{
				correlation: correlation{
					n: c.N, h: c.P(), w: c.Q(), c: c.K / c.Groups, k: c.C / c.Groups, groups: c.Groups, r: r, s: s,
					sh: 1, sw: 1, padH: r - 1 - p0, padW: s - 1 - q0, p: rows, q: cols,
					yImage: c.H * c.W * c.C, yRow: c.StrideH * c.W * c.C, yPixel: c.StrideW * c.C,
					panels: panels{d.micro.width, c.C / c.Groups},
				},
				r0: r0, s0: s0, offset: (h0*c.W + w0) * c.C,
			})
		}
	}
	d.phases = phases
	return phases, covered
}

// phaseOf returns, for taps tap, tap+stride, … of size, the first position of dx that they reach, the position of dy that
// tap meets there, and how many taps there are.
func phaseOf(tap, size, stride, pad int) (first, meets, taps int) {
	first = ((tap-pad)%stride + stride) % stride
	return first, (first + pad - tap) / stride, (size - tap + stride - 1) / stride
}

// depth is the number of products in an element.
func (f *correlation) depth() int { return f.r * f.s * f.c }

func (f *correlation) groupLen() int  { return f.depth() * f.panels.padded() }
func (f *correlation) packedLen() int { return f.groups * f.groupLen() }

// pointwise tells whether all pixels are rows of one matrix.
func (f *correlation) pointwise() bool {
	return f.r == 1 && f.s == 1 && f.sh == 1 && f.sw == 1 && f.padH == 0 && f.padW == 0 && f.p == f.h && f.q == f.w &&
		f.yRow == f.q*f.yPixel && f.yImage == f.p*f.yRow
}

// packWeights writes w (R,S,C/G,K) as panels [group][panel][R·S·C/G][width].
type packWeights struct {
	f         correlation
	packed, w []float32
}

func (t *packWeights) run(d *Device, worker int) {
	f := &t.f
	depth, cols := f.depth(), f.groups*f.k
	lo, hi := d.split(depth, worker)
	for g := range f.groups {
		for i := range f.panels.count() {
			kind, n := f.panels.panel(i)
			width := f.panels.width[kind]
			panel := t.packed[g*f.groupLen()+i*f.panels.width[1]*depth:]
			for row := lo; row < hi; row++ {
				dst := panel[row*width : row*width+width]
				src := t.w[row*cols+g*f.k+i*f.panels.width[1]:]
				copy(dst, src[:n])
				clear(dst[n:])
			}
		}
	}
}

// packTurned writes the filters of the phases, one after the other, taps in reverse and channels of input and output
// exchanged.
type packTurned struct {
	c         kernels.Conv
	phases    []phase
	packed, w []float32
}

func (t *packTurned) run(d *Device, worker int) {
	rest := t.packed
	for i := range t.phases {
		d.packPhase(t.c, &t.phases[i], rest, t.w, worker)
		rest = rest[t.phases[i].packedLen():]
	}
}

// packPhase writes worker's share of a phase's filter.
func (d *Device) packPhase(c kernels.Conv, p *phase, packed, w []float32, worker int) {
	depth, count := p.depth(), p.panels.count()
	lo, hi := d.split(p.groups*count*p.r*p.s, worker)
	for u := lo; u < hi; u++ {
		tap, rest := u%(p.r*p.s), u/(p.r*p.s)
		i, g := rest%count, rest/count
		kind, n := p.panels.panel(i)
		width := p.panels.width[kind]
		r, s := p.r0+(p.r-1-tap/p.s)*c.StrideH, p.s0+(p.s-1-tap%p.s)*c.StrideW
		src := w[((r*c.S+s)*p.k+i*p.panels.width[1])*c.K+g*p.c:]
		dst := packed[g*p.groupLen()+i*p.panels.width[1]*depth+tap*p.c*width:]
		d.transposeInto(dst, src, n, p.c, c.K, width)
	}
}

// transposeInto writes src (rows×cols, row stride lds) as dst (cols×width), and zeros beyond rows.
func (d *Device) transposeInto(dst, src []float32, rows, cols, lds, width int) {
	side := d.micro.side
	for j := 0; j < cols; j += side {
		for i := 0; i < width; i += side {
			if i+side <= rows && j+side <= cols {
				d.micro.transpose(&src[i*lds+j], &dst[j*width+i], lds, width)
				continue
			}
			for b := j; b < min(j+side, cols); b++ {
				for a := i; a < min(i+side, width); a++ {
					v := float32(0)
					if a < rows {
						v = src[a*lds+b]
					}
					dst[b*width+a] = v
				}
			}
		}
	}
}

// padPanel copies cols columns of rows (stride lds) to the worker's panel of the given width, padded with zeros.
func (d *Device) padPanel(src []float32, worker, rows, cols, lds, width int) []float32 {
	panel := grow(&d.workers[worker].panel, rows*width)
	for i := range rows {
		dst := panel[i*width : i*width+width]
		copy(dst, src[i*lds:i*lds+cols])
		clear(dst[cols:])
	}
	return panel
}

// correlate runs f over x.
func (d *Device) correlate(f *correlation, x, packed, y []float32) {
	parallel(d, d.correlateOf(f, x, packed, y))
}

func (d *Device) correlateOf(f *correlation, x, packed, y []float32) correlate {
	t := correlate{f: *f, x: x, packed: packed, y: y, rows: f.n * f.p, panels: f.groups * f.panels.count()}
	if f.pointwise() {
		t.rows = (f.n*f.p*f.q + d.micro.rows - 1) / d.micro.rows
	}
	// Rows are what threads share; where they are few, panels may part more evenly.
	t.byPanels = idle(t.rows, d.threads) > idle(t.panels, d.threads)+0.05
	return t
}

type correlate struct {
	f            correlation
	x, packed, y []float32
	rows, panels int // rows of the result, or, of a pointwise convolution, tiles; panels of all groups
	byPanels     bool
}

// share is worker's rows and panels.
func (t *correlate) share(d *Device, worker int) (lo, hi, p0, p1 int) {
	if t.byPanels {
		p0, p1 = d.split(t.panels, worker)
		return 0, t.rows, p0, p1
	}
	lo, hi = d.split(t.rows, worker)
	return lo, hi, 0, t.panels
}

func (t *correlate) run(d *Device, worker int) {
	lo, hi, p0, p1 := t.share(d, worker)
	if t.f.pointwise() {
		d.multiplyRows(&t.f, t.x, t.packed, t.y, worker, lo, hi, p0, p1)
	} else {
		d.correlateRows(&t.f, t.x, t.packed, t.y, worker, lo, hi, p0, p1)
	}
}

// idle is the share of the threads' time that is lost when n equal units are cut into parts.
func idle(n, parts int) float64 {
	return 1 - float64(n)/float64((n+parts-1)/parts*parts)
}

// Sizes of what a core works on, in elements: a level-2 cache holds both, with room for the result.
const (
	bandLen  = 100 << 10 // rows of input
	panelLen = 50 << 10  // part of a panel of weights
)

// layout is how the rows of a band lie: as in the input itself where there is nothing to pad, else as zero-padded rows of
// one group's channels.
type layout struct {
	inPlace       bool
	columns       int // of a padded row
	rowLen, pixel int // elements from one row and pixel to the next
}

func (f *correlation) layout() layout {
	l := layout{columns: (f.q-1)*f.sw + f.s}
	l.inPlace = f.padH == 0 && f.padW == 0 && l.columns <= f.w && (f.p-1)*f.sh+f.r <= f.h && (f.groups == 1 || f.s == 1)
	if l.inPlace {
		l.pixel = f.groups * f.c
		l.rowLen = f.w * l.pixel
	} else {
		l.pixel = f.c
		l.rowLen = l.columns * f.c
	}
	return l
}

// segment is the place of one tile of a band: elements of the input and of y, and the rows of the filter that meet it.
type segment struct {
	a, c, rows int
	r0, r1     int
}

// correlateRows computes rows [lo, hi) of n·p for panels [p0, p1) of all groups, band by band: each panel passes over all
// tiles of a band while its input stays in the cache.
func (d *Device) correlateRows(f *correlation, x, packed, y []float32, worker, lo, hi, p0, p1 int) {
	l, count := f.layout(), f.panels.count()
	sc := &d.workers[worker]
	for g := p0 / count; g*count < p1; g++ {
		first, last := max(p0-g*count, 0), min(p1-g*count, count)
		for u := lo; u < hi; {
			input, next := d.fillBand(f, l, sc, x, g, u, hi)
			for i := first; i < last; i++ {
				d.passPanel(f, l, sc.segments, input, packed[g*f.groupLen():], y, g, i)
			}
			u = next
		}
	}
}

// bandRows is how many rows from lo on, of one picture, fit a band of which so many elements are used, and the elements of
// input that they need; 0 rows where the band is full.
func (f *correlation) bandRows(l layout, used, lo, hi int) (rows, need int) {
	rows = min(f.p-lo%f.p, hi-lo)
	if fit := max(((bandLen-used)/(l.columns*f.c)-f.r)/f.sh+1, 1); fit < rows || used >= bandLen {
		if used > 0 {
			return 0, 0
		}
		parts := (rows + fit - 1) / fit
		rows = (rows + parts - 1) / parts
	}
	return rows, ((rows-1)*f.sh + f.r) * l.columns * f.c
}

// fillBand gathers the input of as many rows of [lo, hi) as fit a band, lists their tiles in sc.segments, and returns
// where the segments' input lies and the first row that is left.
func (d *Device) fillBand(f *correlation, l layout, sc *scratch, x []float32, g, lo, hi int) (input []float32, next int) {
	sc.segments = sc.segments[:0]
	input = x
	used := 0
	for lo < hi {
		n, p := lo/f.p, lo%f.p
		rows, need := f.bandRows(l, used, lo, hi)
		if rows == 0 {
			break
		}
		base := (n*f.h+p*f.sh)*l.rowLen + g*f.c
		if !l.inPlace {
			base = used
			input = keep(&sc.band, used, used+need)
			f.pad(input[used:], x, n, g, p*f.sh-f.padH)
		}
		used += need
		for i := range rows {
			d.addSegments(f, l, sc, g, n, p+i, base+i*f.sh*l.rowLen)
		}
		lo += rows
	}
	return input, lo
}

// addSegments lists the tiles of row p of picture n, whose input begins at a.
func (d *Device) addSegments(f *correlation, l layout, sc *scratch, g, n, p, a int) {
	r0, r1 := max(0, f.padH-p*f.sh), min(f.r, f.h+f.padH-p*f.sh)
	if r0 >= r1 {
		r0, r1 = 0, 0
	}
	tiles := (f.q + d.micro.rows - 1) / d.micro.rows
	for t := range tiles {
		q0, q1 := share(f.q, t, tiles)
		sc.segments = append(sc.segments, segment{
			a: a + q0*f.sw*l.pixel, c: n*f.yImage + p*f.yRow + q0*f.yPixel + g*f.k, rows: q1 - q0, r0: r0, r1: r1,
		})
	}
}

// pad copies rows of picture n, the channels of group g, from row h on, until band is full; what lies outside is zero.
func (f *correlation) pad(band, x []float32, n, g, h int) {
	padded, pix := (f.q-1)*f.sw+f.s, f.groups*f.c
	left := min(max(f.padW, 0), padded)
	right := max(min(f.w+f.padW, padded), left) // first column behind the picture
	for ; len(band) > 0; h++ {
		row := band[:padded*f.c]
		band = band[len(row):]
		if h < 0 || h >= f.h {
			clear(row)
			continue
		}
		clear(row[:left*f.c])
		src := x[(n*f.h+h)*f.w*pix:]
		if f.groups == 1 {
			copy(row[left*f.c:right*f.c], src[max(left-f.padW, 0)*pix:])
		} else {
			for j := left; j < right; j++ {
				copy(row[j*f.c:j*f.c+f.c], src[(j-f.padW)*pix+g*f.c:])
			}
		}
		clear(row[right*f.c:])
	}
}

// passPanel computes panel i of group g for all segments, a few rows of the filter at a time.
func (d *Device) passPanel(f *correlation, l layout, segments []segment, input, packed, y []float32, g, i int) {
	kind, cols := f.panels.panel(i)
	width, col := f.panels.width[kind], i*f.panels.width[1]
	tiles := &d.micro.gemm[kind]
	run := f.s * f.c
	weights, m, bias := packed[col*f.depth():], mask(cols), f.post.at(g*f.k+col)
	rows := max(1, panelLen/(run*width))
	for r := 0; r < f.r; r += rows {
		for j := range segments {
			t := &segments[j]
			lo, hi := max(r, t.r0), min(r+rows, t.r1)
			if lo >= hi {
				// A tile that meets no row of the filter is still to be written, once.
				if t.r1 > 0 || r > 0 {
					continue
				}
				hi = lo
			}
			b := &weights[lo*run*width]
			end := bias
			if hi < t.r1 {
				end = nil
			}
			tiles[t.rows](at(&input[0], t.a+lo*l.rowLen), b, &y[t.c+col], end, b, f.sw*l.pixel, l.rowLen, hi-lo, run, f.yPixel, m,
				lo > t.r0 || f.post.accumulate, f.post.lo, f.post.hi)
		}
	}
}

// multiplyRows computes tiles [lo, hi) of the rows of a pointwise convolution for panels [p0, p1) of all groups.
func (d *Device) multiplyRows(f *correlation, x, packed, y []float32, worker, lo, hi, p0, p1 int) {
	m := f.n * f.p * f.q
	tiles := (m + d.micro.rows - 1) / d.micro.rows
	pix, count := f.groups*f.c, f.panels.count()
	block := max(1, 64<<10/(d.micro.rows*f.c)) // tiles whose input stays in the cache
	for g := p0 / count; g*count < p1; g++ {
		first, last := max(p0-g*count, 0), min(p1-g*count, count)
		for b := lo; b < hi; b += block {
			e := min(hi, b+block)
			next, _ := share(m, min(e, tiles-1), tiles)
			for i := first; i < last; i++ {
				kind, cols := f.panels.panel(i)
				col := i * f.panels.width[1]
				weights := &packed[g*f.groupLen()+col*f.depth()]
				bias := f.post.at(g*f.k + col)
				for t := b; t < e; t++ {
					m0, m1 := share(m, t, tiles)
					// Each call fetches a part of the next block's rows, so that all of them come in time.
					ahead := min(next*pix+((t-b)+(e-b)*(i-first))*f.c*4, len(x)-1)
					d.micro.gemm[kind][m1-m0](&x[m0*pix+g*f.c], weights, &y[m0*f.yPixel+g*f.k+col], bias, &x[ahead],
						pix, 0, 1, f.c, f.yPixel, mask(cols), f.post.accumulate, f.post.lo, f.post.hi)
				}
			}
		}
	}
}
