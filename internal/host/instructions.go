package host

import "os"

// PathVariable is the environment variable that asks for plainer vector instructions than the processor has: "avx2", or
// Generic for none.
const PathVariable = "FTRUN_CPU"

// Generic names portable Go without vector instructions.
const Generic = "generic"

// Portable tells whether the environment asks for portable Go.
func Portable() bool { return os.Getenv(PathVariable) == Generic }
