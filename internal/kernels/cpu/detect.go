package cpu

import (
	"fmt"
	"os"
	"strings"

	"github.com/ftrun/ftrun/internal/host"
)

// path is the set of instructions that the kernels use.
type path uint8

const (
	generic path = iota // portable Go
	avx2                // AVX2 and FMA
	avx512              // AVX-512 F, BW, DQ and VL
)

var pathNames = [...]string{host.Generic, "avx2", "avx512"}

func (p path) String() string { return pathNames[p] }

// pathVariable asks for a path other than the best one.
const pathVariable = host.PathVariable

// detect chooses the path: the best one that the processor has, or the one that the environment asks for.
func detect() (path, error) {
	best := bestPath()
	want := os.Getenv(pathVariable)
	if want == "" {
		return best, nil
	}
	for p, name := range pathNames {
		if name != want {
			continue
		}
		if path(p) > best {
			return 0, fmt.Errorf("%s=%s: this processor does not have these instructions; its best path is %s",
				pathVariable, want, best)
		}
		return path(p), nil
	}
	return 0, fmt.Errorf("%s=%q: unknown path; use one of %s, or leave it unset for the best one",
		pathVariable, want, strings.Join(pathNames[:best+1], ", "))
}
