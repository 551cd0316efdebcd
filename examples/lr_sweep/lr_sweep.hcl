# Which optimizer, learning rate, momentum and schedule? A search over axes that depend on each other, on drawn pictures.
# Needs nothing but ftrun.
#
#   ftrun plan lr_sweep.hcl
#   ftrun apply
#
# On 2 cores of a Zen 5 server (AVX-512), val acc of the best epoch (4 classes, one seed): adam 0.650 at a one-cycle of up
# to 0.002, adamw 0.583, sgd 0.550 without momentum. 105 s of CPU time.

dataset "textures" {
  kind     = "synthetic"
  task     = "textures"
  classes  = 4
  pictures = { train = 400, val = 120 }
}

sweep "lr" {
  dataset = dataset.textures

  matrix {
    optimizer = ["sgd", "adam"]

    # An axis may look at those before it, and is null where it means nothing.
    lr       = matrix.optimizer == "sgd" ? [0.01, 0.03] : [0.0003, 0.001]
    momentum = matrix.optimizer == "sgd" ? [0, 0.9] : null
  }

  # Side by side, not crossed: a one-cycle schedule bears a higher peak than a constant rate.
  zip {
    schedule = ["constant", "onecycle"]
    peak     = [1, 2]
  }

  exclude {
    when = matrix.momentum == 0 && matrix.schedule == "onecycle"
  }

  # One more, beside the product.
  include {
    optimizer = "adamw"
    lr        = 0.001
    schedule  = "cosine"
    peak      = 1
  }

  run {
    arch       = "resnet18"
    mode       = "scratch"
    epochs     = 4
    batch_size = 16

    image {
      resize = 64
      crop   = 64
    }
    optimizer {
      kind     = matrix.optimizer
      lr       = matrix.lr * matrix.peak
      momentum = matrix.momentum
    }
    schedule {
      kind = matrix.schedule
    }
  }
}
