package planner

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ftrun/ftrun/spec"
)

// checkKey is what the checks of a run depend on, within its sweep, which has the places to point at.
type checkKey struct{ settings, dataset int }

// check holds settings against the data set and the architecture: whatever would make a run fail, or train nothing,
// after hours in the queue is told now.
func (p *planning) check(c *candidate) bool {
	key := checkKey{c.settings, c.dataset}
	fine, known := c.sweep.checked[key]
	if !known || !fine { // again where not, so that its configurations are counted
		before := p.faults
		s, d := p.settings[c.settings], &p.datasets[c.dataset]
		params, ok := p.checkNetwork(c, s, d)
		if ok {
			p.checkBatches(c, s, d, params)
		}
		fine = p.faults == before
		c.sweep.checked[key] = fine
	}
	if !fine {
		c.state = broken
		return false
	}
	c.params = p.inspect(p.settings[c.settings], len(p.datasets[c.dataset].Classes)).Params
	return true
}

// checkDataset is told once for a data set, at its own block.
func (p *planning) checkDataset(d *spec.Dataset, found Dataset) {
	if n := len(found.Classes); n < 2 {
		p.complain(datasetRange(d, "path"), "Too few classes", "The data set %q has %s. A classifier needs two: one folder for each class.",
			d.Name, count(n, "class", "classes"))
	}
	for _, split := range []string{"train", "val"} {
		if found.Pictures[split] == 0 {
			p.complain(datasetRange(d, "splits"), "Empty split", "The split %q of the data set %q has no pictures. Training needs pictures in train and in val.",
				split, d.Name)
		}
	}
}

// checkNetwork checks what depends on the architecture's layers and parameter names.
func (p *planning) checkNetwork(c *candidate, s *Settings, d *Dataset) (Params, bool) {
	if low := p.world.Models.MinCrop(s.Arch); s.Image.Crop < low {
		p.fault(c, "image.crop", "Pictures too small", "%s needs pictures of at least %d by %d pixels; the crop is %d.", s.Arch, low, low, s.Image.Crop)
		return Params{}, false
	}
	in := p.inspect(s, len(d.Classes))
	if in.err != nil {
		p.fault(c, "trainable", "Pattern can't be read", "%v.", in.err)
		return Params{}, false
	}
	for _, pattern := range in.Unmatched {
		path, effect := "param_group."+pattern, "set nothing"
		if slices.Contains(s.Trainable, pattern) {
			path, effect = "trainable", "train nothing"
		}
		p.fault(c, path, "Pattern without a match", "No parameter of %s is named by the pattern %q, so it would %s. `ftrun explain` lists the names; "+
			"\"head\" is the last layer, \"layer4.**\" all below layer4.", s.Arch, pattern, effect)
	}
	for _, pattern := range in.Idle {
		p.fault(c, "param_group."+pattern, "Parameter group without effect",
			"All parameters of %s that the group %q names are frozen, or belong to a group before it.", s.Arch, pattern)
	}
	if in.Params.Trainable == 0 && len(in.Unmatched) == 0 {
		p.fault(c, "trainable", "Nothing to train", "No parameter of %s is trained. Name some in trainable, such as \"head\".", s.Arch)
	}
	return in.Params, true
}

// checkBatches checks the batches that an epoch falls into.
func (p *planning) checkBatches(c *candidate, s *Settings, d *Dataset, params Params) {
	n, b := d.Pictures["train"], s.BatchSize
	if n == 0 {
		return // told at the data set
	}
	if b > n {
		p.fault(c, "batch_size", "Batch larger than the data set", "batch_size is %d, but the data set %q has %s for training. Give at most %d.",
			b, d.Name, count(n, "picture", "pictures"), n)
		return
	}
	// The variance of one picture's channels, where a layer gives one value a channel, is nothing to divide by.
	if params.Moving > 0 && (b == 1 || n%b == 1) {
		which := fmt.Sprintf("The %d training pictures of %q in batches of %d leave a last batch of one", n, d.Name, b)
		if b == 1 {
			which = "With batch_size = 1 each batch is a single picture"
		}
		mend := `Set batch_norm = "frozen"`
		if other := nearestBatch(n, b); other > 0 {
			mend = fmt.Sprintf(`Another batch_size, such as %d, mends it; or batch_norm = "frozen"`, other)
		}
		p.fault(c, "batch_size", "Batch of one picture", "%s, and batch norm in training mode has no statistics over one picture. %s.", which, mend)
	}
}

// nearestBatch is the batch size nearest to b, the larger of two, that leaves no batch of one; 0 where there is none.
func nearestBatch(n, b int) int {
	for d := 1; d < n; d++ {
		for _, other := range []int{b + d, b - d} {
			if other >= 2 && other <= n && n%other != 1 {
				return other
			}
		}
	}
	return 0
}

// inspectionKey is a Network with its lists joined.
type inspectionKey struct {
	arch, batchNorm, trainable, groups string
	classes, crop                      int
}

type inspected struct {
	Inspection
	err error
}

// inspect asks about each network once.
func (p *planning) inspect(s *Settings, classes int) inspected {
	key := inspectionKey{arch: s.Arch, batchNorm: s.BatchNorm, trainable: s.Trainable[0], classes: classes, crop: s.Image.Crop}
	if len(s.Trainable) > 1 {
		key.trainable = strings.Join(s.Trainable, "\n")
	}
	var groups []string
	for _, g := range s.ParamGroups {
		groups = append(groups, g.Pattern)
	}
	key.groups = strings.Join(groups, "\n")
	in, known := p.inspections[key]
	if !known {
		in.Inspection, in.err = p.world.Models.Inspect(Network{
			Arch: s.Arch, Classes: classes, Crop: s.Image.Crop, Trainable: s.Trainable, BatchNorm: s.BatchNorm, Groups: groups,
		})
		p.inspections[key] = in
	}
	return in
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
