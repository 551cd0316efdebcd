package executor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/ftrun/ftrun/internal/data"
	"github.com/ftrun/ftrun/internal/kernels"
	"github.com/ftrun/ftrun/internal/nn"
	"github.com/ftrun/ftrun/internal/weights"
	"github.com/ftrun/ftrun/models"
	"github.com/ftrun/ftrun/planner"
)

// Predictor classifies pictures with a network in evaluation mode.
type Predictor struct {
	// Classes names the network's classes; where no names are known they are numbers.
	Classes []string

	pipeline *data.Pipeline
	pictures *pictures
	net      *nn.Net
	params   *nn.ParamStore
	programs *programs
}

// predictBatch is the most pictures that are classified together.
const predictBatch = 8

// Answer is what a network says of one picture.
type Answer struct {
	Path   string
	Logits []float32
	Top    []Guess // by probability, greatest first
	Err    error   // the picture can't be used; the rest is empty
}

// Guess is a class and how probable the network holds it to be.
type Guess struct {
	Index       int     `json:"index"`
	Class       string  `json:"class"`
	Probability float64 `json:"probability"`
}

// Network is what pictures are classified with.
type Network struct {
	Arch     string
	Path     string // of a file of weights with the head, whose shape gives the number of classes
	Image    planner.Image
	Classes  []string // their names; may be nil
	Numerics kernels.Numerics
	Check    func(sha256 string) error // refuses a file that is not what it should be; may be nil
}

// NewPredictor makes a predictor of a network.
func NewPredictor(device kernels.Device, network Network) (*Predictor, error) {
	arch, path, image, classes := network.Arch, network.Path, network.Image, network.Classes
	file, err := OpenWeights(path, network.Check)
	if err != nil {
		return nil, err
	}
	n, err := headClasses(arch, file, filepath.Base(path))
	if err != nil {
		return nil, err
	}
	if classes == nil {
		for i := range n {
			classes = append(classes, strconv.Itoa(i))
		}
	}
	if len(classes) != n {
		return nil, fmt.Errorf("%s has %d classes, but %d names were given", filepath.Base(path), n, len(classes))
	}
	p := &Predictor{Classes: classes}
	p.pipeline, err = data.NewPipeline(data.PipelineConfig{
		Resize: image.Resize, Crop: image.Crop, Normalize: data.Normalize{Mean: image.Mean, Std: image.Std},
	})
	if err != nil {
		return nil, err
	}
	if p.net, err = models.Build(arch, n, image.Crop); err != nil {
		return nil, err
	}
	if p.params, err = nn.NewParamStore(device, p.net); err != nil {
		return nil, err
	}
	if err := load(p.net, p.params, file, filepath.Base(path), func(nn.Param) bool { return true }); err != nil {
		return nil, errors.Join(err, p.params.Close())
	}
	p.programs = newPrograms(p.net, p.params, nn.Settings{Numerics: network.Numerics})
	if p.pictures, err = newPictures(device, image, predictBatch); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

// headClasses reads the number of classes off the shape of the last layer's weight.
func headClasses(arch string, file *weights.File, name string) (int, error) {
	info, ok := models.Lookup(arch)
	if !ok {
		return 0, fmt.Errorf("there is no architecture %q", arch)
	}
	net, err := models.Build(arch, 1, info.Crop)
	if err != nil {
		return 0, err
	}
	head := slices.IndexFunc(net.Params, func(p nn.Param) bool { return p.Head && p.Layer == headLayer(net) })
	tensor, ok := file.Lookup(net.Params[head].Name)
	if !ok || len(tensor.Shape) != len(net.Params[head].Shape) || tensor.Shape[0] < 1 {
		return 0, fmt.Errorf("%s does not hold weights of %s: it has no %s of the right shape", name, arch, net.Params[head].Name)
	}
	return tensor.Shape[0], nil
}

// headLayer is the layer of the last parameters that belong to the head: inception_v3's auxiliary one comes before.
func headLayer(net *nn.Net) int {
	for _, p := range slices.Backward(net.Params) {
		if p.Head {
			return p.Layer
		}
	}
	panic("executor: " + net.Arch + " has no head")
}

// Predict classifies pictures. A picture that can't be read has its error in its answer and does not stop the others.
func (p *Predictor) Predict(ctx context.Context, paths []string, top int) ([]Answer, error) {
	answers := make([]Answer, len(paths))
	for lo := 0; lo < len(paths); lo += predictBatch {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		b := p.newBatch()
		var at []int
		for i := lo; i < min(lo+predictBatch, len(paths)); i++ {
			answers[i].Path = paths[i]
			if answers[i].Err = p.show(b.Batch, paths[i]); answers[i].Err == nil {
				at = append(at, i)
			}
		}
		if len(at) == 0 {
			continue
		}
		program, err := p.programs.evaluation(b.N)
		if err != nil {
			return nil, err
		}
		out, err := b.evaluate(program)
		if err != nil {
			return nil, err
		}
		n := len(p.Classes)
		for j, i := range at {
			answers[i].Logits = slices.Clone(out.Logits[j*n : (j+1)*n])
			answers[i].Top = p.top(answers[i].Logits, top)
		}
	}
	return answers, nil
}

// newBatch is an empty batch: of bytes where the device normalises them.
func (p *Predictor) newBatch() batch {
	b := batch{Batch: &data.Batch{}}
	if p.pictures.device != nil {
		b.load = func(input kernels.Buffer) error { return p.pictures.load(b.Pix, b.N, input) }
	}
	return b
}

// show adds a picture to a batch; one that can't be used is left out.
func (p *Predictor) show(b *data.Batch, path string) error {
	img, err := data.DecodeFile(path)
	if err != nil {
		return err
	}
	n := p.pipeline.Len()
	if p.pictures.device != nil {
		pix := slices.Grow(b.Pix, n)[:len(b.Pix)+n]
		if err := p.pipeline.EvalBytes(pix[len(b.Pix):], img); err != nil {
			return err
		}
		b.Pix = pix
	} else {
		x := slices.Grow(b.X, n)[:len(b.X)+n]
		if err := p.pipeline.Eval(x[len(b.X):], img); err != nil {
			return err
		}
		b.X = x
	}
	b.N++
	return nil
}

func (p *Predictor) top(logits []float32, n int) []Guess {
	probs, _ := softmax(logits, 0)
	all := make([]Guess, len(probs))
	for i, v := range probs {
		all[i] = Guess{Index: i, Class: p.Classes[i], Probability: float64(v)}
	}
	slices.SortStableFunc(all, func(a, b Guess) int { return cmp.Compare(b.Probability, a.Probability) })
	return all[:min(n, len(all))]
}

// Close frees the network; the device stays open.
func (p *Predictor) Close() error {
	var pictures error
	if p.pictures != nil {
		pictures = p.pictures.close()
	}
	return errors.Join(p.programs.close(), pictures, p.params.Close())
}
