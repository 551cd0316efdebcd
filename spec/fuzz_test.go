package spec

import (
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// FuzzLoad holds that whatever stands in a file, loading, expanding and writing the diagnostics ends and never panics.
func FuzzLoad(f *testing.F) {
	for _, dir := range []string{"testdata/valid", "testdata/invalid"} {
		err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			src, err := os.ReadFile(path)
			f.Add(src)
			return err
		})
		if err != nil {
			f.Fatal(err)
		}
	}
	for _, src := range hostile {
		if len(src) < 4096 { // what is long slows the fuzzer down, and TestHostile has it
			f.Add([]byte(src))
		}
	}
	f.Fuzz(survive)
}

// TestHostile runs the hostile files; each must end soon.
func TestHostile(t *testing.T) {
	for _, src := range hostile {
		start := time.Now()
		survive(t, []byte(src))
		if d := time.Since(start); d > 10*time.Second {
			t.Errorf("%.60q took %v", src, d)
		}
	}
}

func survive(t *testing.T, src []byte) {
	s, diags := LoadSources(map[string][]byte{"main.hcl": src}, Options{Version: "0.1.0"})
	diags = append(diags, expand(s, diags)...)
	if err := WriteText(io.Discard, diags, s.Files(), 80, true); err != nil {
		t.Error(err)
	}
	if err := WriteJSON(io.Discard, diags, s.Files()); err != nil {
		t.Error(err)
	}
}

// FuzzFormat holds that formatting twice is formatting once, and that what parsed parses afterwards.
func FuzzFormat(f *testing.F) {
	f.Add([]byte("a=1\nlonger  =  [1,\n2]\n  b { c=3 }\n"))
	f.Add([]byte(bigSweep()[:2000]))
	f.Fuzz(func(t *testing.T, src []byte) {
		once, diags := Format(src, "main.hcl")
		if diags.HasErrors() {
			return
		}
		twice, diags := Format(once, "main.hcl")
		if diags.HasErrors() {
			t.Fatalf("%q was formatted to %q, which does not parse", src, once)
		}
		if string(once) != string(twice) {
			t.Errorf("%q was formatted to %q and then to %q", src, once, twice)
		}
	})
}

const frame = `
dataset "d" { kind = "synthetic" }
sweep "s" {
  dataset = dataset.d
  matrix {
    arch = ["a", "b"]
    x    = X
  }
  run {
    arch    = matrix.arch
    mode    = "finetune"
    epochs  = matrix.x
    augment { ops = [matrix.x] }
    optimizer {
      kind = "sgd"
      lr   = matrix.x
    }
  }
}
`

// hostile are files made to exhaust or confuse.
var hostile = []string{
	strings.Repeat("(", 100000),
	"a = " + strings.Repeat("(", 100000) + "1" + strings.Repeat(")", 100000),
	"a = " + strings.Repeat("[", 100000),
	"a = " + strings.Repeat("!", 100000) + "true",
	"a = " + strings.Repeat("-", 100000) + "1",
	"a = 1" + strings.Repeat("+1", 200000),
	"a = x" + strings.Repeat("[a]", 100000),
	"a = x" + strings.Repeat(".*.a", 100000),
	"a = " + strings.Repeat("true ? 1 : ", 50000) + "1",
	"a = \"" + strings.Repeat("${\"", 50000),
	"a = \"" + strings.Repeat("%{ if true }", 50000),
	strings.Repeat("b {\n", 100000),
	"a = " + strings.Repeat(strings.Repeat("-", 1900)+"[1, ", 199),
	"a = " + strings.Repeat(strings.Repeat("-", 1900)+"[1, ", 198) + "1" + strings.Repeat("]", 198),
	"locals {\n a0 = 1e300\n" + squares(25) + " s = \"${local.a25}\"\n}\n",
	"variable \"x\" {\n type = number\n default = \"1e600000000\"\n}\nlocals { s = \"${var.x}\" }\n",
	"locals {\n a = \"1e600000000\" * 1\n s = \"${local.a}\"\n}\n",
	"locals {\n a0 = 1\n" + chain(5000) + "}\n",
	"locals {\n a = 1e999999999\n b = \"${1e1000000000}\"\n}\n",
	"locals {\n a = pow(-1, 0.5)\n b = log(0, 10)\n c = 0/0\n d = pow(10, 1000)\n e = log(-1, 2)\n}\n",
	"locals {\n a = range(1000000000)\n b = setproduct(range(1000), range(1000), range(1000), range(1000))\n}\n",
	strings.ReplaceAll(frame, "X", "[1, 1e300, -1, 1e308 * 1e308, 0.1, null, \"x\", true, {}, {kind=\"hflip\"}, []]"),
	strings.ReplaceAll(frame, "X", "null"),
	strings.ReplaceAll(frame, "X", "[1e400 * 1e400 * 1e400 * 1e400]"),
	strings.ReplaceAll(frame, "X", "matrix.arch == \"a\" ? [1, 2] : null"),
	strings.ReplaceAll(frame, "X", "[dataset.d, sweep.s.best, matrix]"),
	strings.ReplaceAll(frame, "X", "toset([1, 2])"),
	strings.ReplaceAll(frame, "X", "range(1024)\n y = range(1024)\n z = range(1024)\n w = range(1024)\n v = range(1024)\n u = range(1024)\n t = range(1024)"),
	strings.ReplaceAll(frame, "X", "try(matrix.arch[0], [1])"),
	"ftrun { required_version = \"~> 99999999999999999999\" }",
	"ftrun { required_version = \">= 1.0, < , ||\" }",
	"variable \"x\" {\n type = object({ a = optional(number, \"x\"), b = optional(list(any), [1]) })\n default = { b = [{}] }\n}\n",
	"\xff\xfe", "\ufeffa = 1", "a = <<EOT\n", "a = <<-EOT\n${\nEOT\n",
}

// chain is n locals that each refer to the one before.
func chain(n int) string {
	var b strings.Builder
	for i := 1; i <= n; i++ {
		b.WriteString(" a" + strconv.Itoa(i) + " = local.a" + strconv.Itoa(i-1) + " * 1e300\n")
	}
	return b.String()
}

// squares is n locals that each square the one before.
func squares(n int) string {
	var b strings.Builder
	for i := 1; i <= n; i++ {
		b.WriteString(" a" + strconv.Itoa(i) + " = local.a" + strconv.Itoa(i-1) + " * local.a" + strconv.Itoa(i-1) + "\n")
	}
	return b.String()
}
