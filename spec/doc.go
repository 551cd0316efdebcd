// Package spec gives HCL files their meaning: decoding, evaluation, diagnostics and formatting.
package spec

type expansion struct{}
