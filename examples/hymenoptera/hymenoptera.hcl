# PyTorch's tutorial on fine-tuning torchvision models as one sweep: ants against bees, 244 pictures to learn from and
# 153 to judge by, six architectures, each fine-tuned, used as a feature extractor and trained from scratch.
# README.md says how to get the pictures. Weights are fetched by apply.
#
#   ftrun plan hymenoptera.hcl
#   ftrun apply
#
# One architecture, or fewer epochs and seeds, to begin with:
#
#   ftrun apply -var epochs=5 -var seeds=1 -target 'sweep.tutorial[arch=resnet18]' hymenoptera.hcl

variable "data" {
  type        = string
  default     = "data/hymenoptera_data"
  description = "the folder that holds train and val; relative to this file"
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
    arch = ["resnet18", "alexnet", "vgg11_bn", "squeezenet1_0", "densenet121", "inception_v3"]
    mode = ["finetune", "extract", "scratch"]
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
