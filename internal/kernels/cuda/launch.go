//go:build gpu

package cuda

import (
	_ "embed"
	"fmt"
	"math"
	"regexp"
	"strings"
	"unsafe"

	"gorgonia.org/cu"

	"github.com/ftrun/ftrun/internal/kernels"
)

// ptx is kernels.cu compiled. The driver compiles it further, for the GPU that it finds.
//
//go:embed kernels.ptx
var ptx string

// function is a kernel of the module, with the types of its parameters as PTX names them: "u32", "u64", "f32".
type function struct {
	cu.Function
	parameters []string
}

var (
	entry     = regexp.MustCompile(`\.visible \.entry (\w+)\(([^)]*)\)`)
	parameter = regexp.MustCompile(`\.param \.(\w+) `)
)

// load loads the module and finds its kernels.
func (d *Device) load() (err error) {
	if d.module, err = cu.LoadData(ptx); err != nil {
		return fmt.Errorf("loading the kernels: %w", err)
	}
	d.functions = map[string]function{}
	for _, e := range entry.FindAllStringSubmatch(ptx, -1) {
		var f function
		if f.Function, err = d.module.Function(e[1]); err != nil {
			return fmt.Errorf("finding the kernel %s: %w", e[1], err)
		}
		for _, p := range parameter.FindAllStringSubmatch(e[2], -1) {
			f.parameters = append(f.parameters, p[1])
		}
		d.functions[e[1]] = f
	}
	return nil
}

const (
	blockThreads = 256
	// mostBlocks fills the largest GPU several times over; threads take turns beyond it.
	mostBlocks = 4096
	// mostElements is how many elements a kernel counts through: it does so in 32 bits.
	mostElements = math.MaxInt32
)

// launch runs a kernel over count elements. Arguments are device memory (u64), an int or an activation (u32), a uint64, or
// a float32.
func (d *Device) launch(name string, count int, arguments ...any) error {
	if count > mostElements {
		return fmt.Errorf("%s: %s over %d elements, more than the %d that a kernel counts: use a smaller batch", d.name,
			strings.ReplaceAll(name, "_", " "), count, mostElements)
	}
	if count == 0 {
		return nil
	}
	f, ok := d.functions[name]
	if !ok {
		panic("cuda: there is no kernel " + name)
	}
	if len(arguments) != len(f.parameters) {
		panic(fmt.Sprintf("cuda: %s takes %d arguments, got %d", name, len(f.parameters), len(arguments)))
	}
	words, pointers := make([]uint64, len(arguments)), make([]unsafe.Pointer, len(arguments))
	for i, a := range arguments {
		kind := "u32"
		switch a := a.(type) {
		case cu.DevicePtr:
			kind, words[i] = "u64", uint64(a)
		case uint64:
			kind, words[i] = "u64", a
		case int:
			words[i] = uint64(uint32(a))
		case kernels.Activation:
			words[i] = uint64(a)
		case float32:
			kind = "f32"
			*(*float32)(unsafe.Pointer(&words[i])) = a
		default:
			panic(fmt.Sprintf("cuda: %s: argument %d is a %T", name, i, a))
		}
		if kind != f.parameters[i] {
			panic(fmt.Sprintf("cuda: %s: argument %d is a %T (%s), want %s", name, i, a, kind, f.parameters[i]))
		}
		pointers[i] = unsafe.Pointer(&words[i])
	}
	blocks := min((count+blockThreads-1)/blockThreads, d.mostBlocks)
	err := d.within(func() error { return f.Launch(blocks, 1, 1, blockThreads, 1, 1, 0, d.stream, pointers) })
	if err != nil {
		return fmt.Errorf("%s: %s: %w", d.name, strings.ReplaceAll(name, "_", " "), err)
	}
	return nil
}
