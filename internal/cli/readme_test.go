package cli

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestReadme runs every command of the README: those of its shell blocks, in order, on its own sweep.hcl, and then those
// of its table. So that it takes seconds and no network, the sweep is made smaller: from scratch, one epoch of one seed,
// pictures of 64 pixels.
func TestReadme(t *testing.T) {
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	writeFile(t, "sweep.hcl", smaller(t, fences(readme, "hcl")))
	drawPictures(t, "data/insects")

	for _, block := range fences(readme, "sh") {
		for line := range strings.Lines(block) {
			command, _, _ := strings.Cut(strings.TrimSpace(line), "#")
			if target, ok := strings.CutPrefix(command, "make "); ok {
				if !bytes.Contains(makefile, []byte("\n"+target+":")) {
					t.Errorf("the Makefile has no target %q", target)
				}
				continue
			}
			// What goes into a file is looked at here.
			command, _, _ = strings.Cut(command, ">")
			runReadme(t, command)
		}
	}

	ids, err := os.ReadDir(".ftrun/runs")
	if err != nil || len(ids) == 0 {
		t.Fatal("the README's apply left no run:", err)
	}
	picture := "data/insects/val/ants/0.jpg"
	values := strings.NewReplacer("RUN", ids[0].Name(), "FILE", "sweep.hcl", "picture.jpg", picture)
	table := 0
	for line := range strings.Lines(string(readme)) {
		if !strings.HasPrefix(line, "| `ftrun ") {
			continue
		}
		cell, _, _ := strings.Cut(line[1:], "|")
		for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cell, -1) {
			table++
			command := values.Replace(m[1])
			runReadme(t, command)
		}
	}
	if table < 10 {
		t.Errorf("only %d commands were found in the README's table", table)
	}
}

// fences gives the contents of a Markdown text's code blocks in one language.
func fences(text []byte, language string) []string {
	var blocks []string
	for _, m := range regexp.MustCompile("(?s)```"+language+"\n(.*?)```").FindAllSubmatch(text, -1) {
		blocks = append(blocks, string(m[1]))
	}
	return blocks
}

// smaller makes the README's sweep one that a test can afford.
func smaller(t *testing.T, blocks []string) string {
	t.Helper()
	if len(blocks) != 2 {
		t.Fatalf("the README has %d HCL blocks, want a sweep and a launcher", len(blocks))
	}
	out := blocks[0] + blocks[1]
	for old, new := range map[string]string{
		`["finetune", "extract"]`: `["scratch"]`,
		"range(3)":                "range(1)",
		"epochs = 15":             "epochs = 1\n    image {\n      resize = 64\n      crop   = 64\n    }",
	} {
		if !strings.Contains(out, old) {
			t.Fatalf("the README's sweep has no %s any more", old)
		}
		out = strings.Replace(out, old, new, 1)
	}
	return out
}

// drawPictures makes a small folder of pictures in two classes that differ in colour.
func drawPictures(t *testing.T, root string) {
	t.Helper()
	for split, n := range map[string]int{"train": 8, "val": 4} {
		for i, class := range []string{"ants", "bees"} {
			for k := range n {
				img := image.NewRGBA(image.Rect(0, 0, 80, 72))
				for y := range 72 {
					for x := range 80 {
						img.Set(x, y, color.RGBA{R: uint8(60 + 120*i), G: uint8(3 * x), B: uint8(5*k + 2*y), A: 255})
					}
				}
				var b bytes.Buffer
				if err := jpeg.Encode(&b, img, nil); err != nil {
					t.Fatal(err)
				}
				writeFile(t, filepath.Join(root, split, class, fmt.Sprintf("%d.jpg", k)), b.String())
			}
		}
	}
}

func writeFile(t testing.TB, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o666); err != nil {
		t.Fatal(err)
	}
}

// runReadme runs a command line of the README and wants it to succeed.
func runReadme(t *testing.T, command string) {
	t.Helper()
	args := strings.Fields(command)
	if len(args) == 0 || args[0] != "ftrun" {
		t.Errorf("%q is no command of ftrun", command)
		return
	}
	a, out, errs := newApp(args[1:]...)
	a.environ = os.Environ
	if code := a.run(t.Context()); code != 0 {
		t.Errorf("%s: exit code %d\n%s%s", command, code, out.String(), errs.String())
	}
}
