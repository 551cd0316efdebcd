//go:build !amd64

package jpeg

// plainly runs do without vector instructions, of which there are none.
func plainly(do func()) { do() }
