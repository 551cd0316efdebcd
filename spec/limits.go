package spec

import (
	"bytes"
	"math/big"
	"strconv"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// Bounds on a file. The parser and the evaluator recurse with the depth of expressions, and a Go program cannot recover
// from an exhausted stack; no file that a person writes comes near.
const (
	maxFileSize = 1 << 20 // bytes
	maxDepth    = 4000    // of the syntax tree; the parser takes about 2.5 KiB of stack for each level, of 1 GB
	maxExponent = 400     // decimal, of a number; a float64 ends at 308
)

// checkLimits refuses a file that would exhaust the parser, with the place where it goes too far.
func checkLimits(src []byte, path string) *hcl.Diagnostic {
	if len(src) > maxFileSize {
		return errorAt(hcl.Range{Filename: path, Start: hcl.InitialPos, End: hcl.InitialPos}, "File too large",
			"The file holds %d bytes; a configuration file may have at most %d.", len(src), maxFileSize)
	}
	tokens, _ := hclsyntax.LexConfig(src, path, hcl.InitialPos) // the parser repeats its diagnostics
	// deep is how far the tree may nest at a token, at most: every open bracket counts, and every operator before it in
	// the same element. outer holds each open bracket with the depth that its elements start from.
	type bracket struct {
		depth int
		lines bool // a line break ends an element, as in bodies and objects
	}
	deep, outer := 0, []bracket{{lines: true}}
	for _, t := range tokens {
		switch t.Type {
		case hclsyntax.TokenOBrace, hclsyntax.TokenOBrack, hclsyntax.TokenOParen, hclsyntax.TokenTemplateInterp,
			hclsyntax.TokenTemplateControl, hclsyntax.TokenOQuote, hclsyntax.TokenOHeredoc:
			deep++
			outer = append(outer, bracket{deep, t.Type == hclsyntax.TokenOBrace})
		case hclsyntax.TokenCBrace, hclsyntax.TokenCBrack, hclsyntax.TokenCParen, hclsyntax.TokenTemplateSeqEnd,
			hclsyntax.TokenCQuote, hclsyntax.TokenCHeredoc:
			// What is closed may be nested in what follows: "a[b][c]", "%{ if a }%{ if b }".
			if len(outer) > 1 {
				deep, outer = outer[len(outer)-1].depth, outer[:len(outer)-1]
			}
		case hclsyntax.TokenComma, hclsyntax.TokenEqual:
			deep = outer[len(outer)-1].depth
		case hclsyntax.TokenNewline, hclsyntax.TokenComment: // a comment to the end of a line takes the line break along
			if innermost := outer[len(outer)-1]; innermost.lines && bytes.HasSuffix(t.Bytes, []byte("\n")) {
				deep = innermost.depth
			}
		case hclsyntax.TokenPlus, hclsyntax.TokenMinus, hclsyntax.TokenStar, hclsyntax.TokenSlash,
			hclsyntax.TokenPercent, hclsyntax.TokenEqualOp, hclsyntax.TokenNotEqual, hclsyntax.TokenLessThan,
			hclsyntax.TokenLessThanEq, hclsyntax.TokenGreaterThan, hclsyntax.TokenGreaterThanEq, hclsyntax.TokenAnd,
			hclsyntax.TokenOr, hclsyntax.TokenBang, hclsyntax.TokenQuestion, hclsyntax.TokenColon:
			deep++
		case hclsyntax.TokenNumberLit:
			if i := bytes.IndexAny(t.Bytes, "eE"); i >= 0 || len(t.Bytes) > maxExponent {
				exp, err := strconv.Atoi(string(t.Bytes[i+1:]))
				if i < 0 || i > maxExponent || err != nil || exp > maxExponent || exp < -maxExponent {
					return errorAt(t.Range, "Number out of range",
						"This number has more digits than any setting can take.")
				}
			}
		}
		if deep > maxDepth {
			return errorAt(t.Range, "Expression too deep",
				"Brackets inside each other and operators in a row may come to %d at most. Name parts of the expression in a "+
					"locals block.", maxDepth)
		}
	}
	return nil
}

// tooLarge tells whether a number is far beyond what a setting can take. Such numbers are stopped where they get a name:
// their decimal digits, which a template asks for, would fill the memory.
func tooLarge(v cty.Value) bool {
	if !v.IsKnown() || v.IsNull() || v.Type() != cty.Number {
		return false
	}
	exp := v.AsBigFloat().MantExp((*big.Float)(nil))
	const most = 4 * maxExponent // binary
	return v.AsBigFloat().IsInf() || exp > most || exp < -most
}
