# A launcher is used by several sweeps, with axes of theirs; some are used by none.
variable "cluster" {
  type    = bool
  default = true
}

locals {
  chosen = var.cluster ? launcher.slurm.cluster : null
}

dataset "d" { kind = "synthetic" }

launcher "slurm" "cluster" {
  partition    = "gpu,long"
  gpus         = matrix.arch == "vgg16_bn" ? 2 : 1
  cpus         = 4 + run.seed
  memory       = matrix.arch == "vgg16_bn" ? "1.5 TiB" : "16G"
  time         = matrix.arch == "vgg16_bn" ? "1-12:30" : "2h30m"
  max_parallel = 20
  setup        = "module load cuda\nexport X=1"
  extra        = ["--exclusive", "--mail-type=END", "--gpu-bind=closest", null]
}

launcher "slurm" "empty" {}

launcher "slurm" "times" {
  account    = "a"
  qos        = "high"
  constraint = "a100&nvlink"
  time       = "12:00:00"
  extra      = []
}

launcher "local" "workstation" {
  parallelism = 2
  threads     = 8
  memory      = "64GB"
  cache       = "8GiB"
  device      = "cuda:0"
}

launcher "k8s" "cluster" {
  image        = "registry.example.org/ftrun:1.2"
  claim        = "runs"
  namespace    = "vision"
  mount        = "/mnt/lab/"
  volumes      = { datasets = "/data", weights = matrix.arch == "a" ? "/weights" : null }
  gpus         = 1
  cpus         = 4
  memory       = "16Gi"
  time         = "2h"
  max_parallel = 8
  setup        = "ulimit -n 4096"
}

sweep "a" {
  dataset  = dataset.d
  launcher = local.chosen
  seeds    = range(2)
  matrix { arch = ["resnet18", "vgg16_bn"] }
  run {
    arch = matrix.arch
    mode = "finetune"
  }
}

sweep "b" {
  dataset  = dataset.d
  launcher = launcher.slurm.cluster
  matrix {
    lr   = [0.1, 0.01]
    arch = matrix.lr > 0.05 ? ["resnet18"] : null
  }
  include {
    lr = 1
  }
  run {
    arch = coalesce(matrix.arch, "resnet34")
    mode = "finetune"
    optimizer {
      kind = "sgd"
      lr   = matrix.lr
    }
  }
}

sweep "here" {
  dataset  = dataset.d
  launcher = null
  run {
    arch = "resnet18"
    mode = "finetune"
  }
}
