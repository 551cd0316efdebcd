package reports

import (
	"errors"
	"io"
)

func writeComparisonsText(w io.Writer, all []*Comparison) error { return errors.New("not yet") }

func writeComparisonsJSON(w io.Writer, all []*Comparison) error {
	if all == nil {
		all = []*Comparison{}
	}
	return writeJSON(w, map[string]any{"comparisons": all})
}
