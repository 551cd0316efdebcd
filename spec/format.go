package spec

import (
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
)

// Format puts a file into canonical form: indentation, blanks and alignment, nothing else. A file that does not parse is
// left alone, with diagnostics.
func Format(src []byte, filename string) ([]byte, Diagnostics) {
	if d := checkLimits(src, filename); d != nil {
		return nil, Diagnostics{d}
	}
	if _, diags := hclsyntax.ParseConfig(src, filename, hcl.InitialPos); diags.HasErrors() {
		return nil, diags
	}
	return hclwrite.Format(src), nil
}
