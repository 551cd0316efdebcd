package slurm

import (
	"errors"
	"fmt"
)

// CommandError is what a command of Slurm complained of.
type CommandError struct {
	Command   string // sbatch, squeue, …
	Text      string // what it said
	temporary bool
}

func (e *CommandError) Error() string {
	return fmt.Sprintf("%s: %s", e.Command, e.Text)
}

// Temporary tells whether the same command may succeed a little later: Slurm's controller could not be reached, or did not
// answer in time.
func (e *CommandError) Temporary() bool { return e.temporary }

// Temporary tells whether err says that Slurm could not be reached, or did not answer in time: it is worth asking again.
func Temporary(err error) bool {
	var e *CommandError
	return errors.As(err, &e) && e.temporary
}

// RejectedError says that Slurm took a command and refused what it asks for.
type RejectedError struct {
	Text   string // Slurm's words
	Advice string // ours: what to change, mostly in the launcher block; "" for words that we don't know
	Later  bool   // nothing is wrong with the job: it will be taken when others of the user, or of all, have ended
}

func (e *RejectedError) Error() string {
	if e.Advice == "" {
		return fmt.Sprintf("Slurm refuses the job: %s", e.Text)
	}
	return fmt.Sprintf("Slurm refuses the job: %s: %s", e.Text, e.Advice)
}

// isTemporary tells whether a complaint is of a controller that can't be reached now.
func isTemporary(text string) bool { return false }
