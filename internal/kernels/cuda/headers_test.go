//go:build gpu

package cuda_test

import (
	"debug/elf"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// installs are the folders in which a test finds all files of that name among NVIDIA's own: FTRUN_NVIDIA names some, such
// as site-packages/nvidia of a Python with PyTorch. It skips the test where there are none.
func installs(t *testing.T, name string) (folders []string) {
	t.Helper()
	for _, root := range append(filepath.SplitList(os.Getenv("FTRUN_NVIDIA")), "/usr/local/cuda/") {
		_ = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.Name() == name && !d.IsDir() {
				folders = append(folders, filepath.Dir(path))
			}
			return nil
		})
	}
	if len(folders) == 0 {
		t.Skipf("no %s of NVIDIA's is at hand: name folders to look in in FTRUN_NVIDIA", name)
	}
	return slices.Compact(folders)
}

// compile has the C compiler check a file against headers of NVIDIA's: it must find a conversion that loses something, or
// a pointer to something else.
func compile(t *testing.T, source string, include ...string) {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "check.c")
	if err := os.WriteFile(file, []byte(source), 0o644); err != nil {
		t.Fatal(err)
	}
	args := []string{"-fsyntax-only", "-Wno-deprecated-declarations", "-Werror=incompatible-pointer-types",
		"-Werror=int-conversion", "-Werror=conversion", "-Wno-error=sign-conversion", "-Werror=implicit-function-declaration"}
	for _, folder := range include {
		args = append(args, "-isystem", folder)
	}
	if out, err := exec.Command("cc", append(args, file)...).CombinedOutput(); err != nil {
		t.Errorf("with %v: %v\n%s", include, err, out)
	}
}

// ours is a file of this package by its whole path, for an #include.
func ours(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(name)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

var (
	enumerator = regexp.MustCompile(`\b(CU\w+) = (-?\d+)`)
	forwarded  = regexp.MustCompile(`^FORWARD\(\d+, (\w+)`)
	word       = regexp.MustCompile(`\w+\(?`)
)

// asserts are C that holds the numbers that ours gives names to against those of the headers included before.
func asserts(ours string, gone func(name string) bool) string {
	var c strings.Builder
	for _, e := range enumerator.FindAllStringSubmatch(ours, -1) {
		if !gone(e[1]) {
			fmt.Fprintf(&c, "_Static_assert(%s == %s, \"%s\");\n", e[1], e[2], e[1])
		}
	}
	return c.String()
}

// later are functions of which CUDA 13's header has a newer edition only, some under the same name; the driver keeps the
// older one, which is ours, under the name that we look up.
var later = []string{"cuMemAdvise", "cuMemPrefetchAsync", "cuGraphAddDependencies", "cuGraphGetEdges", "cuGraphAddKernelNode",
	"cuCtxCreate_v2"}

// TestDriverDeclarations holds cuda.h against NVIDIA's: each function takes what ours takes, each number is the same, and
// each field of a structure lies at the same place.
func TestDriverDeclarations(t *testing.T) {
	for _, folder := range installs(t, "cuda.h") {
		t.Run(folder, func(t *testing.T) {
			header := map[string]bool{} // its words, and those before a parenthesis with one
			for _, word := range word.FindAllString(read(t, filepath.Join(folder, "cuda.h")), -1) {
				header[word], header[strings.TrimSuffix(word, "(")] = true, true
			}
			var rows strings.Builder
			for _, row := range strings.SplitAfter(read(t, "driver/functions.h"), "\n") {
				name := forwarded.FindStringSubmatch(row)
				if name == nil || slices.Contains(later, name[1]) || !header[name[1]+"("] {
					continue
				}
				rows.WriteString(row)
			}
			if n := strings.Count(rows.String(), "\n"); n < 100 {
				t.Errorf("only %d functions are compared", n)
			}
			compile(t, fmt.Sprintf("#include <cuda.h>\n#include %q\n"+
				"#define FORWARD(n, name, ...) static CUresult check_##name(PARAMS##n(__VA_ARGS__)) { return name(NAMES##n); }\n%s%s",
				ours(t, "driver/params.h"), rows.String(), asserts(read(t, "driver/cuda.h"), func(name string) bool { return !header[name] })), folder)
			if theirs, mine := offsets(t, "<cuda.h>\n"+firstEdition, folder), offsets(t, fmt.Sprintf("%q", ours(t, "driver/cuda.h"))); theirs != mine {
				t.Errorf("structures are laid out as\n%sours as\n%s", theirs, mine)
			}
		})
	}
}

// firstEdition has CUDA 12's header give its first edition of a structure, which is that of cuGraphAddKernelNode.
const firstEdition = "#define CUDA_KERNEL_NODE_PARAMS CUDA_KERNEL_NODE_PARAMS_v1"

// structure finds those that gorgonia.org/cu fills in.
var structure = regexp.MustCompile(`(?s)typedef struct \{\n(.*?)\} (CUDA_\w+);`)

// offsets is a table of where the fields of our structures lie, by a header.
func offsets(t *testing.T, header string, include ...string) string {
	t.Helper()
	var c strings.Builder
	fmt.Fprintf(&c, "#include <stdio.h>\n#include <stddef.h>\n#include %s\nint main(void) {\n", header)
	for _, s := range structure.FindAllStringSubmatch(read(t, "driver/cuda.h"), -1) {
		fmt.Fprintf(&c, "printf(\"%s %%zu\\n\", sizeof(%s));\n", s[2], s[2])
		for _, line := range strings.Split(s[1], "\n") {
			for _, part := range strings.Split(strings.TrimSuffix(strings.TrimSpace(line), ";"), ",") {
				if name := nameOf.FindString(part); name != "" {
					fmt.Fprintf(&c, "printf(\"%s.%s %%zu\\n\", offsetof(%s, %s));\n", s[2], name, s[2], name)
				}
			}
		}
	}
	c.WriteString("return 0;\n}\n")
	dir := t.TempDir()
	file, program := filepath.Join(dir, "offsets.c"), filepath.Join(dir, "offsets")
	if err := os.WriteFile(file, []byte(c.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	args := []string{"-o", program}
	for _, folder := range include {
		args = append(args, "-isystem", folder)
	}
	if out, err := exec.Command("cc", append(args, file)...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	out, err := exec.Command(program).Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// TestLibraryDeclarations holds libraries.h against the headers of the driver, cuBLAS and cuDNN.
func TestLibraryDeclarations(t *testing.T) {
	own := read(t, "libraries.h")
	runtime := installs(t, "driver_types.h")
	types := len(runtime)
	for _, folder := range installs(t, "host_defines.h") { // CUDA 13 has it in a package of its own; the one outside of crt/ wants it
		if filepath.Base(folder) == "crt" {
			runtime = append(runtime, filepath.Dir(folder))
		}
	}
	if len(runtime) == types {
		t.Skip("no crt/host_defines.h of NVIDIA's is at hand, which the others include: CUDA 13 has it in nvidia-cuda-crt")
	}
	for _, library := range []struct {
		header, own string
		numbers     *regexp.Regexp
	}{
		{"cuda.h", "DRIVER", regexp.MustCompile("^CU_")},
		{"cublas_v2.h", "CUBLAS", regexp.MustCompile("^(CUBLAS|CUDA_R)_")},
		{"cudnn.h", "CUDNN", regexp.MustCompile("^CUDNN_")},
	} {
		for _, folder := range installs(t, library.header) {
			t.Run(folder+"/"+library.header, func(t *testing.T) {
				numbers := asserts(own, func(name string) bool { return !library.numbers.MatchString(name) })
				if numbers == "" {
					t.Error("no numbers are compared")
				}
				// The rows of the other libraries come to nothing.
				compile(t, fmt.Sprintf(`#include <%s>
#define DEVICE_MEMORY void *
#define NEW_HANDLE void *
#include %q
#define CHECK_DRIVER(n, name, ...)
#define CHECK_CUBLAS(n, name, ...)
#define CHECK_CUDNN(n, name, ...)
#undef CHECK_%s
#define CHECK_%s(n, name, ...) static int check_##name(PARAMS##n(__VA_ARGS__)) { return (int)name(NAMES##n); }
#define FUNCTION(library, n, name, ...) CHECK_##library(n, name, __VA_ARGS__)
FUNCTIONS
%s`, library.header, ours(t, "libraries.h"), library.own, library.own, numbers), append([]string{folder}, runtime...)...)
			})
		}
	}
}

// TestLibrariesExport looks the functions of libraries.h up in NVIDIA's own libraries, by the names that they export.
func TestLibrariesExport(t *testing.T) {
	own := read(t, "libraries.h")
	for _, library := range []struct{ id, file string }{{"CUBLAS", "libcublas.so.13"}, {"CUBLAS", "libcublas.so.12"}, {"CUDNN", "libcudnn.so.9"}} {
		t.Run(library.file, func(t *testing.T) {
			for _, folder := range installs(t, library.file) {
				f, err := elf.Open(filepath.Join(folder, library.file))
				if err != nil {
					t.Fatal(err)
				}
				defer f.Close()
				symbols, err := f.DynamicSymbols()
				if err != nil {
					t.Fatal(err)
				}
				exported := map[string]bool{}
				for _, s := range symbols {
					exported[s.Name] = exported[s.Name] || s.Section != elf.SHN_UNDEF
				}
				rows := regexp.MustCompile(`FUNCTION\(`+library.id+`, \d+, (\w+),`).FindAllStringSubmatch(own, -1)
				if len(rows) == 0 {
					t.Error("no functions are looked up")
				}
				for _, row := range rows {
					if !exported[row[1]] {
						t.Errorf("%s has no %s", folder, row[1])
					}
				}
			}
		})
	}
}

// TestPTX has NVIDIA's assembler take kernels.ptx for GPUs from the oldest to the newest.
func TestPTX(t *testing.T) {
	for _, folder := range installs(t, "ptxas") {
		for _, arch := range []string{"sm_75", "sm_80", "sm_90", "sm_100"} {
			out, err := exec.Command(filepath.Join(folder, "ptxas"), "-arch="+arch, "-o", filepath.Join(t.TempDir(), "k"), "kernels.ptx").CombinedOutput()
			if err != nil {
				t.Errorf("%s/ptxas for %s: %v\n%s", folder, arch, err, out)
			}
		}
	}
}

// TestPTXIsExact: what the fakes compute with the host's compiler is what a GPU computes as long as every operation is
// rounded as IEEE 754 says, subnormal numbers included, and none is joined with another. An addition or a product that does
// not say how it is rounded may be joined: NVIDIA's assembler does so.
func TestPTXIsExact(t *testing.T) {
	ptx := read(t, "kernels.ptx")
	if found := regexp.MustCompile(`\S*(approx|\.ftz|fma\.|mad\.\w+\.f)\S*|\b(add|sub|mul)\.f\S+`).FindString(ptx); found != "" {
		t.Errorf("kernels.ptx has %s", found)
	}
	if !regexp.MustCompile(`\bmul\.rn\.f32\b`).MatchString(ptx) {
		t.Error("kernels.ptx has no product that is rounded: nothing is tested")
	}
}

// TestPTXIsOfTheSource: kernels.ptx has the kernels of kernels.cu with their parameters, also where there is no clang to
// make it anew.
func TestPTXIsOfTheSource(t *testing.T) {
	ptx := read(t, "kernels.ptx")
	heads := kernelHead.FindAllStringSubmatch(read(t, "kernels.cu"), -1)
	if len(heads) < 30 {
		t.Fatalf("only %d kernels were found in kernels.cu", len(heads))
	}
	if n := strings.Count(ptx, ".visible .entry "); n != len(heads) {
		t.Errorf("kernels.ptx has %d kernels, kernels.cu %d: make generate", n, len(heads))
	}
	for _, k := range heads {
		var kinds []string
		for _, p := range strings.Split(k[2], ",") {
			switch {
			case strings.Contains(p, "*"), strings.Contains(p, "u64"):
				kinds = append(kinds, "u64")
			case strings.Contains(p, "float"):
				kinds = append(kinds, "f32")
			default:
				kinds = append(kinds, "u32")
			}
		}
		_, entry, found := strings.Cut(ptx, ".visible .entry "+k[1]+"(")
		entry, _, _ = strings.Cut(entry, ")")
		var got []string
		for _, p := range regexp.MustCompile(`\.param \.(\w+)`).FindAllStringSubmatch(entry, -1) {
			got = append(got, p[1])
		}
		if !found || !slices.Equal(got, kinds) {
			t.Errorf("%s takes %v in kernels.cu, %v in kernels.ptx: make generate", k[1], kinds, got)
		}
	}
}
