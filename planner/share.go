package planner

// What a run's frozen part says of a picture is the same in every step, and the same in every run that starts from the
// same weights, is frozen up to the same layer and sees the same pixels. Such features are computed once and kept; the
// runs train on from there.

// Sharing is what the runs that refer to it compute once for all of them: the features of a split's pictures, where the
// split's field is set. It changes what a run costs and nothing of what comes of it.
type Sharing struct {
	Train *Features `json:"train,omitempty"`
	Val   *Features `json:"val,omitempty"`
	Test  *Features `json:"test,omitempty"`
	Why   string    `json:"why,omitempty"` // Train is not set
	Runs  int       `json:"runs"`          // trainings to be done
	// Seconds is how long the computing is expected to take, and Memory what it holds beside the run that does it. Saves is
	// how much longer all would take without it.
	Seconds float64 `json:"seconds,omitempty"`
	Memory  int64   `json:"memory_bytes,omitempty"`
	Saves   float64 `json:"saves_seconds,omitempty"`
	// DeviceMemory is as Memory, of a device's own.
	DeviceMemory int64 `json:"device_memory_bytes,omitempty"`
}

// Bytes is what all the features take up on the disk.
func (s *Sharing) Bytes() (n int64) {
	for _, f := range []*Features{s.Train, s.Val, s.Test} {
		if f != nil {
			n += f.Bytes
		}
	}
	return n
}

// any tells whether anything is shared.
func (s *Sharing) any() bool { return s.Train != nil || s.Val != nil }

// Features are kept results of a frozen part.
type Features struct {
	Layer    string `json:"layer"`    // whose results they are; what comes after it is computed by each run
	Shape    [3]int `json:"shape"`    // of a picture's: rows, columns, channels
	Pictures int    `json:"pictures"` // of the split
	Views    int    `json:"views"`    // of each picture
	Bytes    int64  `json:"bytes"`    // that they take up on the disk
	Passes   int64  `json:"passes"`   // of the pictures through the frozen part that would be made without them
}

// Cut is where a network's frozen part ends; zero where it has none that is worth keeping features of.
type Cut struct {
	Layer string
	Shape [3]int
}

// FixedViews is the number of views of each training picture that the epochs show in turn, the first epoch the first; 0
// where each epoch draws its own.
func (s *Settings) FixedViews() int {
	if s.Augment == nil {
		return 1
	}
	return min(s.Augment.Views, s.Epochs)
}

// frozenKey is what the features of a run depend on, but for its data set and its seed.
type frozenKey struct {
	arch, numerics, precision string
	weights                   weightsKey
	image                     Image
	train, val                Cut
	augment                   string // what fixed views are drawn from
	why                       string // training features can't be shared
}

// weightsKey tells Weights apart.
type weightsKey struct {
	kind, name, sha256, run string
	candidates              *string // the first in a list that the runs have in common, as those of an origin have
}

func newWeightsKey(w *Weights) weightsKey {
	key := weightsKey{kind: w.Kind, name: w.Name, sha256: w.SHA256}
	switch len(w.Runs) {
	case 0:
	case 1:
		key.run = w.Runs[0]
	default:
		key.candidates = &w.Runs[0]
	}
	return key
}

// frozenPart is a frozenKey among the distinct ones.
type frozenPart struct {
	index  int
	key    frozenKey
	views  int
	seeded bool // its parameters are drawn from the run's seed
}

// sharingKey tells sharings apart. Runs that share nothing are told apart by the reason alone.
type sharingKey struct {
	frozen  int
	dataset int
	seed    int64
}

// share finds the runs that have a frozen part in common, and sets each chosen candidate's sharing.
func (p *planning) share() {
	parts := make([]*frozenPart, len(p.settings))
	distinct := map[frozenKey]int{}
	indices := map[sharingKey]int{}
	for _, c := range p.settled {
		if !c.chosen {
			continue
		}
		part := parts[c.settings]
		if part == nil {
			part = p.frozen(p.settings[c.settings], len(p.datasets[c.dataset].Classes))
			index, known := distinct[part.key]
			if !known {
				index = len(distinct)
				distinct[part.key] = index
			}
			part.index = index
			parts[c.settings] = part
		}
		key := sharingKey{frozen: part.index}
		if part.key.val.Layer != "" {
			if key.dataset = c.dataset; part.seeded {
				key.seed = c.seed
			}
		}
		index, known := indices[key]
		if !known {
			index = len(p.sharings)
			indices[key] = index
			p.sharings = append(p.sharings, newSharing(part, &p.datasets[c.dataset]))
		}
		c.sharing = index
		if p.actions[c.id] != Done && p.byID[c.id] == c {
			p.sharings[index].add(part, p.settings[c.settings].Epochs)
		}
	}
	for i := range p.sharings {
		p.sharings[i].settle()
	}
}

// frozen says what of settings is frozen, for a data set with that many classes.
func (p *planning) frozen(s *Settings, classes int) *frozenPart {
	in := p.inspect(s, classes)
	if in.Val.Layer == "" {
		return &frozenPart{key: frozenKey{why: in.Why}}
	}
	part := &frozenPart{views: s.FixedViews(), seeded: s.Weights.Kind == "none"}
	part.key = frozenKey{
		arch: s.Arch, numerics: s.Numerics, precision: s.Precision, weights: newWeightsKey(&s.Weights), image: s.Image, val: in.Val,
	}
	switch {
	case in.Train.Layer == "":
		part.key.why = in.Why
	case part.views == 0:
		part.key.why = "random augmentation without views = K"
	default:
		part.key.train = in.Train
		if s.Augment != nil {
			drawn := *s.Augment
			drawn.Views = min(drawn.Views, 1)
			part.key.augment = string(mustJSON(&drawn))
		}
	}
	return part
}

func newSharing(part *frozenPart, d *Dataset) Sharing {
	s := Sharing{Why: part.key.why}
	features := func(cut Cut, split string) *Features {
		if cut.Layer == "" || d.Pictures[split] == 0 {
			return nil
		}
		return &Features{Layer: cut.Layer, Shape: cut.Shape, Pictures: d.Pictures[split], Views: 1}
	}
	s.Train, s.Val, s.Test = features(part.key.train, "train"), features(part.key.val, "val"), features(part.key.val, "test")
	return s
}

// add counts a training that is to be done.
func (s *Sharing) add(part *frozenPart, epochs int) {
	s.Runs++
	if s.Train != nil {
		s.Train.Views = max(s.Train.Views, part.views)
		s.Train.Passes += int64(epochs)
	}
	if s.Val != nil {
		s.Val.Passes += int64(epochs)
	}
	if s.Test != nil {
		s.Test.Passes++
	}
}

// settle drops what would be computed as often without being kept, and counts bytes.
func (s *Sharing) settle() {
	const alone = "no picture goes through the frozen part twice"
	if s.Train != nil && s.Train.Passes <= int64(s.Train.Views) {
		s.Train, s.Why = nil, alone
	}
	if s.Val != nil && s.Val.Passes <= 1 {
		s.Val, s.Test = nil, nil
	}
	for _, f := range []*Features{s.Train, s.Val, s.Test} {
		if f != nil {
			f.Bytes = 4 * int64(f.Shape[0]*f.Shape[1]*f.Shape[2]) * int64(f.Pictures*f.Views)
		}
	}
}
