package slurm

// Explain says in words why a job waits, or how it ended; "" where there is nothing to say of it. It is a part of a
// sentence: no capital at the start, no full stop.
func Explain(j Job) string { return "" }
