variable "lr" {
  type    = number
  default = 0.001
}

dataset "textures" {
  kind     = "synthetic"
  task     = "textures"
  classes  = 4
  pictures = { train = 400, val = 400 }
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
      resize = 64
      crop   = 64
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

gate "no_worse" {
  sweep    = sweep.recipes
  baseline = "baseline.json"
  max_drop = 0.05
}

gate "floor" {
  sweep = sweep.recipes
  min   = 0.5
}
