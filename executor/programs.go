package executor

import (
	"errors"

	"github.com/ftrun/ftrun/internal/nn"
)

// programs holds the compiled graphs of one run: training and evaluation, each for the full batch and, where the number
// of pictures asks for it, for a smaller last one. They share the parameters, and, as no two run at once, one memory.
type programs struct {
	// train and eval are the network, or the part of it that is run; not to be changed when a program has been made.
	train, eval *nn.Net
	params      *nn.ParamStore
	settings    nn.Settings // of a training program; Batch is filled in
	slab        *nn.Slab
	made        map[programKey]*nn.Program
}

type programKey struct {
	batch    int
	training bool
}

func newPrograms(net *nn.Net, params *nn.ParamStore, settings nn.Settings) *programs {
	settings.Training = true
	settings.Slab = nn.NewSlab(params.Device())
	return &programs{train: net, eval: net, params: params, settings: settings, slab: settings.Slab, made: map[programKey]*nn.Program{}}
}

// begin lets training and evaluation begin at cuts, whose results they take in the place of pictures; nil: at the pictures.
func (p *programs) begin(train, eval *nn.Cut) {
	whole := p.params.Net()
	p.train, p.eval = whole, whole
	if train != nil {
		p.train = whole.After(train.At)
	}
	if eval != nil {
		p.eval = whole.After(eval.At)
	}
}

func (p *programs) training(batch int) (*nn.Program, error) {
	return p.get(programKey{batch, true})
}

func (p *programs) evaluation(batch int) (*nn.Program, error) {
	return p.get(programKey{batch, false})
}

func (p *programs) get(key programKey) (*nn.Program, error) {
	if made, ok := p.made[key]; ok {
		return made, nil
	}
	net, settings := p.of(key)
	made, err := nn.Compile(net, p.params, settings)
	if err == nil {
		p.made[key] = made
	}
	return made, err
}

// rehearse does, over parameters of a kernels.Meter, what making a program and its first run do.
func (p *programs) rehearse(key programKey) error {
	net, settings := p.of(key)
	return nn.Rehearse(net, p.params, settings)
}

// of is what a program is made of.
func (p *programs) of(key programKey) (*nn.Net, nn.Settings) {
	if key.training {
		settings := p.settings
		settings.Batch = key.batch
		return p.train, settings
	}
	return p.eval, nn.Settings{Batch: key.batch, Numerics: p.settings.Numerics, Slab: p.slab}
}

// memory is the number of bytes that the programs hold beside the parameters.
func (p *programs) memory() int64 { return p.slab.Memory() }

// close frees what the programs hold, of which the parameters are no part.
func (p *programs) close() error {
	var errs []error
	for _, m := range p.made {
		errs = append(errs, m.Close())
	}
	return errors.Join(append(errs, p.slab.Close())...)
}
