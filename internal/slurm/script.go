package slurm

import (
	"bytes"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Script is a job array to be submitted. Each of its tasks runs on one node.
type Script struct {
	Name, Comment string // Name must be new for each array, since Submit and Named find jobs by it
	Chdir         string // where the tasks run: an absolute path that the nodes see
	// Output is the file that a task's output is appended to, absolute or relative to Chdir. Its last element is sbatch's
	// pattern, in which %A is the array and %a the task; the folder is taken as it is.
	Output             string
	Tasks, MaxParallel int // the tasks are 0 … Tasks-1; at most MaxParallel at a time, 0: no bound

	After   []string // jobs that must have ended, however
	AfterOK []string // jobs that must have succeeded; where one did not, Slurm cancels this array

	Partition, Account, QOS, Constraint string // "": the cluster's default

	CPUs         int           // of a task, at least 1
	GPUs         int           // of a task
	Memory       int64         // of a task, bytes; 0: the cluster's default
	Time         time.Duration // the limit of a task; 0: the partition's default
	SignalBefore time.Duration // before the limit, when the command gets SIGUSR1; 0: none. Slurm may be up to 60 s early

	Extra   []string // options of sbatch, as they are
	Setup   string   // shell lines before the command
	Command []string // takes the place of the shell, so that it gets signals itself
}

// Write writes the script as sbatch takes it. The same Script gives the same bytes. What Slurm could not be told is an
// error.
//
// A job that Slurm ends for others' sake, or that loses its node, is started again and goes on writing to the same file
// (--requeue, --open-mode). It gets the environment of who submits (--export), as jobs do where nothing else is said: what
// is set there for ftrun, and for the libraries that it looks for, holds in the job too.
func (s *Script) Write(w io.Writer) error {
	options, err := s.options()
	if err != nil {
		return err
	}
	var b bytes.Buffer
	b.WriteString("#!/bin/bash\n")
	for _, o := range options {
		fmt.Fprintf(&b, "#SBATCH %s\n", quoteOption(o))
	}
	b.WriteByte('\n')
	if s.Setup != "" {
		b.WriteString(strings.TrimRight(s.Setup, "\n"))
		b.WriteByte('\n')
	}
	b.WriteString("exec")
	for _, word := range s.Command {
		b.WriteByte(' ')
		b.WriteString(QuoteShell(word))
	}
	b.WriteByte('\n')
	_, err = w.Write(b.Bytes())
	return err
}

// options are sbatch's, one a string: "--name=value".
func (s *Script) options() ([]string, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	array := fmt.Sprintf("0-%d", s.Tasks-1)
	if s.MaxParallel > 0 && s.MaxParallel < s.Tasks {
		array += fmt.Sprintf("%%%d", s.MaxParallel)
	}
	folder, pattern := path.Split(s.Output)
	if !path.IsAbs(folder) {
		folder = path.Join(s.Chdir, folder)
	}
	// Slurm looks for patterns in all of the path.
	output := path.Join(strings.ReplaceAll(folder, "%", "%%"), pattern)
	options := []string{
		"--job-name=" + s.Name,
		"--array=" + array,
		"--nodes=1", "--ntasks=1",
		"--cpus-per-task=" + strconv.Itoa(s.CPUs),
	}
	add := func(name, value string) {
		if value != "" {
			options = append(options, "--"+name+"="+value)
		}
	}
	if s.GPUs > 0 {
		add("gres", "gpu:"+strconv.Itoa(s.GPUs))
	}
	if s.Memory > 0 {
		add("mem", strconv.FormatInt((s.Memory+1<<20-1)>>20, 10)+"M")
	}
	if s.Time > 0 {
		add("time", formatLimit(s.Time))
	}
	add("partition", s.Partition)
	add("account", s.Account)
	add("qos", s.QOS)
	add("constraint", s.Constraint)
	add("comment", s.Comment)
	add("chdir", s.Chdir)
	add("output", output)
	options = append(options, "--open-mode=append", "--export=ALL", "--requeue")
	if d := s.Dependency(); d != "" {
		options = append(options, "--dependency="+d, "--kill-on-invalid-dep=yes")
	}
	if s.SignalBefore > 0 {
		// B: to the command that took the shell's place; without it Slurm signals only steps, of which there are none.
		options = append(options, fmt.Sprintf("--signal=B:USR1@%d", int64((s.SignalBefore+time.Second-1)/time.Second)))
	}
	return append(options, s.Extra...), nil
}

// check looks for what would not reach sbatch as it is meant.
func (s *Script) check() error {
	switch {
	case s.Tasks < 1 || len(s.Command) == 0 || s.Name == "" || !path.IsAbs(s.Chdir) || s.Output == "":
		panic(fmt.Sprintf("slurm: a script needs a name, a folder, an output, tasks and a command: %+v", *s))
	case s.CPUs < 1 || s.GPUs < 0 || s.Memory < 0 || s.Time < 0 || s.MaxParallel < 0:
		return fmt.Errorf("a job of %d processors, %d GPUs, %d bytes of memory, %v and %d tasks at a time: processors are 1 or more, "+
			"the others not negative", s.CPUs, s.GPUs, s.Memory, s.Time, s.MaxParallel)
	case strings.Contains(s.Chdir+s.Output, `\`):
		return fmt.Errorf("the path %s holds a backslash, from which on Slurm takes a path of output literally; "+
			"move the store to a folder without one", path.Join(s.Chdir, s.Output))
	}
	for _, o := range append([]string{s.Name, s.Comment, s.Chdir, s.Output, s.Partition, s.Account, s.QOS, s.Constraint}, s.Extra...) {
		if i := strings.IndexFunc(o, unicode.IsControl); i >= 0 {
			return fmt.Errorf("%q holds a control character: an option of sbatch is one line of a script", o)
		}
	}
	for _, o := range s.Extra {
		if !strings.HasPrefix(o, "-") {
			return fmt.Errorf("%q in extra is no option of sbatch: options begin with -", o)
		}
		if name := optionName(o); slices.Contains(ours, name) {
			return fmt.Errorf("%q in extra: ftrun itself sets %s, by which it finds its jobs and what they print; leave it out", o, name)
		}
	}
	for _, word := range s.Command {
		if strings.Contains(word, "\x00") {
			return fmt.Errorf("%q holds a zero byte, which no command can be given", word)
		}
	}
	for i, line := range strings.Split(s.Setup, "\n") {
		if strings.HasPrefix(line, "#SBATCH") {
			return fmt.Errorf("line %d of setup is an option of sbatch (%s): give it in extra", i+1, line)
		}
	}
	return nil
}

// ours are the options that a script, or Submit, depends on.
var ours = []string{"--job-name", "--array", "--chdir", "--output", "--error", "--open-mode", "--export", "--export-file", "--requeue",
	"--no-requeue", "--dependency", "--kill-on-invalid-dep", "--signal", "--parsable", "--wrap", "--wait", "--test-only", "--quiet", "--help",
	"--usage", "--version"}

// short are the short names of options that matter here.
var short = map[byte]string{'A': "--account", 'C': "--constraint", 'D': "--chdir", 'J': "--job-name", 'M': "--clusters",
	'Q': "--quiet", 'V': "--version", 'W': "--wait", 'a': "--array", 'd': "--dependency", 'e': "--error", 'h': "--help", 'o': "--output",
	'p': "--partition", 'q': "--qos"}

// optionName is the long name of the option that o sets: "--partition" of "-p gpu".
func optionName(o string) string {
	if len(o) > 1 && o[0] == '-' && o[1] != '-' {
		return short[o[1]]
	}
	if i := strings.IndexAny(o, "= "); i >= 0 {
		return o[:i]
	}
	return o
}

// Dependency is the value of sbatch's --dependency, "" where the array waits for nothing. After and AfterOK may hold shell
// variables here ("$array0"), for scripts that are printed for people.
func (s *Script) Dependency() string {
	var parts []string
	for _, d := range []struct {
		kind string
		jobs []string
	}{{"afterok", s.AfterOK}, {"afterany", s.After}} {
		if len(d.jobs) > 0 {
			part := d.kind
			for _, job := range d.jobs {
				number, _, _ := strings.Cut(job, ";")
				part += ":" + number
			}
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, ",")
}

// formatLimit writes a time limit as sbatch takes it, rounded up to the minute, which is what Slurm counts in.
func formatLimit(d time.Duration) string {
	m := int64((d + time.Minute - 1) / time.Minute)
	days, hours, minutes := m/(24*60), m/60%24, m%60
	if days > 0 {
		return fmt.Sprintf("%d-%02d:%02d:00", days, hours, minutes)
	}
	return fmt.Sprintf("%02d:%02d:00", hours, minutes)
}

// quoteOption writes an option as sbatch reads it from a #SBATCH line: words end at spaces, # begins a comment, quotes and
// backslashes do what they do in a shell, dollars and backquotes nothing. The name may be parted from its value by = or,
// as in "-p gpu", by a space.
func quoteOption(o string) string {
	if i := strings.IndexAny(o, "= "); i > 0 && strings.HasPrefix(o, "-") {
		return quoteWord(o[:i]) + o[i:i+1] + quoteWord(strings.TrimLeft(o[i+1:], " "))
	}
	return quoteWord(o)
}

func quoteWord(word string) string {
	if word != "" && !strings.ContainsFunc(word, func(r rune) bool {
		return unicode.IsSpace(r) || strings.ContainsRune(`"'\#`, r)
	}) {
		return word
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(word) + `"`
}

// QuoteShell writes a word so that a POSIX shell takes it for itself.
func QuoteShell(word string) string {
	plain := func(r rune) bool {
		return r < 0x80 && (unicode.IsLetter(r) || unicode.IsDigit(r)) || strings.ContainsRune("@%+=:,./_-", r)
	}
	if word != "" && !strings.ContainsFunc(word, func(r rune) bool { return !plain(r) }) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
