// Package host tells what the machine has left for a program, memory and room on a disk, and which of its instructions
// the environment asks for.
package host

// Memory is what a process may use of the machine's memory, in bytes.
type Memory struct {
	Total     int64 // of the machine, or of the control group that the process is in
	Available int64 // of it, now, without swapping
}

// OwnMemory is the memory that this process may use; ok is false where the system does not tell.
func OwnMemory() (m Memory, ok bool) { return ownMemory() }

// Free is the number of bytes that may still be written to the disk of a folder that is there; ok is false where the
// system does not tell.
func Free(dir string) (bytes int64, ok bool) { return free(dir) }
