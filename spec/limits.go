package spec

import (
	"bytes"
	"strconv"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// Bounds on a file. The parser and the evaluator recurse with the depth of expressions, and a Go program cannot recover
// from an exhausted stack; no file that a person writes comes near.
const (
	maxFileSize  = 1 << 20 // bytes
	maxNesting   = 200     // brackets, braces, parentheses and template sequences inside each other
	maxOperators = 2000    // operators in a row, each of which may nest the expression by one
	maxExponent  = 400     // decimal, of a number; a float64 ends at 308
)

// checkLimits refuses a file that would exhaust the parser, with the place where it goes too far.
func checkLimits(src []byte, path string) *hcl.Diagnostic {
	if len(src) > maxFileSize {
		return errorAt(hcl.Range{Filename: path, Start: hcl.InitialPos, End: hcl.InitialPos}, "File too large",
			"The file holds %d bytes; a configuration file may have at most %d.", len(src), maxFileSize)
	}
	tokens, _ := hclsyntax.LexConfig(src, path, hcl.InitialPos) // the parser repeats its diagnostics
	depth, operators := 0, 0
	for _, t := range tokens {
		switch t.Type {
		case hclsyntax.TokenOBrace, hclsyntax.TokenOBrack, hclsyntax.TokenOParen, hclsyntax.TokenTemplateInterp,
			hclsyntax.TokenTemplateControl, hclsyntax.TokenOQuote, hclsyntax.TokenOHeredoc:
			depth++
			operators++ // "a[b][c]" and "%{ if a }%{ if b }" nest without staying open
		case hclsyntax.TokenCBrace, hclsyntax.TokenCBrack, hclsyntax.TokenCParen, hclsyntax.TokenTemplateSeqEnd,
			hclsyntax.TokenCQuote, hclsyntax.TokenCHeredoc:
			depth--
		case hclsyntax.TokenComma, hclsyntax.TokenEqual:
			operators = 0
		case hclsyntax.TokenPlus, hclsyntax.TokenMinus, hclsyntax.TokenStar, hclsyntax.TokenSlash,
			hclsyntax.TokenPercent, hclsyntax.TokenEqualOp, hclsyntax.TokenNotEqual, hclsyntax.TokenLessThan,
			hclsyntax.TokenLessThanEq, hclsyntax.TokenGreaterThan, hclsyntax.TokenGreaterThanEq, hclsyntax.TokenAnd,
			hclsyntax.TokenOr, hclsyntax.TokenBang, hclsyntax.TokenQuestion, hclsyntax.TokenColon:
			operators++
		case hclsyntax.TokenNumberLit:
			if i := bytes.IndexAny(t.Bytes, "eE"); i >= 0 || len(t.Bytes) > maxExponent {
				exp, err := strconv.Atoi(string(t.Bytes[i+1:]))
				if i < 0 || i > maxExponent || err != nil || exp > maxExponent || exp < -maxExponent {
					return errorAt(t.Range, "Number out of range",
						"This number has more digits than any setting can take.")
				}
			}
		}
		if depth > maxNesting || operators > maxOperators {
			return errorAt(t.Range, "Expression too deep",
				"Expressions may nest at most %d brackets and chain at most %d operators. Name parts of it in a locals block.",
				maxNesting, maxOperators)
		}
	}
	return nil
}
