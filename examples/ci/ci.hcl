# Train the same small sweep for every change, and let CI tell whether it got worse: github.yml and gitlab-ci.yml are
# workflows for it, README.md says how they are set up. Needs nothing but ftrun: no pictures, no weights, no network.
#
#   ftrun plan ci.hcl
#   ftrun apply
#   ftrun baseline set
#
# On 2 cores of a Zen 5 server (AVX-512) `ftrun apply` takes 77 s of CPU time. Val acc of the best epoch: 0.720 ± 0.043 with a
# learning rate of 0.001, 0.700 ± 0.033 with 0.002 (2 classes, mean ± standard deviation over 6 seeds). With rates 100 times as
# large the gate calls both worse: 0.530 and 0.507, p = 0.031.

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

# Until there is a baseline, it is skipped.
gate "no_worse" {
  sweep    = sweep.ci
  baseline = "baseline.json"
  metric   = "val_acc"
  max_drop = 0.01
}
