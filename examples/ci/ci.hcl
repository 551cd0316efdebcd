# Train the same small sweep for every change, and let CI tell whether it got worse: github.yml and gitlab-ci.yml are
# workflows for it, README.md says how they are set up. Needs nothing but ftrun: no pictures, no weights, no network.
#
#   ftrun plan ci.hcl
#   ftrun apply
#   ftrun baseline set
#
# TIME

variable "epochs" {
  type    = number
  default = 4
}

dataset "textures" {
  kind     = "synthetic"
  task     = "textures"
  classes  = 2
  pictures = { train = 240, val = 100 }
  size     = 40
}

sweep "ci" {
  dataset = dataset.textures
  # Sign flips need five seeds to show anything at alpha 0.05; with two configurations, and Holm's correction, six.
  seeds = range(6)

  matrix {
    lr = [0.001, 0.002]
  }

  run {
    arch       = "resnet18"
    mode       = "scratch"
    epochs     = var.epochs
    batch_size = 16

    image {
      crop = 40
    }
    optimizer {
      kind = "adam"
      lr   = matrix.lr
    }
    schedule {
      kind = "onecycle"
    }
  }
}
