# Networks from small to large on a cluster with Slurm, each with what it needs. The store, .ftrun, must lie on a file system that
# the nodes share.
#
#   ftrun plan slurm.hcl
#   ftrun apply
#
# plan shows the jobs and what they ask for, and apply submits and watches them. Without a cluster the same runs are trained here:
#
#   ftrun plan -launcher workstation slurm.hcl
#
# Nothing was measured on a cluster. plan expects the 18 runs to take three minutes in all on 2 cores, and 3.2 GiB of disk.

variable "partition" {
  type        = string
  default     = null
  description = "where jobs are queued; the cluster's default unless given"
}

launcher "slurm" "cluster" {
  partition    = var.partition
  cpus         = matrix.arch == "resnet50" ? 8 : 2
  time         = matrix.arch == "resnet50" ? "4h" : null # else by the estimate
  max_parallel = 6
  setup        = <<-EOT
    ulimit -c 0
    umask 027
  EOT
}

# The settings of one machine; flags of apply win.
launcher "local" "workstation" {
  parallelism = 2
}

dataset "textures" {
  kind     = "synthetic"
  task     = "textures"
  classes  = 4
  pictures = { train = 400, val = 200 }
}

sweep "sizes" {
  dataset  = dataset.textures
  launcher = launcher.slurm.cluster
  seeds    = range(3)

  matrix {
    arch = ["squeezenet1_1", "resnet18", "resnet50"]
    lr   = [0.001, 0.0003]
  }

  run {
    arch       = matrix.arch
    mode       = "scratch"
    epochs     = 4
    batch_size = 16

    image {
      resize = 64
      crop   = 64
    }
    optimizer {
      kind = "adam"
      lr   = matrix.lr
    }
  }
}
