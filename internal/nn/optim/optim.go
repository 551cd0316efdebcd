// Package optim updates the parameters of a network: torch.optim's SGD, Adam and AdamW as one device kernel a parameter, or
// one for all where the device can; the clipping of gradients; and learning-rate schedules.
package optim

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/ftrun/ftrun/internal/kernels"
	"github.com/ftrun/ftrun/internal/nn"
)

// Kind names an update rule, as torch.optim does.
type Kind string

const (
	SGD   Kind = "sgd"
	Adam  Kind = "adam"
	AdamW Kind = "adamw"
)

// Config holds the settings that all parameters share.
type Config struct {
	Kind              Kind
	Momentum          float64 // sgd
	Nesterov          bool    // sgd
	Beta1, Beta2, Eps float64 // adam, adamw
	Clip              float64 // what the Euclidean norm of all gradients together is at most; 0: no limit
}

// Group is a set of parameters with a learning rate and a weight decay of their own.
type Group struct {
	Params      []int   // by index in Net.Params
	LR          float64 // before the schedule
	WeightDecay float64
}

// Optimizer updates the parameters of one store and owns the moments of their gradients.
type Optimizer struct {
	cfg     Config
	store   *nn.ParamStore
	groups  []Group
	step    int
	memory  kernels.Buffer
	moments map[int][]kernels.Buffer // by parameter, in the order of names
	names   []string                 // of the moments: torch's
	updates map[*nn.Program]*update
}

// New returns an optimizer that has taken no step. Parameters that are in no group are left alone.
func New(cfg Config, store *nn.ParamStore, groups []Group) (*Optimizer, error) {
	o := &Optimizer{cfg: cfg, store: store, groups: groups, moments: map[int][]kernels.Buffer{}, updates: map[*nn.Program]*update{}}
	switch cfg.Kind {
	case SGD:
		if cfg.Momentum != 0 {
			o.names = []string{"momentum_buffer"}
		}
	case Adam, AdamW:
		o.names = []string{"exp_avg", "exp_avg_sq"}
	default:
		panic(fmt.Sprintf("optim: there is no optimizer %q", cfg.Kind))
	}
	n := 0
	for i := range o.params {
		if store.Net().Params[i].Kind != nn.Weight {
			panic(fmt.Sprintf("optim: %s is not a weight", store.Net().Params[i].Name))
		}
		if _, ok := o.moments[i]; ok {
			panic(fmt.Sprintf("optim: %s is in two groups", store.Net().Params[i].Name))
		}
		o.moments[i] = make([]kernels.Buffer, len(o.names))
		n += len(o.names) * store.Buffer(i).Len()
	}
	if n == 0 {
		return o, nil
	}
	memory, err := store.Device().Alloc(n)
	if err != nil {
		return nil, fmt.Errorf("moments of %s: %w", cfg.Kind, err)
	}
	o.memory = memory
	at := 0
	for i := range o.params {
		for j := range o.moments[i] {
			size := store.Buffer(i).Len()
			o.moments[i][j] = memory.Slice(at, at+size)
			at += size
		}
	}
	return o, nil
}

// params visits the parameters, group by group.
func (o *Optimizer) params(yield func(int) bool) {
	for _, g := range o.groups {
		for _, i := range g.Params {
			if !yield(i) {
				return
			}
		}
	}
}

// Step clips the gradients, and updates every parameter from its own. lr makes this step's learning rate of a group's own,
// grad gives the gradient of a parameter; one without a gradient (nil) is left alone, as in torch.
func (o *Optimizer) Step(lr func(base float64) float64, grad func(param int) kernels.Buffer) error {
	o.step++
	if o.cfg.Clip > 0 {
		var all []kernels.Buffer
		for _, i := range o.sorted() {
			all = append(all, grad(i))
		}
		if _, err := ClipGradNorm(o.store.Device(), o.cfg.Clip, all); err != nil {
			return err
		}
	}
	for _, group := range o.groups {
		rate := lr(group.LR)
		for _, i := range group.Params {
			g := grad(i)
			if g == nil {
				continue
			}
			if err := o.update(rate, group.WeightDecay, o.store.Buffer(i), g, o.moments[i]); err != nil {
				return fmt.Errorf("%s: updating %s: %w", o.cfg.Kind, o.store.Net().Params[i].Name, err)
			}
			o.store.Changed(i)
		}
	}
	return nil
}

// sorted are the parameters by index, the order in which the squares of gradients are summed.
func (o *Optimizer) sorted() []int { return slices.Sorted(o.params) }

func (o *Optimizer) update(lr, decay float64, w, g kernels.Buffer, m []kernels.Buffer) error {
	dev := o.store.Device()
	if o.cfg.Kind == SGD {
		var v kernels.Buffer
		if len(m) > 0 {
			v = m[0]
		}
		return dev.SGD(o.sgd(lr, decay), w, g, v)
	}
	return dev.Adam(o.adam(lr, decay), w, g, m[0], m[1])
}

func (o *Optimizer) sgd(lr, decay float64) kernels.SGD {
	return kernels.SGD{
		LR:          float32(lr),
		Momentum:    float32(o.cfg.Momentum),
		WeightDecay: float32(decay),
		Nesterov:    o.cfg.Nesterov,
	}
}

func (o *Optimizer) adam(lr, decay float64) kernels.Adam {
	return kernels.Adam{
		LR:          lr,
		Beta1:       o.cfg.Beta1,
		Beta2:       o.cfg.Beta2,
		Eps:         o.cfg.Eps,
		WeightDecay: decay,
		Decoupled:   o.cfg.Kind == AdamW,
		Step:        o.step,
	}
}

// State is what an optimizer remembers between steps.
type State struct {
	Step    int // steps taken
	Moments []Moment
}

// Moment is a running mean of a parameter's gradients, by torch's name for it.
type Moment struct {
	Name   string    // "layer1.0.conv1.weight/momentum_buffer"
	Values []float32 // in torch's order
}

// State returns what LoadState needs to go on with the same bits.
func (o *Optimizer) State() (State, error) {
	s := State{Step: o.step}
	for i := range o.params {
		for j, b := range o.moments[i] {
			v, err := o.store.ToTorch(i, b)
			if err != nil {
				return State{}, err
			}
			s.Moments = append(s.Moments, Moment{o.name(i, j), v})
		}
	}
	return s, nil
}

// LoadState puts a state back. It is an error if it is that of an optimizer of other parameters or another kind.
func (o *Optimizer) LoadState(s State) error {
	saved := map[string][]float32{}
	for _, m := range s.Moments {
		saved[m.Name] = m.Values
	}
	n := 0
	for i := range o.params {
		for j, b := range o.moments[i] {
			v, ok := saved[o.name(i, j)]
			if !ok {
				return fmt.Errorf("the optimizer's state lacks %s", o.name(i, j))
			}
			if len(v) != b.Len() {
				return fmt.Errorf("the optimizer's state has %d elements of %s, want %d", len(v), o.name(i, j), b.Len())
			}
			if err := o.store.FromTorch(i, v, b); err != nil {
				return err
			}
			n++
		}
	}
	if n != len(s.Moments) {
		return fmt.Errorf("the optimizer's state has %d moments, want %d: it is not that of %s for these parameters",
			len(s.Moments), n, o.cfg.Kind)
	}
	o.step = s.Step
	return nil
}

func (o *Optimizer) name(param, moment int) string {
	return o.store.Net().Params[param].Name + "/" + o.names[moment]
}

// Memory is the number of bytes held on the device.
func (o *Optimizer) Memory() int64 {
	if o.memory == nil {
		return 0
	}
	return 4 * int64(o.memory.Len())
}

// Close frees the moments, and what the updates hold.
func (o *Optimizer) Close() error {
	var errs []error
	for _, u := range o.updates {
		errs = append(errs, u.close())
	}
	if o.memory != nil {
		o.store.Device().Free(o.memory)
		o.memory = nil
	}
	return errors.Join(errs...)
}

// ClipGradNorm scales the gradients so that the Euclidean norm of all of them together is at most limit, and returns the
// norm before: torch.nn.utils.clip_grad_norm_. Nil gradients are passed over.
func ClipGradNorm(dev kernels.Device, limit float64, grads []kernels.Buffer) (norm float64, err error) {
	var sum float64
	for _, g := range grads {
		if g == nil {
			continue
		}
		s, err := dev.SumSquares(g)
		if err != nil {
			return 0, fmt.Errorf("norm of the gradients: %w", err)
		}
		sum += s
	}
	norm = math.Sqrt(sum)
	factor := kernels.ClipFactor(limit, norm)
	if factor >= 1 {
		return norm, nil
	}
	for _, g := range grads {
		if g == nil {
			continue
		}
		if err := dev.Scale(float32(factor), g); err != nil {
			return 0, fmt.Errorf("clipping the gradients: %w", err)
		}
	}
	return norm, nil
}
