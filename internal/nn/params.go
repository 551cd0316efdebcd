package nn

import (
	"fmt"

	"github.com/ftrun/ftrun/internal/kernels"
)

// align is the number of elements to which the places of results and parameters are rounded: 256 bytes, which suits the
// vector loads of every device.
const align = 64

func aligned(n int) int { return (n + align - 1) / align * align }

// ParamStore owns the parameters and buffers of one network on one device. Programs borrow them, so that those of a full
// batch, a last batch and evaluation share one set. A store is not for concurrent use.
type ParamStore struct {
	net      *Net
	dev      kernels.Device
	memory   kernels.Buffer
	buffers  []kernels.Buffer // by index in net.Params, nil for counters
	counters []int64
	versions []int // how often each entry has changed

	packs      map[packedKey]*packedConv
	packMemory []kernels.Buffer
}

// NewParamStore allocates zeroed parameters for net.
func NewParamStore(dev kernels.Device, net *Net) (*ParamStore, error) {
	s := &ParamStore{
		net:      net,
		dev:      dev,
		buffers:  make([]kernels.Buffer, len(net.Params)),
		counters: make([]int64, len(net.Params)),
		versions: make([]int, len(net.Params)),
		packs:    map[packedKey]*packedConv{},
	}
	n := 0
	for _, p := range net.Params {
		if p.Kind != Counter {
			n += aligned(p.Len())
		}
	}
	if n == 0 {
		return s, nil
	}
	memory, err := dev.Alloc(n)
	if err != nil {
		return nil, fmt.Errorf("parameters of %s: %w", net.Arch, err)
	}
	s.memory = memory
	at := 0
	for i, p := range net.Params {
		if p.Kind != Counter {
			s.buffers[i] = memory.Slice(at, at+p.Len())
			at += aligned(p.Len())
		}
	}
	return s, nil
}

// fits says whether these are the parameters of net: of the network itself, or one that net is a part of.
func (s *ParamStore) fits(net *Net) bool {
	a, b := s.net.Params, net.Params
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}

// Net is the network whose parameters these are.
func (s *ParamStore) Net() *Net { return s.net }

// Device is the device that holds them.
func (s *ParamStore) Device() kernels.Device { return s.dev }

// Memory is the number of bytes held on the device.
func (s *ParamStore) Memory() int64 {
	n := 0
	if s.memory != nil {
		n = s.memory.Len()
	}
	for _, b := range s.packMemory {
		n += b.Len()
	}
	return 4 * int64(n)
}

// Buffer is parameter i in the device's layout: convolution weights RSCK, everything else in torch's order. Who writes to
// it calls Changed.
func (s *ParamStore) Buffer(i int) kernels.Buffer { return s.buffers[i] }

// Changed says that parameter i has new values: what Programs keep that was made of it is made anew.
func (s *ParamStore) Changed(i int) { s.versions[i]++ }

// Set stores parameter i, given in torch's order.
func (s *ParamStore) Set(i int, torchOrder []float32) error {
	s.Changed(i)
	return s.FromTorch(i, torchOrder, s.buffers[i])
}

// Get returns parameter i in torch's order.
func (s *ParamStore) Get(i int) ([]float32, error) { return s.ToTorch(i, s.buffers[i]) }

// CopyMemory is the number of bytes that CopyFrom holds.
const CopyMemory = 1 << 20

// CopyFrom takes some parameters, by index, from a store of the same network, which may be on another device. Counters stay.
func (s *ParamStore) CopyFrom(from *ParamStore, which func(i int) bool) error {
	if !s.fits(from.net) {
		panic(fmt.Sprintf("nn: parameters of %s from a store of another network", s.net.Arch))
	}
	part := make([]float32, CopyMemory/4)
	for i, dst := range s.buffers {
		if dst == nil || !which(i) {
			continue
		}
		s.Changed(i)
		for lo := 0; lo < dst.Len(); lo += len(part) {
			hi := min(lo+len(part), dst.Len())
			if err := from.dev.Download(part[:hi-lo], from.buffers[i].Slice(lo, hi)); err != nil {
				return fmt.Errorf("%s: %w", s.net.Params[i].Name, err)
			}
			if err := s.dev.Upload(dst.Slice(lo, hi), part[:hi-lo]); err != nil {
				return fmt.Errorf("%s: %w", s.net.Params[i].Name, err)
			}
		}
	}
	return nil
}

// FromTorch uploads values shaped like parameter i (its gradient, an optimizer's moments) from torch's order to a buffer
// in the device's layout.
func (s *ParamStore) FromTorch(i int, torchOrder []float32, dst kernels.Buffer) error {
	p := s.net.Params[i]
	if p.Kind == Counter {
		panic(fmt.Sprintf("nn: %s is a counter, which has no elements on the device", p.Name))
	}
	if len(torchOrder) != p.Len() {
		panic(fmt.Sprintf("nn: %s has %d elements, got %d", p.Name, p.Len(), len(torchOrder)))
	}
	src := torchOrder
	if s.permuted(i) {
		src = make([]float32, len(torchOrder))
		eachWeight(p.Shape, func(torch, device int) { src[device] = torchOrder[torch] })
	}
	if err := s.dev.Upload(dst, src); err != nil {
		return fmt.Errorf("%s: %w", p.Name, err)
	}
	return nil
}

// ToTorch downloads values shaped like parameter i from a buffer in the device's layout to torch's order.
func (s *ParamStore) ToTorch(i int, src kernels.Buffer) ([]float32, error) {
	p := s.net.Params[i]
	if p.Kind == Counter {
		panic(fmt.Sprintf("nn: %s is a counter, which has no elements on the device", p.Name))
	}
	got := make([]float32, p.Len())
	if err := s.dev.Download(got, src); err != nil {
		return nil, fmt.Errorf("%s: %w", p.Name, err)
	}
	if !s.permuted(i) {
		return got, nil
	}
	torchOrder := make([]float32, len(got))
	eachWeight(p.Shape, func(torch, device int) { torchOrder[torch] = got[device] })
	return torchOrder, nil
}

// Counter is num_batches_tracked: how many training steps entry i has seen.
func (s *ParamStore) Counter(i int) int64 { return s.counters[i] }

// SetCounter sets it.
func (s *ParamStore) SetCounter(i int, n int64) { s.counters[i] = n }

// Close frees the parameters. Programs over this store must not run any more.
func (s *ParamStore) Close() error {
	for _, b := range s.packMemory {
		s.dev.Free(b)
	}
	s.packs, s.packMemory = nil, nil
	if s.memory != nil {
		s.dev.Free(s.memory)
		s.memory, s.buffers = nil, nil
	}
	return nil
}

// permuted says whether the device keeps parameter i in another order than torch: convolution weights.
func (s *ParamStore) permuted(i int) bool {
	_, conv := s.net.Layers[s.net.Params[i].Layer].Op.(Conv2d)
	return conv && len(s.net.Params[i].Shape) == 4
}

// eachWeight visits the elements of a convolution weight of torch's shape (K, C/G, R, S) with their places in torch's
// order and in the device's (R, S, C/G, K).
func eachWeight(shape []int, visit func(torch, device int)) {
	K, C, RS := shape[0], shape[1], shape[2]*shape[3]
	torch := 0
	for k := range K {
		for c := range C {
			for rs := range RS {
				visit(torch, (rs*C+c)*K+k)
				torch++
			}
		}
	}
}
