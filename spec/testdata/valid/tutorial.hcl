ftrun {
  required_version = "~> 0.1"
}

variable "epochs" {
  type    = number
  default = 15
}

# class folders, as torchvision's ImageFolder
dataset "hymenoptera" {
  kind   = "imagefolder"
  path   = "data/hymenoptera_data"
  splits = { train = "train", val = "val" }
}

# run { } is evaluated once for each combination and seed
sweep "tutorial" {
  dataset = dataset.hymenoptera
  seeds   = range(6)

  matrix {
    arch = ["resnet18", "alexnet", "vgg11_bn", "squeezenet1_0", "densenet121", "inception_v3"]
    mode = ["finetune", "extract", "scratch"]
  }
  exclude {
    when = matrix.mode == "scratch" && matrix.arch == "inception_v3"
  }
  include {
    arch = "mobilenet_v2"
    mode = "extract"
  }

  run {
    arch       = matrix.arch
    mode       = matrix.mode
    epochs     = var.epochs
    batch_size = 8

    augment {
      ops = ["random_resized_crop", "hflip"]
    }
    optimizer {
      kind     = "sgd"
      lr       = 0.001
      momentum = 0.9
    }
  }
}

gate "regression" {
  sweep    = sweep.tutorial
  baseline = "baseline.json"
  metric   = "val_acc"
  max_drop = 0.01
  test     = "paired_permutation"
  alpha    = 0.05
}
