package spec

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestTimeOfALauncher(t *testing.T) {
	for _, test := range []struct {
		text string
		want time.Duration // 0: an error
	}{
		{"2h", 2 * time.Hour},
		{"1h30m", 90 * time.Minute},
		{"90.5s", 91 * time.Second},
		{"2:30:00", 150 * time.Minute},
		{"0:90:30", 90*time.Minute + 30*time.Second},
		{"100:00:00", 100 * time.Hour},
		{"1-12", 36 * time.Hour},
		{"1-12:30", 36*time.Hour + 30*time.Minute},
		{"7-00:00:01", 7*24*time.Hour + time.Second},
		{"0-2", 2 * time.Hour},
		{"", 0},
		{"90", 0},    // Slurm's minutes
		{"30:00", 0}, // Slurm's minutes:seconds
		{"2d", 0},
		{"1-", 0},
		{"-1h", 0},
		{"0s", 0},
		{"59s", 0},
		{"367-0", 0},
		{"9999-9999:9999:9999", 0},
		{"99999999h", 0},
		{"2h ", 0},
	} {
		l, diags := launcherOf(t, fmt.Sprintf("time = %q", test.text))
		switch {
		case test.want == 0 && !diags.HasErrors():
			t.Errorf("%q is taken for %v", test.text, *l.Time)
		case test.want != 0 && diags.HasErrors():
			t.Errorf("%q: %v", test.text, diags)
		case test.want != 0 && *l.Time != test.want:
			t.Errorf("%q is %v; want %v", test.text, *l.Time, test.want)
		}
	}
}

func TestMemoryOfALauncher(t *testing.T) {
	for _, test := range []struct {
		text string
		want int64 // 0: an error
	}{
		{"16GiB", 16 << 30}, {"16 GiB", 16 << 30}, {"16G", 16 << 30}, {"16Gi", 16 << 30}, {"16GB", 16e9},
		{"512M", 512 << 20}, {"512MiB", 512 << 20}, {"1.5TiB", 3 << 39}, {"0.1GB", 1e8}, {"1024TiB", 1 << 50},
		{"", 0}, {"16", 0}, {"0GiB", 0}, {"-1GiB", 0}, {"1KiB", 0}, {"16gb", 0}, {"1e3M", 0}, {"1025TiB", 0}, {"GiB", 0}, {"1..5GiB", 0},
	} {
		l, diags := launcherOf(t, fmt.Sprintf("memory = %q", test.text))
		switch {
		case test.want == 0 && !diags.HasErrors():
			t.Errorf("%q is taken for %d", test.text, *l.Memory)
		case test.want != 0 && diags.HasErrors():
			t.Errorf("%q: %v", test.text, diags)
		case test.want != 0 && *l.Memory != test.want:
			t.Errorf("%q is %d; want %d", test.text, *l.Memory, test.want)
		}
	}
}

// launcherOf evaluates a slurm launcher with these attributes.
func launcherOf(t *testing.T, attributes string) (*Launcher, Diagnostics) {
	t.Helper()
	s, diags := LoadSources(map[string][]byte{"main.hcl": []byte("launcher \"slurm\" \"l\" {\n" + attributes + "\n}\n" + launched("launcher = launcher.slurm.l"))}, Options{})
	if diags.HasErrors() {
		return nil, diags
	}
	for c := range s.Sweeps[0].Combinations() {
		return s.Sweeps[0].Launcher(c, 0)
	}
	t.Fatal("the sweep has no combination")
	return nil, nil
}

func launched(attribute string) string {
	return `
dataset "d" { kind = "synthetic" }
sweep "s" {
  dataset = dataset.d
  seeds   = range(2)
  ` + attribute + `
  matrix {
    arch = ["a", "b"]
    lr   = [1, 2, 3]
  }
  run {
    arch = matrix.arch
    mode = "scratch"
  }
}
`
}

// What is no option of ours may be given, whatever it looks like; what is one may not, however it is written.
func TestOptionsOfSbatch(t *testing.T) {
	for _, free := range []string{"--exclusive", "--gres=gpu:a100:1", "--mail-type=END", "--nodelist=n1", "-x n2", "-H", "-s", "--gpu-bind=closest",
		"--wait-all-nodes=1", "--time-min=10", "--export-x", "--reservation=a b", "-L matlab:1", "--exclude=n-a", "--tmp=10G", "--nice", "--hint=nomultithread"} {
		if p := checkOption(free); p != nil {
			t.Errorf("%q is refused: %s", free, p.detail)
		}
	}
	for _, taken := range []string{"--array=1", "--arr=1", "-a1-3", "-a", "--dependency=afterok:1", "-d", "--output=x", "-o x", "--signal=USR1", "--parsable",
		"--wrap=x", "--requeue", "--no-requeue", "--nice --array=1", "--mem=1G", "--mem", "--gpus=1", "-G1", "-c4", "--cpus-per-task=4", "-p", "-t1", "-W",
		"--kill-on-invalid-dep=no", "", "-", "--", "x", " --exclusive", "--a\nb", "-sHa1-3", "-N2", "--nodes=2"} {
		if checkOption(taken) == nil {
			t.Errorf("%q is let through", taken)
		}
	}
}

func TestChosenLauncher(t *testing.T) {
	const blocks = `
launcher "slurm" "cluster" { cpus = matrix.arch == "a" ? 1 : 2 }
launcher "slurm" "both" {}
launcher "k8s" "both" {
  image = "i"
  claim = "c"
}
launcher "slurm" "broken" { cpus = matrix.missing }
`
	for _, test := range []struct{ name, src, flag, want string }{
		{"none", blocks + launched(""), "", "here"},
		{"the sweep's", blocks + launched("launcher = launcher.k8s.both"), "", "k8s.both"},
		{"by its name", blocks + launched(""), "cluster", "slurm.cluster"},
		{"by kind and name", blocks + launched(""), "slurm.both", "slurm.both"},
		{"instead of the sweep's", blocks + launched("launcher = launcher.k8s.both"), "cluster", "slurm.cluster"},
		{"this machine instead of the sweep's", blocks + launched("launcher = launcher.k8s.both"), "local", "here"},
		{"one named local", blocks + "launcher \"local\" \"local\" { threads = 2 }\n" + launched(""), "local", "local.local"},
		{"this machine where there is no launcher", launched(""), "local", "here"},
		{"an ambiguous name", blocks + launched(""), "both", `There are launchers "both" of several kinds: give -launcher k8s.both or slurm.both.`},
		{"a typo", blocks + launched(""), "clutser", `There is no launcher "clutser" for -launcher. Did you mean "cluster"?`},
		{"a typo in the kind", blocks + launched(""), "slrum.cluster", `Did you mean "slurm.cluster"?`},
		{"none at all", launched(""), "cluster", "the configuration has none at all"},
		{"an axis that the sweep lacks", blocks + launched(""), "broken", `There is no axis "missing" in sweep "s", which uses this launcher.`},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, diags := LoadSources(map[string][]byte{"main.hcl": []byte(test.src)}, Options{Launcher: test.flag})
			if diags.HasErrors() {
				if !strings.Contains(diags.Error(), test.want) {
					t.Errorf("got %v; want %q", diags, test.want)
				}
				return
			}
			for c := range s.Sweeps[0].Combinations() {
				l, diags := s.Sweeps[0].Launcher(c, 1)
				got := "here"
				if l != nil {
					got = l.Kind + "." + l.Name
				}
				if got != test.want || diags.HasErrors() {
					t.Errorf("got %s, %v; want %s", got, diags, test.want)
				}
			}
		})
	}
}

// Runs that are started alike share a launcher: a hundred thousand have a few.
func TestLaunchersAreShared(t *testing.T) {
	for _, test := range []struct {
		cpus string
		want int
	}{{"4", 1}, {`matrix.arch == "a" ? 1 : 2`, 2}, {"1 + run.seed", 12}} {
		s, diags := LoadSources(map[string][]byte{"main.hcl": []byte("launcher \"slurm\" \"l\" {\n cpus = " + test.cpus + "\n}\n" +
			launched("launcher = launcher.slurm.l"))}, Options{})
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		distinct := map[*Launcher]bool{}
		for c := range s.Sweeps[0].Combinations() {
			for _, seed := range s.Sweeps[0].Seeds {
				l, diags := s.Sweeps[0].Launcher(c, seed)
				if diags.HasErrors() || *l.CPUs < 1 {
					t.Fatal(l, diags)
				}
				distinct[l] = true
			}
		}
		if len(distinct) != test.want {
			t.Errorf("cpus = %s: %d launchers; want %d", test.cpus, len(distinct), test.want)
		}
	}
}
