# PyTorch's tutorial on fine-tuning torchvision models as one sweep: ants against bees, 244 pictures to learn from and
# 153 to judge by, six architectures, each fine-tuned, used as a feature extractor and trained from scratch, with the
# tutorial's settings. README.md says how to get the pictures, and what was measured. Weights are fetched by apply.
#
#   ftrun plan hymenoptera.hcl
#   ftrun apply
#
# Less to begin with:
#
#   ftrun apply -var epochs=5 -var seeds=1 -var 'architectures=["resnet18"]' hymenoptera.hcl

variable "data" {
  type        = string
  default     = "data/hymenoptera_data"
  description = "the folder that holds train and val; relative to this file"
}

variable "architectures" {
  type    = list(string)
  default = ["resnet18", "alexnet", "vgg11_bn", "squeezenet1_0", "densenet121", "inception_v3"]
}

variable "modes" {
  type    = list(string)
  default = ["finetune", "extract", "scratch"]
}

variable "weights" {
  type        = map(string)
  default     = {}
  description = "files of weights by architecture, where torchvision's own are not to be used"
}

variable "epochs" {
  type    = number
  default = 15
}

variable "seeds" {
  type    = number
  default = 3
}

dataset "hymenoptera" {
  kind   = "imagefolder"
  path   = var.data
  splits = { train = "train", val = "val" }
}

sweep "tutorial" {
  dataset = dataset.hymenoptera
  seeds   = range(var.seeds)

  matrix {
    arch = var.architectures
    mode = var.modes
  }

  run {
    arch       = matrix.arch
    mode       = matrix.mode
    weights    = matrix.mode == "scratch" ? null : try(var.weights[matrix.arch], null)
    epochs     = var.epochs
    batch_size = 8

    # The tutorial trains its extractors in training mode, which lets the statistics of frozen layers drift.
    batch_norm = "train"

    # It resizes validation pictures to the network's own size, not to 256 and then crops.
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
