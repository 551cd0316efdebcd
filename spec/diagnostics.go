package spec

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/agext/levenshtein"
	"github.com/hashicorp/hcl/v2"
)

// Diagnostics are errors and warnings with their places in files. A summary is one of a fixed set of short texts and
// holds no name of the user's; the detail says in full sentences what is wrong, why, and how to mend it.
type Diagnostics = hcl.Diagnostics

func errorAt(rng hcl.Range, summary, format string, args ...any) *hcl.Diagnostic {
	return &hcl.Diagnostic{
		Severity: hcl.DiagError,
		Summary:  summary,
		Detail:   fmt.Sprintf(format, args...),
		Subject:  &rng,
	}
}

// Unknown is the error for a name that nothing has: kind says of what ("architecture"), candidates are the names that
// exist, of which the nearest is suggested.
func Unknown(kind, name string, candidates []string, rng hcl.Range) *hcl.Diagnostic {
	return errorAt(rng, "Unknown "+kind, "There is no %s %s.%s", kind, quote(name), suggestion(name, candidates))
}

// unknownIn is Unknown where the names belong to a context: "in an optimizer block".
func unknownIn(kind, name, context string, candidates []string, rng hcl.Range) *hcl.Diagnostic {
	return errorAt(rng, "Unknown "+kind, "There is no %s %s %s.%s", kind, quote(name), context,
		suggestion(name, candidates))
}

// suggestion is the sentence that names the nearest candidate or, where none is near and they are few, all of them.
func suggestion(name string, candidates []string) string {
	if best := Nearest(name, candidates); best != "" {
		return fmt.Sprintf(" Did you mean %q?", best)
	}
	const few = 12
	sorted := slices.Sorted(slices.Values(candidates))
	sorted = slices.DeleteFunc(sorted, func(c string) bool { return c == "" }) // a block that lacks its name is told elsewhere
	if len(sorted) == 0 || len(sorted) > few {
		return ""
	}
	return fmt.Sprintf(" Known: %s.", strings.Join(sorted, ", "))
}

// Nearest returns the candidate that name most likely stands for, or "" where none is close: case is ignored, a third of
// the letters may differ or all be there in another order, and three letters or more may be the beginning of a longer
// name.
func Nearest(name string, candidates []string) string {
	lower := strings.ToLower(name)
	length := utf8.RuneCountInString(lower)
	if length > 100 { // nothing that long is a slip of the finger
		return ""
	}
	sorted := slices.Sorted(slices.Values(candidates)) // of equals the first, whatever order the caller's map gave
	best, bestDistance := "", (length+1)/3+1
	for _, c := range sorted {
		d := levenshtein.Distance(lower, strings.ToLower(c), nil)
		if d > 1 && anagram(lower, strings.ToLower(c)) {
			d = 1 // "vla" for "val" is one slip
		}
		if d < bestDistance {
			best, bestDistance = c, d
		}
	}
	if best != "" || length < 3 {
		return best
	}
	for _, c := range sorted {
		if strings.HasPrefix(strings.ToLower(c), lower) {
			return c
		}
	}
	return ""
}

func anagram(a, b string) bool {
	x, y := []rune(a), []rune(b)
	slices.Sort(x)
	slices.Sort(y)
	return slices.Equal(x, y)
}

// Distinct drops diagnostics that repeat another's text at the same place, which is how one mistake looks after many
// combinations. The first stays.
func Distinct(diags Diagnostics) Diagnostics {
	type key struct {
		summary, detail string
		subject         hcl.Range
	}
	seen := make(map[key]bool, len(diags))
	kept := diags[:0:0]
	for _, d := range diags {
		k := key{summary: d.Summary, detail: d.Detail}
		if d.Subject != nil {
			k.subject = *d.Subject
		}
		if !seen[k] {
			seen[k] = true
			kept = append(kept, d)
		}
	}
	return kept
}

// WriteText writes diagnostics for a person: summary, place, the line with its offending part underlined, the values
// that matter, the detail wrapped to width columns (0: not wrapped). Files are those of Spec.Files; a diagnostic without
// its file is written without its line.
func WriteText(w io.Writer, diags Diagnostics, files map[string]*hcl.File, width int, color bool) error {
	var b strings.Builder
	for i, d := range diags {
		if i > 0 {
			b.WriteByte('\n')
		}
		writeText(&b, d, files, width, color)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func writeText(b *strings.Builder, d *hcl.Diagnostic, files map[string]*hcl.File, width int, color bool) {
	severity, paint, bold, reset := "Error", "\x1b[1;31m", "\x1b[1m", "\x1b[0m"
	if d.Severity == hcl.DiagWarning {
		severity, paint = "Warning", "\x1b[1;33m"
	}
	if !color {
		paint, bold, reset = "", "", ""
	}
	fmt.Fprintf(b, "%s%s:%s %s%s%s\n", paint, severity, reset, bold, d.Summary, reset)

	if s, ok := snippetOf(d, files); ok {
		in := ""
		if s.Context != "" {
			in = ", in " + s.Context
		}
		fmt.Fprintf(b, "\n  on %s line %d%s:\n", d.Subject.Filename, d.Subject.Start.Line, in)
		gutter := len(fmt.Sprint(s.StartLine))
		code, pad, marks := fit(s, width-gutter-6)
		fmt.Fprintf(b, "  %*d | %s\n", gutter, s.StartLine, code)
		fmt.Fprintf(b, "  %*s | %s%s%s%s\n", gutter, "", pad, paint, strings.Repeat("^", marks), reset)
		for _, v := range s.Values {
			fmt.Fprintf(b, "  %*s   where %s is %s\n", gutter, "", v.Reference, v.Value)
		}
	} else if d.Subject != nil && d.Subject.Filename != "" {
		fmt.Fprintf(b, "\n  on %s line %d\n", d.Subject.Filename, d.Subject.Start.Line)
	}
	if d.Detail != "" {
		fmt.Fprintf(b, "\n%s\n", wrap(d.Detail, "  ", width))
	}
}

// fit cuts a snippet's line to at most width characters round its mark, and returns the line, the blank space that puts
// the mark under its place (tabs kept, so that it lines up), and the length of the mark.
func fit(s Snippet, width int) (code, pad string, marks int) {
	before := []rune(s.Code[:s.MarkStart])
	marked := []rune(s.Code[s.MarkStart:s.MarkEnd])
	after := []rune(s.Code[s.MarkEnd:])
	if width > 20 && len(before)+len(marked)+len(after) > width {
		if keep := width / 2; len(before) > keep {
			before = append([]rune("…"), before[len(before)-keep+1:]...)
		}
		if room := width - len(before); len(marked) > room {
			marked, after = append(marked[:room-1:room-1], '…'), nil
		} else if room -= len(marked); len(after) > room {
			after = append(after[:max(room-1, 0):max(room-1, 0)], '…')
		}
	}
	blank := make([]rune, len(before))
	for i, r := range before {
		blank[i] = ' '
		if r == '\t' {
			blank[i] = '\t'
		}
	}
	return string(before) + string(marked) + string(after), string(blank), max(len(marked), 1)
}

// wrap breaks text at blanks so that no line, with its indent, is wider than width; a longer word stays whole. Line
// breaks of the text itself are kept.
func wrap(text, indent string, width int) string {
	var b strings.Builder
	for i, paragraph := range strings.Split(text, "\n") {
		if i > 0 {
			b.WriteByte('\n')
		}
		column := 0
		for _, word := range strings.Fields(paragraph) {
			n := utf8.RuneCountInString(word)
			switch {
			case column == 0:
				b.WriteString(indent)
				column = len(indent)
			case width > 0 && column+1+n > width:
				b.WriteString("\n" + indent)
				column = len(indent)
			default:
				b.WriteByte(' ')
				column++
			}
			b.WriteString(word)
			column += n
		}
	}
	return b.String()
}

// DiagnosticJSON is one diagnostic in the JSON output.
type DiagnosticJSON struct {
	Severity string     `json:"severity"` // "error" or "warning"
	Summary  string     `json:"summary"`
	Detail   string     `json:"detail"`
	Range    *RangeJSON `json:"range,omitempty"` // absent where no file is at fault
	Snippet  *Snippet   `json:"snippet,omitempty"`
}

// RangeJSON is a place in a file, the end exclusive.
type RangeJSON struct {
	File  string  `json:"file"`
	Start PosJSON `json:"start"`
	End   PosJSON `json:"end"`
}

// PosJSON is a position: line and column count from 1, in lines and characters; byte counts from 0.
type PosJSON struct {
	Line   int `json:"line"`
	Column int `json:"column"`
	Byte   int `json:"byte"`
}

// Snippet is the first line that a diagnostic is about.
type Snippet struct {
	Context   string  `json:"context,omitempty"` // the block round it: sweep "tutorial"
	Code      string  `json:"code"`              // the whole line
	StartLine int     `json:"start_line"`
	MarkStart int     `json:"mark_start"` // bytes of Code that are at fault
	MarkEnd   int     `json:"mark_end"`
	Values    []Value `json:"values,omitempty"`
}

// Value is what a reference inside the offending expression stood for.
type Value struct {
	Reference string `json:"reference"`
	Value     string `json:"value"`
}

// WriteJSON writes diagnostics for a program: {"diagnostics": [DiagnosticJSON, …]}, indented, with a final newline.
func WriteJSON(w io.Writer, diags Diagnostics, files map[string]*hcl.File) error {
	out := make([]DiagnosticJSON, 0, len(diags))
	for _, d := range diags {
		j := DiagnosticJSON{Severity: "error", Summary: d.Summary, Detail: d.Detail}
		if d.Severity == hcl.DiagWarning {
			j.Severity = "warning"
		}
		if r := d.Subject; r != nil && r.Filename != "" {
			j.Range = &RangeJSON{File: r.Filename, Start: PosJSON(r.Start), End: PosJSON(r.End)}
			if s, ok := snippetOf(d, files); ok {
				j.Snippet = &s
			}
		}
		out = append(out, j)
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(map[string]any{"diagnostics": out})
}

// snippetOf finds the first line of a diagnostic's subject in its file.
func snippetOf(d *hcl.Diagnostic, files map[string]*hcl.File) (Snippet, bool) {
	if d.Subject == nil {
		return Snippet{}, false
	}
	file := files[d.Subject.Filename]
	if file == nil {
		return Snippet{}, false
	}
	start, end := d.Subject.Start.Byte, max(d.Subject.End.Byte, d.Subject.Start.Byte)
	sc := hcl.NewRangeScanner(file.Bytes, d.Subject.Filename, bufio.ScanLines)
	for sc.Scan() {
		line := sc.Range()
		if d.Subject.Start.Line != line.Start.Line {
			continue
		}
		code := string(sc.Bytes())
		s := Snippet{Code: code, StartLine: line.Start.Line, Values: valuesOf(d)}
		s.MarkStart = min(max(start-line.Start.Byte, 0), len(code))
		s.MarkEnd = min(max(end-line.Start.Byte, s.MarkStart), len(code))
		if nav, ok := file.Nav.(interface{ ContextString(int) string }); ok {
			s.Context = nav.ContextString(start)
		}
		return s, true
	}
	return Snippet{}, false
}

// valuesOf lists what the references of the offending expression stood for: the same line fails for one combination and
// not for another.
func valuesOf(d *hcl.Diagnostic) []Value {
	if d.Expression == nil || d.EvalContext == nil {
		return nil
	}
	var values []Value
	seen := map[string]bool{}
	for _, t := range d.Expression.Variables() {
		v, diags := t.TraverseAbs(d.EvalContext)
		for diags.HasErrors() && len(t) > 2 { // what there is of it: matrix.opt where matrix.opt.lr fails
			t = t[:len(t)-1]
			v, diags = t.TraverseAbs(d.EvalContext)
		}
		name := referenceName(t)
		if diags.HasErrors() || !v.IsKnown() || seen[name] {
			continue
		}
		seen[name] = true
		values = append(values, Value{Reference: name, Value: describe(v)})
	}
	return values
}

// referenceName writes a reference as the user did.
func referenceName(t hcl.Traversal) string {
	var b strings.Builder
	for _, step := range t {
		switch step := step.(type) {
		case hcl.TraverseRoot:
			b.WriteString(step.Name)
		case hcl.TraverseAttr:
			b.WriteString("." + step.Name)
		case hcl.TraverseIndex:
			b.WriteString("[" + describe(step.Key) + "]")
		}
	}
	return b.String()
}
