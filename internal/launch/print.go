package launch

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/ftrun/ftrun/internal/runlog"
)

// Unwritten is the folder that Prepare would write for arrays that were not submitted before, to see whether they can be
// printed at all.
func Unwritten(store *runlog.Store, arrays []Array) *Folder { return openFolder(store, ID(arrays)) }

// Contents says what the tasks are: "12 runs".
func (a *Array) Contents() string {
	if a.Features {
		return counted(len(a.Tasks), "set of features that runs share", "sets of features that runs share")
	}
	return counted(len(a.Tasks), "run", "runs")
}

// describe says of array i what it is and what it waits for: "Array 3: 12 runs, after 1 succeeded and 2 ended".
func (a *Array) describe(i int) string {
	text := fmt.Sprintf("Array %d: %s", i+1, a.Contents())
	var waits []string
	if len(a.AfterOK) > 0 {
		waits = append(waits, numbers(a.AfterOK)+" succeeded")
	}
	if len(a.After) > 0 {
		waits = append(waits, numbers(a.After)+" ended")
	}
	if len(waits) > 0 {
		text += ", after " + strings.Join(waits, " and ")
	}
	return text
}

// numbers lists arrays as people count them: "1, 2".
func numbers(arrays []int) string {
	words := make([]string, len(arrays))
	for i, at := range arrays {
		words[i] = strconv.Itoa(at + 1)
	}
	return strings.Join(words, ", ")
}

func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}
