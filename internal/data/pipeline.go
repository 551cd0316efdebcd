package data

import (
	"errors"
	"fmt"
)

// PipelineConfig says what happens between a decoded picture and a network's input.
type PipelineConfig struct {
	Resize int // shorter side before the crop, pixels: torchvision's resize_size
	Crop   int // rows and columns of the input, pixels: torchvision's crop_size
	// Augment are the training pictures' operations, in order. None means the weights' own deterministic transform,
	// Resize and then CenterCrop. A chain that crops without random_resized_crop or resize before gets Resize first; one
	// that crops nowhere gets Resize (where it has none) and CenterCrop at its start, or after its last resize.
	Augment   []Op
	Normalize Normalize
}

// Pipeline turns decoded pictures into inputs (Crop, Crop, 3), float32. It is immutable and may be shared.
type Pipeline struct {
	resize, crop int
	ops          []Op // nil: Resize and CenterCrop
	fixed        int  // so many of ops, the first, draw nothing
	norm         *normTable
}

// NewPipeline checks cfg and completes its operations so that every picture becomes Crop×Crop.
func NewPipeline(cfg PipelineConfig) (*Pipeline, error) {
	var errs []error
	if cfg.Crop < 1 || cfg.Crop > 1<<12 {
		errs = append(errs, fmt.Errorf("crop = %d must lie within [1, %d] pixels", cfg.Crop, 1<<12))
	}
	if cfg.Resize < 1 || cfg.Resize > 1<<14 {
		errs = append(errs, fmt.Errorf("resize = %d must lie within [1, %d] pixels", cfg.Resize, 1<<14))
	} else if cfg.Resize < cfg.Crop {
		errs = append(errs, fmt.Errorf("resize = %d is less than crop = %d: the crop would reach past the picture",
			cfg.Resize, cfg.Crop))
	}
	for c, s := range cfg.Normalize.Std {
		if !(s > 0) {
			errs = append(errs, fmt.Errorf("the normalisation's std of channel %d is %v: it must be positive", c, s))
		}
	}
	for _, op := range cfg.Augment {
		errs = append(errs, op.check())
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	p := &Pipeline{resize: cfg.Resize, crop: cfg.Crop, norm: cfg.Normalize.table()}
	if len(cfg.Augment) > 0 {
		ops, err := complete(cfg)
		if err != nil {
			return nil, err
		}
		p.ops, p.fixed = ops, undrawn(ops)
	}
	return p, nil
}

// complete adds what a chain of operations lacks to end in Crop×Crop pixels.
func complete(cfg PipelineConfig) ([]Op, error) {
	firstCrop, lastCrop, firstResize, lastResize := -1, -1, -1, -1
	for i, op := range cfg.Augment {
		switch op := op.(type) {
		case RandomResizedCrop, RandomCrop, CenterCrop:
			if firstCrop < 0 {
				firstCrop = i
			}
			lastCrop = i
		case ResizeOp:
			if firstResize < 0 {
				firstResize = i
			}
			lastResize = i
			if firstCrop >= 0 {
				return nil, fmt.Errorf("resize stands after %s, which already gives %d×%d pixels: put it before, or leave it out",
					cfg.Augment[firstCrop].Kind(), cfg.Crop, cfg.Crop)
			}
			if op.Size < cfg.Crop {
				return nil, fmt.Errorf("resize: size = %d is less than crop = %d: the crop would reach past the picture",
					op.Size, cfg.Crop)
			}
		}
	}
	resize := ResizeOp{cfg.Resize}
	switch {
	case lastCrop < 0 && firstResize < 0:
		return append([]Op{resize, CenterCrop{}}, cfg.Augment...), nil
	case lastCrop < 0:
		ops := append([]Op{}, cfg.Augment[:lastResize+1]...)
		return append(append(ops, CenterCrop{}), cfg.Augment[lastResize+1:]...), nil
	case firstResize < 0:
		if _, ok := cfg.Augment[firstCrop].(RandomResizedCrop); !ok {
			return append([]Op{resize}, cfg.Augment...), nil
		}
	}
	return append([]Op{}, cfg.Augment...), nil
}

// undrawn is how many operations come before the first that draws.
func undrawn(ops []Op) (n int) {
	for n < len(ops) {
		switch ops[n].(type) {
		case ResizeOp, CenterCrop:
			n++
		default:
			return n
		}
	}
	return n
}

// Random reports whether a picture's input may differ from one epoch to the next.
func (p *Pipeline) Random() bool { return p.ops != nil }

// Len is the number of float32 of one input, crop·crop·3.
func (p *Pipeline) Len() int { return 3 * p.crop * p.crop }

// prepare applies the operations before the first that draws; img is not written to.
func (p *Pipeline) prepare(img *Image, s *scratch) (_ *Image, err error) {
	for _, op := range p.ops[:p.fixed] {
		if img, err = op.apply(img, p.crop, nil, s); err != nil {
			return nil, err
		}
	}
	return img, nil
}

// draw applies the others to what prepare made; draws names the streams of the operations.
func (p *Pipeline) draw(img *Image, draws func(op int) stream, s *scratch) (_ *Image, err error) {
	for i := p.fixed; i < len(p.ops); i++ {
		r := draws(i)
		if img, err = p.ops[i].apply(img, p.crop, &r, s); err != nil {
			return nil, err
		}
	}
	return img, nil
}

// Eval runs the deterministic transform (Resize and CenterCrop, whatever Augment is) on img and writes the normalised
// input (Crop, Crop, 3) to dst.
func (p *Pipeline) Eval(dst []float32, img *Image) error {
	out := NewImage(p.crop, p.crop)
	if err := p.EvalBytes(out.Pix, img); err != nil {
		return err
	}
	p.norm.apply(dst[:p.Len()], out)
	return nil
}

// EvalBytes is Eval for what is normalised elsewhere: it writes (Crop, Crop, 3), R, G, B.
func (p *Pipeline) EvalBytes(dst []uint8, img *Image) error {
	return resizeCenterCrop(&Image{W: p.crop, H: p.crop, Pix: dst[:p.Len()]}, img, p.resize, &scratch{})
}
