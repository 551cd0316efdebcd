# The sweep of PyTorch's tutorial on fine-tuning, with its settings, for one mode of each architecture: fine-tuned where
# there are weights, and else trained from scratch.

variable "data" { type = string }

variable "architectures" { type = list(string) }

variable "weights" { type = map(string) }

variable "epochs" { type = number }

variable "precision" { type = string }

dataset "hymenoptera" {
  kind   = "imagefolder"
  path   = var.data
  splits = { train = "train", val = "val" }
}

sweep "tutorial" {
  dataset = dataset.hymenoptera

  matrix {
    arch = var.architectures
  }

  run {
    arch       = matrix.arch
    mode       = can(var.weights[matrix.arch]) ? "finetune" : "scratch"
    weights    = try(var.weights[matrix.arch], null)
    epochs     = var.epochs
    batch_size = 8
    precision  = var.precision

    image {
      resize = matrix.arch == "inception_v3" ? 299 : 224
      crop   = matrix.arch == "inception_v3" ? 299 : 224
    }
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
