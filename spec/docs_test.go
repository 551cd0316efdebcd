package spec

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var fence = regexp.MustCompile("(?ms)^```hcl *(\\w*)\n(.*?)^```$")

// TestDocumentation loads and expands every example of the language reference. The word after hcl says where an excerpt
// stands: in a sweep or in a run block.
func TestDocumentation(t *testing.T) {
	examples := fence.FindAllStringSubmatch(reference(t), -1)
	if len(examples) < 10 {
		t.Fatalf("%d examples were found", len(examples))
	}
	for _, m := range examples {
		src := m[2]
		switch m[1] {
		case "sweep":
			src = sweepOf(src)
		case "run":
			src = sweepOf("run {\narch = \"resnet18\"\nmode = \"finetune\"\n" + src + "}")
		}
		s, diags := LoadSources(map[string][]byte{"main.hcl": []byte(src)}, Options{Version: "0.1.0"})
		diags = append(diags, expand(s, diags)...)
		if len(diags) > 0 {
			t.Errorf("%s\n%s", src, text(t, s, diags))
		}
		if formatted, diags := Format([]byte(m[2]), "main.hcl"); diags.HasErrors() || string(formatted) != m[2] {
			t.Errorf("not in canonical form:\n%s", m[2])
		}
	}
}

// TestDocumentationIsComplete: every function, block, attribute and operation is described.
func TestDocumentationIsComplete(t *testing.T) {
	var names []string
	names = append(names, FunctionNames()...)
	names = append(names, mapKeys(fileShape.blocks)...)
	names = append(names, mapKeys(sweepShape.blocks)...)
	names = append(names, mapKeys(runBlocks)...)
	for _, attrs := range [][]string{runType.names(), imageType.names(), augmentType.names(), optimizerType.names(),
		scheduleType.names(), paramGroupType.names(), earlyStopType.names(), datasetBlockType.names(), variableShape.attributes,
		sweepShape.attributes, validationShape.attributes, Monitors, mapKeys(scheduleSettings), gateType.names(), mapKeys(GateMetrics), GateTests} {
		names = append(names, attrs...)
	}
	for _, k := range AugmentKinds() {
		names = append(names, k.Name)
		for _, p := range k.Params {
			names = append(names, p.Name)
		}
	}
	for _, bt := range launcherTypes {
		names = append(names, bt.names()...)
	}
	doc := reference(t)
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		if !regexp.MustCompile("(`|`\"|### |\\{ |, )" + name + "\\b").MatchString(doc) {
			t.Errorf("docs/language.md does not mention %s", name)
		}
	}
}

func reference(t *testing.T) string {
	t.Helper()
	src, err := os.ReadFile("../docs/language.md")
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(src), "\r\n", "\n")
}
