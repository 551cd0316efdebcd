package reports

import (
	"fmt"
	"io"
	"testing"
)

// many is n configurations of two seeds each; the cells of one axis are too wide and differ in the middle alone.
func many(n int) []Run {
	runs := make([]Run, 0, 2*n)
	for i := range n {
		weights := fmt.Sprintf("a/folder/of/weights/that/is/far/away/%06d/and/goes/on/for/long/best.safetensors", i)
		for seed := range int64(2) {
			runs = append(runs, finished("s", seed, float64(i%97)/97, label("lr", fmt.Sprint(i)), label("weights", weights)))
		}
	}
	return runs
}

// BenchmarkWrite is of 100,000 runs, the most that a plan has unless it is told otherwise.
func BenchmarkWrite(b *testing.B) {
	runs := many(50_000)
	for _, format := range Formats() {
		b.Run(format, func(b *testing.B) {
			for b.Loop() {
				if err := Write(io.Discard, format, &Report{Runs: runs}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
