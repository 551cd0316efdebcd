// Package spec gives HCL files their meaning: parsing, decoding, evaluation, diagnostics and formatting.
//
// Load reads a file or a directory into a Spec. Whatever does not depend on a sweep's axes is evaluated then; what does
// is compiled, and evaluated by Sweep.Combinations and Sweep.Run, which are cheap enough to be called a hundred
// thousand times. A user's mistake is a diagnostic with its place in the file, and all mistakes are told at once.
//
// The package knows names and types of settings, not networks: whether an architecture exists or what a default is,
// is the planner's business. docs/language.md is the language's reference.
package spec
