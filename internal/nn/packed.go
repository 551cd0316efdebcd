package nn

import (
	"fmt"

	"gorgonia.org/tensor"

	"github.com/ftrun/ftrun/internal/kernels"
)

// packedConv is the weights of a convolution that no gradient passes, in the form in which the device reads them, with
// the batch norm behind it folded in:
//
//	gamma·invstd·(conv(x, w) + bias − mean) + beta = conv(x, gamma·invstd·w) + gamma·invstd·(bias − mean) + beta
//
// A ParamStore keeps it for all Programs and makes it anew when a parameter that it is made of has changed: never where
// those are frozen, once an epoch where a network is evaluated while it is trained.
type packedConv struct {
	layer   string
	d       kernels.Conv
	conv    []int // the convolution's parameters: weight and, where it has one, bias
	norm    []int // the batch norm's: weight, bias, running mean and variance; nil: none is folded in
	eps     float32
	weights kernels.Buffer
	bias    kernels.Buffer // nil where there is neither bias nor batch norm
	made    int            // the sum of the versions of its parameters of which it was made
}

// packedKey tells the packed weights of one network apart.
type packedKey struct {
	conv, norm int // layers; norm −1: none
	numerics   kernels.Numerics
}

// packed returns the weights of a unit with the shape d, not made yet when they are new.
func (s *ParamStore) packed(u unit, d kernels.Conv) (*packedConv, error) {
	key := packedKey{u.index, u.norm, d.Numerics}
	if p, ok := s.packs[key]; ok {
		return p, nil
	}
	conv := s.net.Layers[u.index]
	p := &packedConv{layer: conv.Name, d: d, conv: conv.Params, made: -1}
	if u.norm >= 0 {
		norm := s.net.Layers[u.norm]
		p.norm, p.eps = norm.Params[:4], norm.Op.(BatchNorm2d).Eps
	}
	n, bias := aligned(s.dev.PackedLen(d)), 0
	if p.norm != nil || len(p.conv) > 1 {
		bias = d.K
	}
	memory, err := s.dev.Alloc(n + bias)
	if err != nil {
		return nil, fmt.Errorf("packed weights of %s: %w", conv.Name, err)
	}
	p.weights = memory.Slice(0, s.dev.PackedLen(d))
	if bias > 0 {
		p.bias = memory.Slice(n, n+bias)
	}
	s.packs[key] = p
	s.packMemory = append(s.packMemory, memory)
	return p, nil
}

// refresh makes p where its parameters have changed since it was made. Versions only grow, so their sum tells.
func (s *ParamStore) refresh(p *packedConv) error {
	version := 0
	for _, i := range p.conv {
		version += s.versions[i]
	}
	for _, i := range p.norm {
		version += s.versions[i]
	}
	if p.made == version {
		return nil
	}
	if err := s.pack(p); err != nil {
		return fmt.Errorf("packing the weights of %s: %w", p.layer, err)
	}
	p.made = version
	return nil
}

func (s *ParamStore) pack(p *packedConv) error {
	weights := s.buffers[p.conv[0]]
	var bias kernels.Buffer
	if len(p.conv) > 1 {
		bias = s.buffers[p.conv[1]]
	}
	if p.norm == nil {
		if bias != nil {
			if err := s.dev.Add([]kernels.Buffer{bias}, p.bias, kernels.Identity); err != nil {
				return err
			}
		}
		return s.dev.PackWeights(p.d, weights, p.weights)
	}
	k := p.d.K
	n := aligned(p.d.LenW())
	scratch, err := s.dev.Alloc(n + 2*aligned(k))
	if err != nil {
		return err
	}
	defer s.dev.Free(scratch)
	folded := scratch.Slice(0, p.d.LenW())
	invstd, zeros := scratch.Slice(n, n+k), scratch.Slice(n+aligned(k), n+aligned(k)+k)
	if bias == nil {
		bias = zeros
	}
	gamma, beta := s.buffers[p.norm[0]], s.buffers[p.norm[1]]
	mean, variance := s.buffers[p.norm[2]], s.buffers[p.norm[3]]
	if err := s.dev.BatchNormInvStd(k, variance, invstd, p.eps); err != nil {
		return err
	}
	// Outputs are the columns of RSCK weights, and what backward data does to them with frozen statistics is what is wanted.
	rows := p.d.LenW() / k
	if err := s.dev.BatchNormBackwardData(rows, k, weights, nil, nil, invstd, gamma, nil, nil, nil, folded, kernels.Identity); err != nil {
		return err
	}
	if err := s.dev.BatchNormApply(1, k, bias, mean, invstd, gamma, beta, nil, p.bias, kernels.Identity); err != nil {
		return err
	}
	return s.dev.PackWeights(p.d, folded, p.weights)
}

// packedConv is the leaves of a unit's packed weights: as many elements as they have, and, where there is one, a bias.
func (at site) packedConv(d kernels.Conv) []*node {
	leaves := []*node{at.leaf(at.layer+" packed weights", tensor.Shape{at.packed.weights.Len()}, at.packed.weights, false)}
	if at.packed.bias != nil {
		leaves = append(leaves, at.leaf(at.layer+" packed bias", tensor.Shape{d.K}, at.packed.bias, false))
	}
	return leaves
}
