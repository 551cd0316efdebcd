variable "here" {
  type    = bool
  default = true
}

dataset "d" { kind = "synthetic" }

launcher { # ERROR: Missing label: A launcher block has two labels, its kind and its name
}

launcher "slurm" "a" "b" { # ERROR: Unexpected label: A launcher block has two labels.
}

launcher "slrum" "typo" { # ERROR: Unknown kind of launcher: There is no kind of launcher "slrum". Did you mean "slurm"?
}

launcher "slurm" "1st" { # ERROR: Invalid name: The name of a launcher starts with a letter
}

launcher "slurm" "cluster" {
  partiton     = "gpu" # ERROR: Unknown attribute: There is no attribute "partiton" in a launcher of kind "slurm". Did you mean "partition"?
  threads      = 4     # ERROR: Unknown attribute: There is no attribute "threads" in a launcher of kind "slurm"; it belongs in launcher "local" { }.
  claim        = "x"   # ERROR: Unknown attribute: There is no attribute "claim" in a launcher of kind "slurm"; it belongs in launcher "k8s" { }.
  gpus         = -1    # ERROR: Value out of range: gpus must be at least 0; this is -1.
  cpus         = 0     # ERROR: Value out of range: cpus must be at least 1; this is 0.
  max_parallel = 1.5   # ERROR: Wrong type: max_parallel must be a whole number; this is 1.5.
  memory       = 16    # ERROR: Wrong type: memory is text with a unit, such as "16GiB"; this is 16.
  time         = 90    # ERROR: Wrong type: time is text: a duration such as "90m"
}

launcher "slurm" "cluster" { # ERROR: Duplicate name: The name "cluster" is that of the slurm launcher at
}

launcher "k8s" "cluster" { # ERROR: Missing setting: The launcher block needs the attribute "image".
  claim = "Runs"           # ERROR: Value out of range: claim is a name of Kubernetes
}

launcher "k8s" "mounts" {
  image   = "i"
  claim   = "c"
  mount   = "data"             # ERROR: Value out of range: mount is an absolute path, the same here and in pods
  volumes = { Data = "/data" } # ERROR: Value out of range: volumes names claims
}
launcher "k8s" "colon" {
  image   = "i"
  claim   = "c"
  mount   = "/"                # ERROR: Value out of range: mount is an absolute path
  volumes = { data = "/a:b" }  # ERROR: Value out of range: each of volumes is an absolute path
}
launcher "k8s" "claim_twice" {
  image   = "i"
  claim   = "c"
  volumes = { c = "/data" } # ERROR: Conflicting settings: The claim "c" is the one that claim names
}
launcher "k8s" "place_twice" {
  image   = "i"
  claim   = "c"
  mount   = "/data"
  volumes = { d = "/data/" } # ERROR: Conflicting settings: The claims "c" and "d" can't both be mounted at /data.
}

launcher "slurm" "texts" {
  partition  = ""         # ERROR: Value out of range: partition is empty.
  account    = "a b"      # ERROR: Value out of range: account is a single word
  qos        = "--time=1" # ERROR: Value out of range: qos is a single word
  constraint = "a\nb"     # ERROR: Value out of range: constraint is a single word
  memory     = "16 gigs"  # ERROR: Value out of range: memory has the unit "gigs". Known: MiB
  time       = "90"       # ERROR: Value out of range: time is a duration such as "90m" or "2h30m", or Slurm's
  setup      = "  "       # ERROR: Value out of range: setup is empty.
}

launcher "slurm" "much" {
  gpus = 1e6 # ERROR: Value out of range: gpus must be at most 65533 GPUs; this is 1000000.
  cpus = 1e9 # ERROR: Value out of range: cpus must be at most 65533 cores; this is 1000000000.
}

launcher "slurm" "more" {
  memory = "1MiBi"            # ERROR: Value out of range: memory has the unit "MiBi".
  time   = "30s"              # ERROR: Value out of range: time must be at least a minute and at most 366 days; this is "30s".
  setup  = "#SBATCH --time=1" # ERROR: Value out of range: setup holds shell lines, and this is an option of sbatch
  extra = [
    "exclusive",        # ERROR: Value out of range: Each of extra is an option of sbatch with its value
  ]
}

launcher "slurm" "control" { setup = "export A=é\u0085" } # ERROR: Value out of range: setup holds the control character '\u0085', which no shell takes.

launcher "slurm" "array" { extra = ["--exclusive", "--array=1-3"] }     # ERROR: Conflicting settings: "--array=1-3" is given by ftrun itself
launcher "slurm" "short" { extra = ["-d afterok:1"] }                   # ERROR: Conflicting settings: "-d" is given by ftrun itself
launcher "slurm" "begun" { extra = ["--dep=afterok:1"] }                # ERROR: Conflicting settings: "--dep=afterok:1" is given by ftrun itself
launcher "slurm" "second" { extra = ["--exclusive --wrap=true"] }       # ERROR: Conflicting settings: "--wrap=true" is given by ftrun itself
launcher "slurm" "attribute" { extra = ["--time=1:00:00"] }             # ERROR: Conflicting settings: "--time=1:00:00" is what the attribute time says: give that.
launcher "slurm" "mem" { extra = ["--mem-per-cpu=4G"] }                 # ERROR: Conflicting settings: "--mem-per-cpu=4G" is what the attribute memory says
launcher "slurm" "lines" { extra = ["--comment=a\n#SBATCH --array=1"] } # ERROR: Value out of range: An option of sbatch stands on one line
launcher "slurm" "list" { extra = "--exclusive" }                       # ERROR: Wrong type: extra must be a list of options of sbatch
launcher "slurm" "twice" {
  gpus  = 1
  extra = ["--gres=gpu:a100:1"] # ERROR: Conflicting settings: gpus asks for GPUs, and an option of extra does, too.
}
launcher "slurm" "unused" {
  cpus      = matrix.unknown_here
  partition = var.her                       # ERROR: Unknown variable: There is no variable "her". Did you mean "here"?
  qos       = run.sed                       # ERROR: Unknown attribute: There is no attribute "sed" of run. Did you mean "seed"?
  memory    = "${matrix.size}GiB${max2(1)}" # ERROR: Unknown function
}
launcher "slurm" "axes" {
  cpus      = matrix.arc == "a" ? 1 : 2 # ERROR: Unknown axis: There is no axis "arc" in sweep "by_axis", which uses this launcher. Did you mean "arch"?
}

launcher "local" "workstation" {
  device      = "gpu"  # ERROR: Value out of range: device is "auto", "cpu" or "cuda:0"
  parallelism = 0      # ERROR: Value out of range: parallelism must be at least 1; this is 0.
  threads     = matrix.arch == "a" ? 1 : 2 # ERROR: Reference out of place: A launcher of kind local holds the settings of a machine
  memory      = "${run.seed}GiB" # ERROR: Reference out of place: A launcher of kind local holds the settings of a machine
  cache       = "-1GB" # ERROR: Value out of range: cache is a number and a unit, such as "16GiB"; this is "-1GB".
  partition   = "gpu"  # ERROR: Unknown attribute: There is no attribute "partition" in a launcher of kind "local"; it belongs in launcher "slurm" { }.
}

sweep "kind" {
  dataset  = dataset.d
  launcher = launcher.slrm.cluster # ERROR: Unknown kind of launcher: There is no kind of launcher "slrm". Did you mean "slurm"?
  run {
    arch = "a"
    mode = "finetune"
  }
}

sweep "name" {
  dataset  = dataset.d
  launcher = launcher.slurm.clutser # ERROR: Unknown launcher: There is no launcher "clutser" of kind slurm. Did you mean "cluster"?
  run {
    arch = launcher.slurm.cluster # ERROR: Wrong type: arch must be a string; this is launcher.slurm.cluster.
    mode = "finetune"
  }
}

sweep "other_kind" {
  dataset  = dataset.d
  launcher = launcher.slurm.workstation # ERROR: Unknown launcher: There is no launcher "workstation" of kind slurm. There is launcher.local.workstation.
  run {
    arch = "a"
    mode = "finetune"
  }
}

sweep "no_kind" {
  dataset  = dataset.d
  launcher = launcher.workstation # ERROR: Unknown kind of launcher: There is no kind of launcher "workstation". A reference names the kind first: launcher.local.workstation.
  run {
    arch = "a"
    mode = "finetune"
  }
}

sweep "quoted" {
  dataset  = dataset.d
  launcher = "workstation" # ERROR: Wrong type: launcher must be a reference such as launcher.slurm.NAME; this is "workstation". Write launcher.local.workstation, without quotes.
  run {
    arch = "a"
    mode = "finetune"
  }
}

sweep "attribute" {
  dataset  = dataset.d
  launcher = launcher.slurm.cluster.cpus # ERROR: Reference out of place: A launcher has no attributes that can be referred to
  run {
    arch = "a"
    mode = "finetune"
  }
}

sweep "dependent" {
  dataset  = dataset.d
  launcher = matrix.x # ERROR: Reference out of place: matrix is known in a sweep that has axes only
  matrix { x = [1] }
  run {
    arch = "a"
    mode = "finetune"
  }
}

sweep "by_axis" {
  dataset  = dataset.d
  launcher = launcher.slurm.axes
  matrix { arch = ["a", "b"] }
  run {
    arch = matrix.arch
    mode = "finetune"
  }
}
