package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// TestTimingsFile: what one process finds another one knows; a damaged file is an empty one; the file stays small.
func TestTimingsFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ftrun", "algorithms.json")
	one, other := newTimings(path), newTimings(path)
	knows := func(t *testing.T, who *timings, on, what string, want int) {
		t.Helper()
		if got, known := who.Fastest(on, what); !known || got != want {
			t.Errorf("the fastest at %s on %s is %d, known %v, want %d", what, on, got, known, want)
		}
	}
	if _, known := other.Fastest("GPU", "a"); known { // and has read the file
		t.Error("an algorithm is known that nobody measured")
	}
	one.Keep("GPU", "a", 7)
	other.Keep("GPU", "b", 1)
	one.Keep("another GPU", "a", 2)
	knows(t, one, "GPU", "a", 7)
	knows(t, newTimings(path), "GPU", "a", 7)
	knows(t, newTimings(path), "GPU", "b", 1)
	knows(t, newTimings(path), "another GPU", "a", 2)

	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, damaged := range map[string]string{"cut": string(raw[:len(raw)-9]), "empty": "", "other": `{"format": 1}`} {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(path, []byte(damaged), 0o666); err != nil {
				t.Fatal(err)
			}
			after := newTimings(path)
			if _, known := after.Fastest("GPU", "a"); known {
				t.Error("what a damaged file says is believed")
			}
			after.Keep("GPU", "a", 3)
			knows(t, newTimings(path), "GPU", "a", 3)
		})
	}
	for i := range mostDevices + 2 {
		one.Keep(fmt.Sprint("GPU ", i), "a", i)
	}
	if n := len(newTimings(path).load().Devices); n != mostDevices {
		t.Errorf("%d devices are kept, want %d", n, mostDevices)
	}
	knows(t, newTimings(path), fmt.Sprint("GPU ", mostDevices+1), "a", mostDevices+1)
}

// TestTimingsThatCannotBeWritten serve the process all the same.
func TestTimingsThatCannotBeWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "algorithms.json")
	if err := os.Mkdir(path, 0o777); err != nil {
		t.Fatal(err)
	}
	k := newTimings(path)
	k.Keep("GPU", "a", 7)
	k.Keep("GPU", "b", 1)
	for what, want := range map[string]int{"a": 7, "b": 1} {
		if got, known := k.Fastest("GPU", what); !known || got != want {
			t.Errorf("the fastest at %s is %d, known %v", what, got, known)
		}
	}
}
