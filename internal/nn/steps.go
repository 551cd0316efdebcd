package nn

import "github.com/ftrun/ftrun/internal/kernels"

// steps computes a Program's steps, one after the other always the same operations over the same memory. On a device that
// can it asks for them once, when all that they need is made; has them captured the second time; and from then on has them
// replayed, without a look at the graph.
type steps struct {
	update  Update // that ends them; nil: none
	asked   bool   // for all operations, with this update, over the memory that they have now
	capture kernels.Capture
	failed  error // why they can't be captured
}

// compute computes a step that u ends, of which operations asks the device.
func (s *steps) compute(dev kernels.Device, step uint64, u Update, operations func() error) error {
	c, ok := dev.(kernels.Capturer)
	if !ok {
		return operations()
	}
	if s.update != u || s.capture != nil && s.capture.Stale() {
		if err := s.forget(); err != nil {
			return err
		}
	}
	if s.asked && s.capture == nil && s.failed == nil {
		s.capture, s.failed = c.Capture(operations)
	}
	if s.capture != nil {
		return s.capture.Replay(step)
	}
	err := operations()
	s.update, s.asked = u, err == nil
	return err
}

// forget drops what was captured: something that it holds on to has another place.
func (s *steps) forget() error {
	c := s.capture
	s.asked, s.capture = false, nil
	if c == nil {
		return nil
	}
	return c.Close()
}
