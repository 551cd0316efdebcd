# Did this change make the models worse? A gate holds new results against those that were kept, seed by seed, and knows what
# chance does. Needs nothing but ftrun.
#
#   ftrun plan regression_gate.hcl
#   ftrun apply
#   ftrun baseline set                                        # keep these results
#   ftrun apply -var lr=0.1 -store trial regression_gate.hcl  # a change for the worse: FAIL, exit code 4
#
# On 2 cores of a Zen 5 server (AVX-512) each apply takes 1m25 of CPU time. Val acc of the best epoch, mean ± standard
# deviation over 6 seeds: none 0.553 ± 0.023, flips 0.565 ± 0.031; with the learning rate of 0.1, 0.270 ± 0.019 and
# 0.273 ± 0.030, which is worse with p = 0.031 each.

variable "lr" {
  type    = number
  default = 0.001
}

dataset "textures" {
  kind     = "synthetic"
  task     = "textures"
  classes  = 4
  pictures = { train = 400, val = 400 }
  size     = 32
}

sweep "recipes" {
  dataset = dataset.textures
  seeds   = range(6)

  matrix {
    augment = ["none", "flips"]
  }

  run {
    arch       = "resnet18"
    mode       = "scratch"
    epochs     = 4
    batch_size = 16

    image {
      resize = 32
      crop   = 32
    }
    augment {
      ops = matrix.augment == "flips" ? ["hflip", "vflip"] : []
    }
    optimizer {
      kind = "adam"
      lr   = var.lr
    }
    schedule {
      kind = "onecycle"
    }
  }
}

# Accuracies of two trainings with other seeds differ by about 0.04, so that six pairs show a drop of 0.2 nearly always.
gate "no_worse" {
  sweep    = sweep.recipes
  baseline = "baseline.json"
  max_drop = 0.1
}

gate "floor" {
  sweep = sweep.recipes
  min   = 0.5
}
