package runlog

import (
	"testing"
	"time"
)

func TestAFollowerGivesWhatIsNew(t *testing.T) {
	run := Open(t.TempDir()).Run("0123456789abcdef")
	write := func(epochs int, state State) {
		t.Helper()
		var list []Epoch
		for i := range epochs {
			list = append(list, Epoch{Epoch: i + 1})
		}
		if _, err := run.WriteEpochs(list); err != nil {
			t.Fatal(err)
		}
		if err := run.WriteStatus(Status{State: state, Updated: time.Now(), Epoch: epochs}); err != nil {
			t.Fatal(err)
		}
	}
	f := run.Follow()
	look := func(want State, from, epochs int) {
		t.Helper()
		st, got, err := f.Look()
		if err != nil {
			t.Fatal(err)
		}
		var state State
		if st != nil {
			state = st.State
		}
		if state != want || len(got) != epochs || epochs > 0 && got[0].Epoch != from {
			t.Errorf("status %q and epochs %v; want %q and %d from %d on", state, got, want, epochs, from)
		}
	}
	look("", 0, 0) // nothing is there
	write(2, Running)
	look(Running, 1, 2)
	look("", 0, 0)
	write(3, Interrupted)
	look(Interrupted, 3, 1)
	write(1, Running) // begun again
	look(Running, 1, 1)

	f = run.Follow()
	look(Running, 0, 0) // the epoch was there when it began to look
	write(4, Finished)
	look(Finished, 2, 3)
}
