//go:build gpu

package cuda_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// fakes is the folder of the fake libraries, made anew for each run of the tests; "" where they run over what
// FTRUN_CUDA_LIBRARIES and the system have.
var fakes string

const (
	// realVariable asks for the libraries that are there: so does `make gpu-check`.
	realVariable = "FTRUN_CUDA_REAL"
	// fakesVariable names a folder in which to leave the fakes, for `make gpu-check` to try itself on.
	fakesVariable = "FTRUN_CUDA_FAKES"
)

// TestMain runs the tests over fakes of NVIDIA's libraries (testdata/fake), which it compiles, also where there are real
// ones, unless those are asked for.
func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" || os.Getenv(realVariable) != "" { // which are told their libraries
		os.Exit(m.Run())
	}
	os.Exit(func() int {
		if dir := os.Getenv(fakesVariable); dir != "" {
			if err := buildFakes(dir, nil); err != nil {
				fmt.Fprintln(os.Stderr, err)
				return 1
			}
		}
		dir, err := os.MkdirTemp("", "ftrun-fake-cuda-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		if err := buildFakes(dir, nil); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		fakes = dir
		os.Setenv("FTRUN_CUDA_LIBRARIES", dir)
		return m.Run()
	}())
}

// buildFakes compiles the fakes into dir. The fake driver holds kernels.cu, compiled for the host, and runs it. Where watched is
// there, what the kernels read and write is watched for races (races.c), of the source that it makes of kernels.cu.
func buildFakes(dir string, watched func(source string) string) error {
	text, err := os.ReadFile("kernels.cu")
	if err != nil {
		return err
	}
	source, more := string(text), []string(nil)
	if watched != nil {
		source, more = watched(source), []string{"-fsanitize=thread"}
	}
	for name, text := range map[string]string{"kernels.c": source, "adapters.c": adapterSource(source)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	fake := func(name string) string { return filepath.Join("testdata", "fake", name) }
	include, err := filepath.Abs(fake(""))
	if err != nil {
		return err
	}
	// What the compiler of the kernels promises, exact arithmetic without fused multiply-adds, is asked of this one too.
	options := []string{"-fPIC", "-O2", "-ffp-contract=off", "-fno-math-errno", "-pthread", "-Wall", "-Wno-unused-function", "-I", include}
	compile := func(to string, args ...string) error {
		args = append(append(slices.Clone(options), "-o", filepath.Join(dir, to)), args...)
		if out, err := exec.Command("cc", args...).CombinedOutput(); err != nil {
			return fmt.Errorf("cc %s: %w\n%s", strings.Join(args, " "), err, out)
		}
		return nil
	}
	// By itself, for the linker would add what the compiler has for watched memory.
	if err := compile("kernels.o", append(more, "-c", filepath.Join(dir, "kernels.c"))...); err != nil {
		return err
	}
	for library, sources := range map[string][]string{
		"libcuda.so.1": {fake("driver.c"), fake("events.c"), fake("graph.c"), fake("races.c"), filepath.Join(dir, "adapters.c"),
			filepath.Join(dir, "kernels.o")},
		"libcublas.so.13": {fake("cublas.c")},
		"libcudnn.so.9":   {fake("cudnn.c")},
	} {
		if err := compile(library, append([]string{"-shared"}, sources...)...); err != nil {
			return err
		}
	}
	return nil
}

var (
	kernelHead = regexp.MustCompile(`(?s)\nKERNEL\((\w+)\)\((.*?)\) \{`)
	nameOf     = regexp.MustCompile(`\w+$`)
)

// adapterSource is C that runs each kernel of kernels.cu from the words of its launch: see struct fake_kernel of fake.h.
func adapterSource(kernels string) string {
	var c, table strings.Builder
	c.WriteString("#include <string.h>\n#include \"fake.h\"\ntypedef uint16_t u16;\ntypedef uint32_t u32;\ntypedef unsigned long long u64;\n" +
		"extern __thread unsigned host_thread, host_threads;\n")
	for _, k := range kernelHead.FindAllStringSubmatch(kernels, -1) {
		name, parameters := k[1], strings.Split(k[2], ",")
		types, sizes, names := make([]string, len(parameters)), make([]string, len(parameters)), make([]string, len(parameters))
		var body strings.Builder
		for i, p := range parameters {
			types[i] = nameOf.ReplaceAllString(strings.TrimSpace(p), "")
			sizes[i] = fmt.Sprintf("sizeof(%s)", types[i])
			names[i] = fmt.Sprintf("a%d", i)
			if strings.Contains(types[i], "*") {
				fmt.Fprintf(&body, "\t%sa%d = fake_operand(words[%d], &bad);\n", types[i], i, i)
			} else {
				fmt.Fprintf(&body, "\t%sa%d;\n\tmemcpy(&a%d, words + %d, sizeof a%d);\n", types[i], i, i, i, i)
			}
		}
		fmt.Fprintf(&c, `void %[1]s(%[2]s);
static const unsigned char sizes_%[1]s[] = {%[3]s};
static CUresult run_%[1]s(const uint64_t *words) {
	int bad = 0;
%[4]s	if (bad || setjmp(fake_fault)) return CUDA_ERROR_ILLEGAL_ADDRESS;
	for (unsigned t = 0; t < host_threads; t++) {
		host_thread = fake_thread(t, host_threads);
		%[1]s(%[5]s);
	}
	return CUDA_SUCCESS;
}
`, name, strings.Join(types, ", "), strings.Join(sizes, ", "), body.String(), strings.Join(names, ", "))
		fmt.Fprintf(&table, "\t{\"%[1]s\", %[2]d, sizes_%[1]s, run_%[1]s},\n", name, len(parameters))
	}
	fmt.Fprintf(&c, "const struct fake_kernel fake_kernels[] = {\n%s\t{0},\n};\n", table.String())
	return c.String()
}
