// Package cluster holds tests of ftrun on several hosts over one file system: hosts whose clocks differ, and a Slurm of its
// own that the tests start and end. They run where FTRUN_CLUSTER is set (make test-slurm), and say what they lack where they
// can't: hosts are namespaces, which root may make, and Slurm is installed or not.
package cluster
