# Pretrain a network on generated pictures of one task, then compare three ways to learn another task that has few.
# Needs nothing but ftrun: no pictures, no weights, no network.
#
#   ftrun plan quickstart.hcl
#   ftrun apply

dataset "textures" {
  kind     = "synthetic"
  task     = "textures"
  classes  = 8
  pictures = { train = 800, val = 160 }
  size     = 64
}

dataset "shapes" {
  kind     = "synthetic"
  task     = "shapes"
  classes  = 4
  pictures = { train = 80, val = 200 }
  size     = 64
}

sweep "pretrain" {
  dataset = dataset.textures

  run {
    arch       = "resnet18"
    mode       = "scratch"
    epochs     = 4
    batch_size = 32

    image {
      resize = 64
      crop   = 64
    }
    optimizer {
      kind     = "sgd"
      lr       = 0.02
      momentum = 0.9
    }
  }
}

sweep "compare" {
  dataset = dataset.shapes
  seeds   = range(3)

  matrix {
    mode = ["finetune", "extract", "scratch"]
  }

  run {
    arch       = "resnet18"
    mode       = matrix.mode
    weights    = matrix.mode == "scratch" ? null : sweep.pretrain.best
    epochs     = 8
    batch_size = 16

    image {
      resize = 64
      crop   = 64
    }
    optimizer {
      kind     = "sgd"
      lr       = 0.01
      momentum = 0.9
    }
  }
}
