# What shows for some combinations only, with the values that it came from.
dataset "d" { kind = "synthetic" }

launcher "slurm" "cluster" {
  gpus      = matrix.arch == "vgg16_bn" ? -1 : 1 # ERROR: Value out of range: gpus must be at least 0; this is -1.
  memory    = "${matrix.gib}GiB"                 # ERROR: Value out of range: memory must be at least 1MB and at most 1024TiB; this is "0GiB".
  partition = run.seed == 1 ? "" : "gpu"         # ERROR: Value out of range: partition is empty.
}

sweep "s" {
  dataset  = dataset.d
  launcher = launcher.slurm.cluster
  seeds    = [1, 2]
  matrix {
    arch = ["resnet18", "vgg16_bn"]
    gib  = [0, 8]
  }
  run {
    arch = matrix.arch
    mode = "finetune"
  }
}
