//go:build !amd64

package data

// plainly runs do without vector instructions, of which there are none.
func plainly(do func()) { do() }
