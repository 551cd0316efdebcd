package cpu

import "github.com/ftrun/ftrun/internal/kernels"

// meter tells what memory the device would hold. It must follow the operations in what scratch memory they take:
// TestMeter holds it to what they leave.
type meter struct {
	*kernels.Hollow
	d      *Device
	shared lengths
	worker lengths // of the worker that needs most
}

// lengths are those of the fields of scratch, in elements.
type lengths struct {
	weights, partial, factors, squares, band, panel, maxima, winograd, filters, products, edge, between int
}

// bytes is what scratch of these lengths takes.
func (l *lengths) bytes() int64 {
	floats := l.weights + l.partial + l.factors + l.band + l.panel + l.maxima + l.winograd + l.filters + l.products + l.edge + l.between
	return 4*int64(floats) + 8*maxSquareLanes*int64(l.squares)
}

// Meter returns a Meter for a device of so many threads, their scratch memory included.
func (d *Device) Meter(threads int) kernels.Meter {
	own := &Device{path: d.path, micro: d.micro, threads: threads, choose: d.choose}
	return &meter{Hollow: kernels.NewHollow(own), d: own}
}

func (m *meter) Scratch() int64 { return m.shared.bytes() + int64(m.d.threads)*m.worker.bytes() }

// most notes that a field is to have n elements at least.
func most(field *int, n int) { *field = max(*field, n) }

// each is the most of n units that one worker gets.
func (m *meter) each(n int) int { return (n + m.d.threads - 1) / m.d.threads }

func (m *meter) ConvForward(c kernels.Conv, x, w, bias, y kernels.Buffer, act kernels.Activation) error {
	checkConv(c)
	if isDepthwise(c) {
		m.depthwise(c, bias, act)
		return nil
	}
	f := forwardOf(c, m.d.micro)
	if how := m.d.winogradFor(&f, c.Numerics); how.m > 0 {
		m.winograd(f, how, false)
		return nil
	}
	most(&m.shared.weights, f.packedLen())
	m.correlate(&f)
	return nil
}

// depthwise is a forward pass.
func (m *meter) depthwise(c kernels.Conv, bias kernels.Buffer, act kernels.Activation) {
	if bias == nil && act != kernels.Identity {
		most(&m.shared.panel, c.K)
	}
}

func (m *meter) PackWeights(c kernels.Conv, w, packed kernels.Buffer) error {
	if isDepthwise(c) {
		return nil
	}
	f := forwardOf(c, m.d.micro)
	if how := m.d.winogradFor(&f, c.Numerics); how.m > 0 {
		m.filters(f)
	}
	return nil
}

func (m *meter) ConvForwardPacked(c kernels.Conv, x, packed, bias, residual, y kernels.Buffer, act kernels.Activation) error {
	if isDepthwise(c) {
		if residual != nil {
			most(&m.shared.partial, c.LenY())
			act = kernels.Identity
		}
		m.depthwise(c, bias, act)
		return nil
	}
	f := forwardOf(c, m.d.micro)
	if how := m.d.winogradFor(&f, c.Numerics); how.m > 0 {
		m.winograd(f, how, true)
		return nil
	}
	m.correlate(&f)
	return nil
}

func (m *meter) ConvBackwardData(c kernels.Conv, w, dy, dx kernels.Buffer) error {
	if isDepthwise(c) {
		most(&m.shared.weights, c.LenW())
		return nil
	}
	phases, _ := m.d.phasesOf(c)
	if len(phases) == 1 {
		f := &phases[0].correlation
		if how := m.d.winogradFor(f, c.Numerics); how.m > 0 {
			m.winograd(*f, how, false)
			return nil
		}
	}
	total := 0
	for i := range phases {
		total += phases[i].packedLen()
		m.correlate(&phases[i].correlation)
	}
	most(&m.shared.weights, total)
	return nil
}

func (m *meter) ConvBackwardWeights(c kernels.Conv, x, dy, dw kernels.Buffer) error {
	f := forwardOf(c, m.d.micro)
	if how := m.d.winogradFor(&f, c.Numerics); how.weights > 0 {
		m.winogradWeights(f, how.weights)
		return nil
	}
	chunks := weightChunks(c)
	most(&m.shared.partial, (chunks-1)*c.LenW())
	switch {
	case isDepthwise(c):
	case f.s > 1 && f.c < fewChannels:
		rows := min(max(1, pixelBlock/f.q), f.p, partsOf(f.n*f.p, chunks))
		most(&m.worker.band, ((rows-1)*f.sh+f.r)*((f.q-1)*f.sw+f.s)*f.c)
		m.panel(f.panels, rows*f.q)
	default:
		images, rows := max(1, pixelBlock/(f.p*f.q)), f.p
		if images == 1 {
			parts := min(f.p, (f.p*f.q+pixelBlock-1)/pixelBlock)
			rows = (f.p + parts - 1) / parts
		}
		m.panel(f.panels, min(images, partsOf(f.n, chunks))*rows*f.q)
	}
	return nil
}

// panel is a copy of so many rows of the last panel, where that is not full.
func (m *meter) panel(p panels, rows int) {
	if kind, cols := p.panel(p.count() - 1); cols < p.width[kind] {
		most(&m.worker.panel, rows*p.width[kind])
	}
}

// correlate is what Device.correlate takes.
func (m *meter) correlate(f *correlation) {
	l := f.layout()
	if f.pointwise() || l.inPlace {
		return
	}
	t := m.d.correlateOf(f, nil, nil, nil)
	for worker := range m.d.threads {
		lo, hi, p0, p1 := t.share(m.d, worker)
		for used := 0; lo < hi && p0 < p1; {
			rows, need := f.bandRows(l, used, lo, hi)
			if rows == 0 {
				used = 0
				continue
			}
			lo, used = lo+rows, used+need
			most(&m.worker.band, used)
		}
	}
}

// winograd is what Device.winograd takes, with filters that are kept or made.
func (m *meter) winograd(f correlation, how winogradChoice, kept bool) {
	p := m.d.winogradOf(f, how.m, nil, false)
	tiles, at := p.tiles(), 0 // in all, and at a time
	if how.deep {
		parts := partsOf(tiles, max(winogradTiles, winogradLen/(p.points()*p.ld)))
		each := partsOf(tiles, parts)
		most(&m.shared.winograd, p.points()*each*p.ld)
		at = partsOf(each, partsOf(each, 2*winogradTiles))
		if !kept {
			m.transformFilter(&p)
			most(&m.worker.filters, p.points()*p.c*p.width())
		}
	} else {
		each := m.each(tiles)
		at = partsOf(each, partsOf(each, winogradTiles))
		most(&m.worker.band, p.points()*at*p.ld)
		if !kept {
			most(&m.shared.weights, p.filtersLen())
			m.transformFilter(&p)
		}
	}
	width := p.width()
	most(&m.worker.products, p.points()*(at*width+grain))
	most(&m.worker.edge, max(p.side*p.side*p.c, p.m*p.m*width))
	most(&m.worker.between, maxBetween)
}

// partsOf is n cut into parts of at most so many, or the most of one of so many parts.
func partsOf(n, most int) int { return (n + most - 1) / most }

// width is that of the widest panel.
func (f *winograd) width() int {
	kind, _ := f.panels.panel(0)
	return f.panels.width[kind]
}

func (m *meter) filters(f correlation) {
	p := winograd{correlation: f}
	m.transformFilter(&p)
}

func (m *meter) transformFilter(p *winograd) {
	most(&m.worker.panel, 9*min(filterRows, p.c)*p.width())
	most(&m.worker.between, maxBetween)
}

func (m *meter) winogradWeights(f correlation, size int) {
	p := m.d.winogradOf(f, size, nil, false)
	tiles := p.tiles()
	at := partsOf(tiles, partsOf(tiles, winogradBlock))
	most(&m.shared.winograd, p.points()*at*(p.ld+spaced(p.k)))
	most(&m.shared.weights, p.points()*p.c*p.k)
	most(&m.worker.edge, max(p.side*p.side*p.c, p.m*p.m*p.k))
	most(&m.worker.between, maxBetween)
}

func (m *meter) LinearBackwardData(l kernels.Linear, w, dy, dx kernels.Buffer) error {
	m.panel(panels{m.d.micro.width, l.I}, min(depthLen, l.O))
	return nil
}

func (m *meter) LinearBackwardWeights(l kernels.Linear, x, dy, dw kernels.Buffer) error {
	m.panel(panels{m.d.micro.width, l.I}, min(outerLen, l.N))
	return nil
}

// reduce is a sum of so many kinds over rows.
func (m *meter) reduce(rows, c, kinds int) {
	most(&m.shared.partial, partsOf(rows, reduceRows)*kinds*c)
}

func (m *meter) SumRows(rows, c int, x, y kernels.Buffer) error {
	m.reduce(rows, c, 1)
	return nil
}

func (m *meter) BatchNormStats(rows, c int, x, mean, invstd, runningMean, runningVar kernels.Buffer, momentum, eps float32) error {
	m.reduce(rows, c, 2)
	return nil
}

func (m *meter) BatchNormApply(rows, c int, x, mean, invstd, gamma, beta, residual, y kernels.Buffer, act kernels.Activation) error {
	most(&m.shared.factors, c)
	return nil
}

func (m *meter) BatchNormReduce(rows, c int, dy, x, mean, invstd, gamma, beta, dgamma, dbeta kernels.Buffer, act kernels.Activation) error {
	most(&m.shared.factors, c)
	m.reduce(rows, c, 2)
	return nil
}

func (m *meter) BatchNormBackwardData(rows, c int, dy, x, mean, invstd, gamma, beta, dgamma, dbeta, dx kernels.Buffer, act kernels.Activation) error {
	most(&m.shared.factors, 3*c)
	return nil
}

func (m *meter) MaxPoolBackward(shape kernels.Pool, x, y, dy, dx kernels.Buffer) error {
	p := newPooling(shape)
	most(&m.worker.maxima, 2*p.rows.most()*p.cols.count*p.c)
	return nil
}

func (m *meter) SumSquares(x kernels.Buffer) (float64, error) {
	most(&m.shared.squares, partsOf(x.Len(), callElements))
	return 0, nil
}
