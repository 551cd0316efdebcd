package weights

import (
	"fmt"
	"regexp"
	"strings"
)

// oldDenseNet matches the names that DenseNet's layers had in the first torchvision releases and still have in the
// published files: a module's name cannot contain a dot any more, so "norm.1" became "norm1".
var oldDenseNet = regexp.MustCompile(
	`^(.*denselayer\d+\.(?:norm|relu|conv))\.([12]\.(?:weight|bias|running_mean|running_var|num_batches_tracked))$`)

// mendNames undoes torch's DataParallel prefix and DenseNet's old names, in place.
func mendNames(ts []Tensor) {
	const parallel = "module."
	prefixed := len(ts) > 0
	for _, t := range ts {
		prefixed = prefixed && strings.HasPrefix(t.Name, parallel)
	}
	for i := range ts {
		if prefixed {
			ts[i].Name = ts[i].Name[len(parallel):]
		}
		ts[i].Name = oldDenseNet.ReplaceAllString(ts[i].Name, "$1$2")
	}
}

func uniqueNames(ts []Tensor) error {
	seen := make(map[string]bool, len(ts))
	for _, t := range ts {
		if seen[t.Name] {
			return fmt.Errorf("two tensors are named %q", t.Name)
		}
		seen[t.Name] = true
	}
	return nil
}
