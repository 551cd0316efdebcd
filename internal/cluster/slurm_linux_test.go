package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// slurm is a Slurm of this test alone: a controller, and nodes that are hosts of their own. All of it ends with the test.
type slurm struct {
	t          *testing.T // the scenario that uses it now
	dir        string     // short: sockets lie in it
	nodes      []*node
	controller *exec.Cmd
}

// node is a host with its slurmd. Whatever runs on it ends with its first process.
type node struct {
	name string
	of   *slurm
	host *exec.Cmd
	up   bool
}

// conf is slurm.conf but for the nodes. Slurm takes its time where it is left to itself: a test wants jobs scheduled at once,
// a node that is gone noticed soon, and a job that is queued again started soon (cred_expire). A task that takes more memory
// than it asked for is killed within seconds.
const conf = `ClusterName=trial
SlurmctldHost=localhost
SlurmctldPort=%[2]d
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=cred_expire=5
CryptoType=crypto/munge
StateSaveLocation=%[1]s/state
SlurmdSpoolDir=%[1]s/spool.%%n
SlurmctldPidFile=%[1]s/slurmctld.pid
SlurmdPidFile=%[1]s/slurmd.%%n.pid
SlurmctldLogFile=%[1]s/slurmctld.log
SlurmdLogFile=%[1]s/slurmd.%%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=0,bf_interval=1
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SlurmdParameters=config_overrides
ReturnToService=2
MinJobAge=3600
SlurmdTimeout=6
KillWait=10
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
`

// slurmAllowed skips the test where Slurm can't be started.
func slurmAllowed(t *testing.T) {
	t.Helper()
	for _, program := range []string{"sbatch", "squeue", "scontrol", "scancel", "sinfo", "slurmctld", "slurmd", "munged"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("Slurm is not installed here: %v", err)
		}
	}
	hostsAllowed(t)
	authenticate(t)
}

// startSlurm starts a Slurm of two nodes with two processors each. more are lines of slurm.conf beside conf.
func startSlurm(t *testing.T, more ...string) *slurm {
	t.Helper()
	dir, err := os.MkdirTemp("", "slurm-")
	if err != nil {
		t.Fatal(err)
	}
	s := &slurm{t: t, dir: dir}
	t.Cleanup(func() {
		s.t = t
		s.stop()
	})
	text := fmt.Sprintf(conf, dir, freePort(t)) + strings.Join(append(more, ""), "\n")
	for _, name := range []string{"n1", "n2"} {
		n := &node{name: name, of: s}
		s.nodes = append(s.nodes, n)
		text += fmt.Sprintf("NodeName=%s NodeAddr=127.0.0.1 Port=%d CPUs=2 RealMemory=4000 State=UNKNOWN\n", name, freePort(t))
		if err := os.MkdirAll(filepath.Join(dir, "spool."+name), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	text += "PartitionName=main Nodes=n1,n2 Default=YES MaxTime=60 State=UP\n"
	write(t, s.conf(), text)
	s.startController()
	t.Cleanup(s.killController)
	for _, n := range s.nodes {
		n.start()
	}
	s.ready()
	return s
}

func (s *slurm) conf() string { return filepath.Join(s.dir, "slurm.conf") }

// environ is the environment of what is to talk to this Slurm.
func (s *slurm) environ() []string { return append(os.Environ(), "SLURM_CONF="+s.conf()) }

func (s *slurm) startController() {
	s.t.Helper()
	if err := os.MkdirAll(s.state(), 0o777); err != nil {
		s.t.Fatal(err)
	}
	s.controller = exec.Command("slurmctld", "-D", "-f", s.conf())
	s.controller.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.controller.Start(); err != nil {
		s.t.Fatal(err)
	}
}

func (s *slurm) killController() {
	_ = s.controller.Process.Kill()
	_ = s.controller.Wait()
}

// state is where the controller keeps what it knows of jobs.
func (s *slurm) state() string { return filepath.Join(s.dir, "state") }

// ready waits until all nodes have nothing to do.
func (s *slurm) ready() {
	s.t.Helper()
	eventually(s.t, time.Minute, "Slurm is not ready", func() bool { return strings.Count(s.ask("sinfo", "-h", "-N", "-o", "%T"), "idle") == len(s.nodes) })
}

// authenticate sees that munged, which Slurm's parts trust each other by, is running. One that it starts is left to others.
func authenticate(t *testing.T) {
	t.Helper()
	const credential = "munge -n | unmunge"
	if exec.Command("sh", "-c", credential).Run() == nil {
		return
	}
	if _, err := user.Lookup("munge"); err != nil {
		t.Skipf("munged is not running, and there is no user to start it as: %v", err)
	}
	const start = "mkdir -p /run/munge && chown munge: /run/munge && runuser -u munge -- munged"
	if out, err := exec.Command("sh", "-c", start).CombinedOutput(); err != nil {
		t.Skipf("munged is not running, and can't be started: %v: %s", err, out)
	}
	eventually(t, 10*time.Second, "munged does not answer", func() bool { return exec.Command("sh", "-c", credential).Run() == nil })
}

// ports are those that were given away.
var ports sync.Map

// freePort is a port that nobody listens at, each time another one.
func freePort(t *testing.T) int {
	t.Helper()
	for {
		l, err := net.Listen("tcp", "localhost:0")
		if err != nil {
			t.Fatal(err)
		}
		port := l.Addr().(*net.TCPAddr).Port
		_ = l.Close()
		if _, given := ports.LoadOrStore(port, true); !given {
			return port
		}
	}
}

// start boots a node. Its slurmd is started again where it ended, but for the time that a file forbids it.
func (n *node) start() {
	n.of.t.Helper()
	const daemon = `while :; do while [ -e "$2" ]; do sleep 0.1; done; slurmd -D -N "$0" -f "$1" & echo $! >"$3"; wait $!; done`
	n.host = host(context.Background(), n.name, false, "bash", "-c", daemon, n.name, n.of.conf(), n.forbidden(), n.number())
	if err := n.host.Start(); err != nil {
		n.of.t.Fatal(err)
	}
	n.up = true
}

func (n *node) forbidden() string { return filepath.Join(n.of.dir, n.name+".forbidden") }
func (n *node) number() string    { return filepath.Join(n.of.dir, n.name+".pid") }

// die ends a node with all that runs on it, as a power cut does.
func (n *node) die() {
	if n.up {
		n.up = false
		_ = n.host.Process.Kill()
		_ = n.host.Wait()
	}
}

// killDaemon ends a node's slurmd alone and keeps it from coming back until what it returns is called.
func (n *node) killDaemon() (restart func()) {
	t := n.of.t
	t.Helper()
	write(t, n.forbidden(), "")
	pid, err := os.ReadFile(n.number())
	if err != nil {
		t.Fatal(err)
	}
	// The number is one of the node's own: its first process's /proc is that of its namespace.
	kill := exec.Command("nsenter", "-t", fmt.Sprint(n.host.Process.Pid), "-p", "-m", "kill", "-KILL", strings.TrimSpace(string(pid)))
	if out, err := kill.CombinedOutput(); err != nil {
		t.Fatalf("slurmd of %s: %v: %s", n.name, err, out)
	}
	return func() { _ = os.Remove(n.forbidden()) }
}

// stop ends Slurm, and all that it has started.
func (s *slurm) stop() {
	for _, n := range s.nodes {
		n.die()
	}
	if s.t.Failed() {
		for _, name := range []string{"slurmctld.log", "slurmd.n1.log", "slurmd.n2.log"} {
			if raw, err := os.ReadFile(filepath.Join(s.dir, name)); err == nil {
				s.t.Logf("%s:\n%s", name, raw[max(len(raw)-4000, 0):])
			}
		}
	}
	_ = os.RemoveAll(s.dir)
}

// ask runs a command of Slurm and gives what it prints; "" where it fails, as it may for a moment.
func (s *slurm) ask(command string, args ...string) string {
	out, err := s.command(command, args...).Output()
	if err != nil {
		return ""
	}
	return string(out)
}

func (s *slurm) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Env = s.environ()
	return cmd
}

// must runs a command of Slurm, which is to succeed.
func (s *slurm) must(command string, args ...string) string {
	s.t.Helper()
	out, err := s.command(command, args...).Output()
	if err != nil {
		var ended *exec.ExitError
		if errors.As(err, &ended) {
			out = ended.Stderr
		}
		s.t.Fatalf("%s %v: %v: %s", command, args, err, out)
	}
	return string(out)
}

// queue lists the tasks that wait or run: "12_3 RUNNING".
func (s *slurm) queue() []string {
	return strings.FieldsFunc(s.ask("squeue", "-h", "-r", "-o", "%i %T"), func(r rune) bool { return r == '\n' })
}
