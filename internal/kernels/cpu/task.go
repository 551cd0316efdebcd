package cpu

// What an operation does on all threads is a task: a struct of its arguments, with a method for one worker's share. A
// closure would say the same in fewer lines, but one that other goroutines run is allocated anew at every call, and a
// training step has a thousand of them. The device keeps a struct of each type instead, so that after the first call of
// an operation nothing is allocated:
//
//	type clearing struct{ x []float32 }
//
//	func (t *clearing) run(d *Device, worker int) {
//		lo, hi := d.split(len(t.x), worker)
//		clear(t.x[lo:hi])
//	}
//
//	parallel(d, clearing{xs})
//
// Most operations need not share out the work themselves: eachElement, eachRow (stream.go) and reduce (reduce.go) take
// structs with a method for a part of it. A struct that serves one method of Device bears its name.

// task is what every worker does of a parallel region; *T is one.
type task[T any] interface {
	*T
	runner
}

type runner interface{ run(d *Device, worker int) }

// parallel calls run(d, worker) of t for every worker in [0, d.threads), side by side, and returns when all are done.
// Tasks start no tasks.
func parallel[T any, P task[T]](d *Device, t T) { start[T, P](d, d.threads, t) }

// start is parallel on all threads, or on that of the caller alone.
func start[T any, P task[T]](d *Device, threads int, t T) {
	kept := keptOf[T](d)
	*kept = t
	if threads == 1 {
		P(kept).run(d, 0)
	} else {
		d.task = P(kept)
		d.pool.run(d.runShare)
		d.task = nil
	}
	var none T
	*kept = none // no reference to a buffer outlasts the call
}

// keptOf is the struct of type T that the device keeps.
func keptOf[T any](d *Device) *T {
	for _, k := range d.kept {
		if k, ok := k.(*T); ok {
			return k
		}
	}
	k := new(T)
	d.kept = append(d.kept, k)
	return k
}
