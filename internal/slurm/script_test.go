package slurm

import (
	"bytes"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

func plainScript() *Script {
	return &Script{Name: "ftrun-0123456789ab-0", Comment: "ftrun-0123456789ab-0", Chdir: "/home/ann/sweep", Output: "logs/0_%a.out",
		Tasks: 12, CPUs: 4, Command: []string{"/opt/ftrun", "worker", "0.plan.json"}}
}

func text(t *testing.T, s *Script) string {
	t.Helper()
	var b bytes.Buffer
	if err := s.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestScript(t *testing.T) {
	s := plainScript()
	s.MaxParallel, s.GPUs, s.Memory, s.Time, s.SignalBefore = 3, 2, 16<<30+1, 25*time.Hour+30*time.Second, time.Minute
	s.Partition, s.Account, s.QOS, s.Constraint = "gpu", "vision", "long", "a100|h100"
	s.After, s.AfterOK = []string{"7", "8;big"}, []string{"9"}
	s.Extra = []string{"--exclusive", "-w node[01-04]", "--mail-user=ann@example.org", `--wckey=ann's "own" #1`}
	s.Setup = "module load cuda\nexport A='b c'\n\n"
	s.Command = append(s.Command, "-store", "/home/ann/the store", "$HOME", "it's")
	const want = `#!/bin/bash
#SBATCH --job-name=ftrun-0123456789ab-0
#SBATCH --array=0-11%3
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=4
#SBATCH --gres=gpu:2
#SBATCH --mem=16385M
#SBATCH --time=1-01:01:00
#SBATCH --partition=gpu
#SBATCH --account=vision
#SBATCH --qos=long
#SBATCH --constraint=a100|h100
#SBATCH --comment=ftrun-0123456789ab-0
#SBATCH --chdir=/home/ann/sweep
#SBATCH --output=/home/ann/sweep/logs/0_%a.out
#SBATCH --open-mode=append
#SBATCH --export=ALL
#SBATCH --requeue
#SBATCH --dependency=afterok:9,afterany:7:8
#SBATCH --kill-on-invalid-dep=yes
#SBATCH --signal=B:USR1@60
#SBATCH --exclusive
#SBATCH -w node[01-04]
#SBATCH --mail-user=ann@example.org
#SBATCH --wckey="ann's \"own\" #1"

module load cuda
export A='b c'
exec /opt/ftrun worker 0.plan.json -store '/home/ann/the store' '$HOME' 'it'\''s'
`
	if got := text(t, s); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestScriptPaths(t *testing.T) {
	s := plainScript()
	s.Chdir = `/data/50% "real" #1`
	got := text(t, s)
	for _, line := range []string{`#SBATCH --chdir="/data/50% \"real\" #1"`, `#SBATCH --output="/data/50%% \"real\" #1/logs/0_%a.out"`} {
		if !strings.Contains(got, line+"\n") {
			t.Errorf("no line %s in\n%s", line, got)
		}
	}
	for output, want := range map[string]string{"/logs/%A_%a.out": "/logs/%A_%a.out", "/50%a/%a.out": "/50%%a/%a.out"} {
		s.Output = output
		if got := text(t, s); !strings.Contains(got, "--output="+want+"\n") {
			t.Errorf("%s: no %s in\n%s", output, want, got)
		}
	}
}

func TestScriptErrors(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*Script)
		want   string
	}{
		{"backslash in the path", func(s *Script) { s.Chdir = `/a\b` }, "backslash"},
		{"line end in the path", func(s *Script) { s.Chdir = "/a\nb" }, "control character"},
		{"line end in the partition", func(s *Script) { s.Partition = "gpu\n#SBATCH --wrap=x" }, "control character"},
		{"line end in extra", func(s *Script) { s.Extra = []string{"--a\nrm -r x"} }, "control character"},
		{"extra without a dash", func(s *Script) { s.Extra = []string{"exclusive"} }, "begin with -"},
		{"extra sets the array", func(s *Script) { s.Extra = []string{"--array=0-3"} }, "ftrun itself sets --array"},
		{"extra sets the name, in short", func(s *Script) { s.Extra = []string{"-J other"} }, "ftrun itself sets --job-name"},
		{"extra sets the output, in short without a space", func(s *Script) { s.Extra = []string{"-ox.out"} }, "ftrun itself sets --output"},
		{"option in setup", func(s *Script) { s.Setup = "true\n#SBATCH --gres=gpu:1" }, "line 2 of setup"},
		{"no processor", func(s *Script) { s.CPUs = 0 }, "0 processors"},
		{"negative memory", func(s *Script) { s.Memory = -1 }, "-1 bytes"},
		{"zero byte", func(s *Script) { s.Command = []string{"a\x00b"} }, "zero byte"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := plainScript()
			test.change(s)
			var b bytes.Buffer
			if err := s.Write(&b); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error with %q", err, test.want)
			}
			if b.Len() > 0 {
				t.Errorf("half a script was written:\n%s", b.String())
			}
		})
	}
}

func TestFormatLimit(t *testing.T) {
	for d, want := range map[time.Duration]string{
		time.Second: "00:01:00", time.Minute: "00:01:00", 61 * time.Second: "00:02:00", 2 * time.Hour: "02:00:00",
		24 * time.Hour: "1-00:00:00", 50*time.Hour + 59*time.Minute: "2-02:59:00",
	} {
		if got := formatLimit(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}

// A shell runs the script, as on a node, and gives back the words that the command gets.
func TestScriptInBash(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("there is no bash in PATH")
	}
	words := []string{"", " ", "a b", "it's", `"`, `\`, `\\n`, "$HOME", "`id`", "!!", "a\nb", "*", "~", "#x", "é", "-n", "a;b&c|d>e", "{1,2}", "\t", "=", "''"}
	s := plainScript()
	s.Setup = "x='set up'\nexport x"
	s.Command = append([]string{bash, "-c", `printf '%s\0' "$x" "$@"`, "zero"}, words...)
	cmd := exec.Command(bash)
	cmd.Stdin = strings.NewReader(text(t, s))
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00"); !slices.Equal(got, append([]string{"set up"}, words...)) {
		t.Errorf("got %q", got)
	}
}

// directive splits what follows #SBATCH into words as Slurm 22.05 was seen to.
func directive(line string) []string {
	var words []string
	var word strings.Builder
	var quote rune
	escaped, begun := false, false
	for _, r := range line {
		switch {
		case escaped:
			word.WriteRune(r)
			escaped = false
		case r == '\\' && quote != '\'':
			escaped, begun = true, true
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(r)
		case r == '"' || r == '\'':
			quote, begun = r, true
		case r == '#':
			return words
		case r == ' ':
			if begun {
				words = append(words, word.String())
			}
			word.Reset()
			begun = false
		default:
			word.WriteRune(r)
			begun = true
		}
	}
	if begun {
		words = append(words, word.String())
	}
	return words
}

func FuzzQuoteOption(f *testing.F) {
	for _, seed := range []string{"a", "a b", `it's "so" \ #1`, "é", "", " ", "$x", "a=b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f }) || !isASCIISpaceOnly(value) {
			return // refused before
		}
		got := directive(quoteOption("--x=" + value))
		if want := "--x=" + strings.TrimLeft(value, " "); len(got) != 1 || got[0] != want {
			t.Errorf("%q is read as %q", value, got)
		}
	})
}

// isASCIISpaceOnly tells whether no other space than ' ' is in s, and all is UTF-8.
func isASCIISpaceOnly(s string) bool {
	return strings.ToValidUTF8(s, "") == s && !strings.ContainsAny(s, "\u0085\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000")
}
