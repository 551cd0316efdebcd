// Package layout holds tests of the house itself: which folder may import which.
package layout
