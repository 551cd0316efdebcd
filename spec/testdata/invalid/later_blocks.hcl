launcher "slurm" { # ERROR: Unsupported block: launcher blocks are not supported by this version of ftrun.
  partition = "gpu"
}
