package reports

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// comparisonFormats are the formats in which comparisons are written.
var comparisonFormats = []struct {
	name  string
	write func(io.Writer, []*Comparison) error
}{
	{"text", writeComparisonsText},
	{"json", writeComparisonsJSON},
}

// ComparisonFormats are the names that WriteComparisons takes.
func ComparisonFormats() []string {
	names := make([]string, len(comparisonFormats))
	for i, f := range comparisonFormats {
		names[i] = f.name
	}
	return names
}

// WriteComparisons writes comparisons, one for each metric or gate, in one of ComparisonFormats.
func WriteComparisons(w io.Writer, format string, all []*Comparison) error {
	for _, f := range comparisonFormats {
		if f.name == format {
			return f.write(w, all)
		}
	}
	return fmt.Errorf("there is no format %q of comparisons: use one of %s", format, strings.Join(ComparisonFormats(), ", "))
}

func writeComparisonsText(w io.Writer, all []*Comparison) error { return errors.New("not yet") }

func writeComparisonsJSON(w io.Writer, all []*Comparison) error {
	if all == nil {
		all = []*Comparison{}
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(map[string]any{"comparisons": all})
}
