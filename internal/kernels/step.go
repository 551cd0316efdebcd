package kernels

// A step of training is some hundred small operations, always the same. A device to which a call costs as much as what it
// computes may have capabilities beside those of a Device, each an interface here. Who finds one missing asks for the
// single operations instead, and gets the same bits.

// Capturer is a Device that can keep operations, and compute all of them again at the price of one call. What changes from
// step to step must not be kept with them: dropout's step is told to Replay, the settings of an optimizer to an Update.
type Capturer interface {
	Updater
	// Capture calls do, and keeps the operations that it asks of the device instead of computing them. They were all computed
	// before, over buffers of the same place, so that nothing is left to be made ready: do must not ask for Alloc, Free,
	// Upload, Download or SumSquares. An error, do's own or of what can't be kept, leaves the device as it was.
	Capture(do func() error) (Capture, error)
}

// Capture is operations that were kept.
type Capture interface {
	// Replay computes them, over what their buffers hold at that time. Dropout draws for step, whatever step its key had.
	Replay(step uint64) error
	// Stale says that memory of the device's own that the operations use is gone: they can't be computed any more.
	Stale() bool
	// Close frees what the capture holds.
	Close() error
}

// Updater is a Device that updates many parameters at once.
type Updater interface {
	Device
	// NewUpdate returns an update of these parameters by their gradients. With a limit above 0 the gradients are taken as if
	// they had been scaled before, all by one factor, so that their Euclidean norm is at most that: what they hold is left.
	NewUpdate(of []Updated, limit float64) (Update, error)
}

// Updated is a parameter with what an update reads: its gradient, and the moments of that, as many as the rule has (SGD: v
// or none; Adam: m, v). All are of one length.
type Updated struct {
	W, G    Buffer
	Moments []Buffer
}

// Update is the update of many parameters. It has the bits of SumSquares by each gradient, the sum of those in order, the
// factor ClipFactor, Scale by it where it is below 1, and SGD or Adam by each parameter.
type Update interface {
	// SetSGD and SetAdam give the settings by which the calls of Apply that follow go, by parameter.
	SetSGD(o []SGD) error
	SetAdam(o []Adam) error
	// Apply updates the parameters. A Capture may keep it, and Replay goes by the settings given last.
	Apply() error
	// Close frees what the update holds.
	Close() error
}

// ClipFactor is what gradients of a norm are scaled by, so that it is at most limit: torch.nn.utils.clip_grad_norm_'s, with
// its guard against a norm of zero. Gradients are left alone where it is 1 or more.
func ClipFactor(limit, norm float64) float64 { return limit / (norm + 1e-6) }

// Fetcher is a Device that goes on while something comes back to the host.
type Fetcher interface {
	Device
	// Fetch asks for src as it is after what was called before. wait, to be called once, waits for it and writes it to dst.
	Fetch(src Buffer) (wait func(dst []float32) error, err error)
}

// Counter is a Device that counts right answers, so that a step of training need not give its logits to the host.
type Counter interface {
	Device
	// CountRight computes right (1): for how many pictures the label's of logits (N,Classes) is the greatest, the first of
	// equals.
	CountRight(n, classes int, logits, labels, right Buffer) error
}
