package optim

import (
	"errors"
	"fmt"

	"github.com/ftrun/ftrun/internal/kernels"
	"github.com/ftrun/ftrun/internal/nn"
)

// update is an optimizer's part of the steps of one program: Step, or, on a device that can, all parameters at once.
type update struct {
	of      *Optimizer
	program *nn.Program
	lr      func(base float64) float64
	all     *allAtOnce
	bound   int // of the program, when all was made
}

// Update is the optimizer's next step along the gradients of a program, for its Train, which is Step with those. lr makes
// the step's learning rate of a group's own. It is always the same for the same program.
func (o *Optimizer) Update(p *nn.Program, lr func(base float64) float64) nn.Update {
	u := o.updates[p]
	if u == nil {
		u = &update{of: o, program: p}
		o.updates[p] = u
	}
	u.lr = lr
	return u
}

// Prepare counts the step and gives its settings to the device.
func (u *update) Prepare() error {
	dev, ok := u.of.store.Device().(kernels.Updater)
	if !ok {
		return nil
	}
	if u.all == nil || u.bound != u.program.Bound() {
		if err := u.close(); err != nil {
			return err
		}
		all, err := u.of.allAtOnce(dev, u.program.Gradient)
		if err != nil {
			return err
		}
		u.all, u.bound = all, u.program.Bound()
	}
	u.of.step++
	return u.all.set(u.of, u.lr)
}

func (u *update) Apply() error {
	if u.all == nil {
		return u.of.Step(u.lr, u.program.Gradient)
	}
	if err := u.all.Apply(); err != nil {
		return fmt.Errorf("%s: updating the parameters: %w", u.of.cfg.Kind, err)
	}
	return nil
}

func (u *update) close() error {
	if u.all == nil {
		return nil
	}
	all := u.all
	u.all = nil
	return all.Close()
}

// allAtOnce updates parameters that have a gradient.
type allAtOnce struct {
	kernels.Update
	params []int       // by index
	groups map[int]int // by parameter
}

func (o *Optimizer) allAtOnce(dev kernels.Updater, grad func(param int) kernels.Buffer) (*allAtOnce, error) {
	a := &allAtOnce{groups: map[int]int{}}
	var of []kernels.Updated
	for _, i := range o.sorted() {
		if g := grad(i); g != nil {
			a.params = append(a.params, i)
			of = append(of, kernels.Updated{W: o.store.Buffer(i), G: g, Moments: o.moments[i]})
		}
	}
	for i, g := range o.groups {
		for _, p := range g.Params {
			a.groups[p] = i
		}
	}
	var err error
	if a.Update, err = dev.NewUpdate(of, o.cfg.Clip); err != nil {
		return nil, fmt.Errorf("%s: %w", o.cfg.Kind, err)
	}
	return a, nil
}

// set gives the settings of the step that comes, which changes the parameters.
func (a *allAtOnce) set(o *Optimizer, lr func(base float64) float64) error {
	rates := make([]float64, len(o.groups))
	for i, g := range o.groups {
		rates[i] = lr(g.LR)
	}
	for _, p := range a.params {
		o.store.Changed(p)
	}
	if o.cfg.Kind == SGD {
		return a.SetSGD(settings(a, o, rates, o.sgd))
	}
	return a.SetAdam(settings(a, o, rates, o.adam))
}

// settings are those of each parameter, by its group.
func settings[T any](a *allAtOnce, o *Optimizer, rates []float64, of func(lr, decay float64) T) []T {
	all := make([]T, len(a.params))
	for i, p := range a.params {
		g := a.groups[p]
		all[i] = of(rates[g], o.groups[g].WeightDecay)
	}
	return all
}

// Rehearse does over a store of a kernels.Meter what a step beside Step's operations takes of memory. grad gives gradients
// as Step's does.
func (o *Optimizer) Rehearse(grad func(param int) kernels.Buffer) error {
	dev, ok := o.store.Device().(kernels.Updater)
	if !ok {
		return nil
	}
	all, err := o.allAtOnce(dev, grad)
	if err != nil {
		return err
	}
	return errors.Join(all.Apply(), all.Close())
}
