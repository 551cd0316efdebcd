# A run starts from another run's weights: pretrain under two settings, take the better network, and train it on another
# task from a given depth upwards, the old layers more gently than the new head. Needs nothing but ftrun.
#
#   ftrun plan from_another_run.hcl
#   ftrun apply
#
# On 2 cores of a Zen 5 server (AVX-512), val acc of the best epoch: pretraining 0.817 with one flip and 0.808 with both (6
# classes); layer4 upwards 0.525 ± 0.024, layer3 upwards 0.521 ± 0.018 (4 classes, mean ± standard deviation over 2 seeds,
# too near each other to tell apart). 69 s of CPU time.

locals {
  # Patterns of parameter names; "head" is the new last layer, whatever the architecture calls it.
  depths = {
    layer4   = ["layer4.**", "head"]
    layers34 = ["layer3.**", "layer4.**", "head"]
  }
}

dataset "textures" {
  kind     = "synthetic"
  task     = "textures"
  classes  = 6
  pictures = { train = 1200, val = 120 }
}

dataset "shapes" {
  kind     = "synthetic"
  task     = "shapes"
  classes  = 4
  pictures = { train = 120, val = 120 }
}

sweep "pretrain" {
  dataset = dataset.textures

  matrix {
    flips = [true, false]
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
    augment {
      ops = matrix.flips ? ["hflip", "vflip"] : ["hflip"]
    }
    optimizer {
      kind = "adam"
      lr   = 0.001
    }
    schedule {
      kind = "onecycle"
    }
  }
}

sweep "depth" {
  dataset = dataset.shapes
  seeds   = range(2)

  matrix {
    depth = keys(local.depths)
  }

  run {
    arch       = "resnet18"
    mode       = "finetune"
    weights    = sweep.pretrain.best # the run with the best val_acc
    trainable  = local.depths[matrix.depth]
    epochs     = 8
    batch_size = 16

    image {
      resize = 64
      crop   = 64
    }
    optimizer {
      kind = "adam"
      lr   = 0.003
    }
    schedule {
      kind = "onecycle"
    }
    param_group "layer*.**" {
      lr = 0.001
    }
  }
}
