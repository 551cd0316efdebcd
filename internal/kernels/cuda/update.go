//go:build gpu

package cuda

import (
	"fmt"
	"math"

	"gorgonia.org/cu"

	"github.com/ftrun/ftrun/internal/kernels"
)

var _ kernels.Updater = (*Device)(nil)

// What kernels.cu calls the same: words of a row of the table, settings of a row, and elements of a piece.
const (
	tableRow   = 6
	settingRow = 9
	pieceLen   = 1024
)

// update is the tables from which one launch updates many parameters.
type update struct {
	device     *Device
	parameters int
	kernel     string // by which Apply goes; "" before the first settings
	moments    int    // of each parameter
	places     updatePlaces
	limit      float64 // of the gradients' norm; 0: none
	settings   [][settingRow]float32

	memory                               kernels.Buffer
	table, pieces, set                   cu.DevicePtr
	squares, chunks, squareTotal, factor cu.DevicePtr // of clipping
}

// updatePlaces says how large the tables are.
type updatePlaces struct {
	pieces, squares int // how many
	bytes           []int
}

// placesOf lays out the tables of an update of parameters of these lengths.
func placesOf(lengths []int, clips bool) updatePlaces {
	var p updatePlaces
	for _, n := range lengths {
		p.pieces += (n + pieceLen - 1) / pieceLen
		p.squares += squareSums(n)
	}
	p.bytes = []int{8 * tableRow * len(lengths), 4 * 2 * p.pieces, 4 * settingRow * len(lengths)}
	if clips {
		p.bytes = append(p.bytes, 8*p.squares, 8*squareChunks*len(lengths), 8*len(lengths), 4)
	}
	return p
}

// len is how many elements of float32 the tables take together.
func (p updatePlaces) len() int { return taken(p.bytes...) / 4 }

// lengthsOf panics where the parts of a parameter don't go together.
func lengthsOf(of []kernels.Updated) []int {
	lengths := make([]int, len(of))
	for i, p := range of {
		lengths[i] = p.W.Len()
		for _, b := range append([]kernels.Buffer{p.G}, p.Moments...) {
			if b.Len() != lengths[i] || len(p.Moments) != len(of[0].Moments) || len(p.Moments) > 2 {
				panic(fmt.Sprintf("cuda: an update of parameter %d, of %d elements, with %d moments and parts of %d", i, lengths[i],
					len(p.Moments), b.Len()))
			}
		}
	}
	return lengths
}

// NewUpdate makes the tables.
func (d *Device) NewUpdate(of []kernels.Updated, limit float64) (kernels.Update, error) {
	const op = "NewUpdate"
	lengths := lengthsOf(of)
	u := &update{device: d, parameters: len(of), places: placesOf(lengths, limit > 0), limit: limit,
		settings: make([][settingRow]float32, len(of))}
	if len(of) == 0 {
		return u, nil
	}
	if u.places.pieces*pieceLen > mostElements {
		return nil, fmt.Errorf("%s: an update of %d pieces of %d parameters: a kernel counts to %d", d.name, u.places.pieces, pieceLen,
			mostElements)
	}
	u.moments = len(of[0].Moments)
	table, pieces, sums := make([]uint64, 0, tableRow*len(of)), make([]uint32, 0, 2*u.places.pieces), 0
	for i, p := range of {
		n := lengths[i]
		row := [tableRow]uint64{0: uint64(d.memory(op, "w", p.W, n)), 1: uint64(d.memory(op, "g", p.G, n)), 4: uint64(n), 5: uint64(sums)}
		for j, m := range p.Moments {
			row[2+j] = uint64(d.memory(op, "a moment", m, n))
		}
		table = append(table, row[:]...)
		for at := 0; at < n; at += pieceLen {
			pieces = append(pieces, uint32(i), uint32(at))
		}
		sums += squareSums(n)
	}
	var err error
	if u.memory, err = d.Alloc(u.places.len()); err != nil {
		return nil, fmt.Errorf("tables of the parameters: %w", err)
	}
	at := d.memory(op, "tables", u.memory, u.places.len())
	for i, part := range []*cu.DevicePtr{&u.table, &u.pieces, &u.set, &u.squares, &u.chunks, &u.squareTotal, &u.factor}[:len(u.places.bytes)] {
		*part = at + cu.DevicePtr(taken(u.places.bytes[:i]...))
	}
	if err = upload(d, u.table, table); err == nil {
		err = upload(d, u.pieces, pieces)
	}
	if err != nil {
		d.Free(u.memory)
		return nil, err
	}
	return u, nil
}

// SetSGD gives the settings of the steps that follow.
func (u *update) SetSGD(o []kernels.SGD) error {
	u.by("sgd_all", len(o), 0, 1)
	for i, s := range o {
		if s.Momentum != 0 && u.moments == 0 {
			panic("cuda: SGD with momentum wants v")
		}
		nesterov := float32(0)
		if s.Nesterov {
			nesterov = 1
		}
		u.settings[i] = [settingRow]float32{s.LR, s.Momentum, s.WeightDecay, nesterov}
	}
	return u.send()
}

// SetAdam gives the settings of the steps that follow.
func (u *update) SetAdam(o []kernels.Adam) error {
	u.by("adam_all", len(o), 2, 2)
	for i, s := range o {
		u.settings[i] = adamSettings(s)
	}
	return u.send()
}

// by takes note of the kernel, which wants so many moments.
func (u *update) by(kernel string, settings, least, most int) {
	if settings != u.parameters || u.parameters > 0 && (u.moments < least || u.moments > most) {
		panic(fmt.Sprintf("cuda: %s: %d settings for %d parameters with %d moments", kernel, settings, u.parameters, u.moments))
	}
	u.kernel = kernel
}

func (u *update) send() error {
	if u.parameters == 0 {
		return nil
	}
	return upload(u.device, u.set, u.settings)
}

// Apply updates all parameters in one launch, and in four more finds the factor of clipping.
func (u *update) Apply() error {
	if u.kernel == "" {
		panic("cuda: an update without settings")
	}
	if u.parameters == 0 {
		return nil
	}
	d, p := u.device, u.parameters
	if u.limit > 0 {
		if err := d.launch("sum_squares_all", u.places.squares, u.table, u.squares, p, u.places.squares); err != nil {
			return err
		}
		if err := d.launch("sum_partial_all", p*squareChunks, u.table, u.squares, u.chunks, p, u.places.squares); err != nil {
			return err
		}
		if err := d.launch("sum_chunks_all", p, u.chunks, u.squareTotal, p); err != nil {
			return err
		}
		if err := d.launch("clip_factor", 1, u.squareTotal, u.factor, math.Float64bits(u.limit), p); err != nil {
			return err
		}
	}
	count := u.places.pieces * pieceLen
	return d.launch(u.kernel, count, u.table, u.pieces, u.set, u.factor, count)
}

// Close frees the tables.
func (u *update) Close() error {
	if u.memory != nil {
		u.device.Free(u.memory)
		u.memory = nil
	}
	return nil
}

// hollowUpdate is what a meter gives: the memory of the tables.
type hollowUpdate struct {
	meter  *meter
	memory kernels.Buffer
}

func (m *meter) NewUpdate(of []kernels.Updated, limit float64) (kernels.Update, error) {
	memory, err := m.Alloc(placesOf(lengthsOf(of), limit > 0).len())
	return &hollowUpdate{m, memory}, err
}

func (u *hollowUpdate) SetSGD([]kernels.SGD) error   { return nil }
func (u *hollowUpdate) SetAdam([]kernels.Adam) error { return nil }
func (u *hollowUpdate) Apply() error                 { return nil }
func (u *hollowUpdate) Close() error {
	u.meter.Free(u.memory)
	return nil
}
