variable "cautious" {
  type    = bool
  default = true
}

variable "only" {
  type    = bool
  default = null
}

locals {
  drops = { val_acc = 0.02, test_acc = 0.03 }
}

dataset "d" {
  kind     = "synthetic"
  pictures = { train = 96, val = 48, test = 48 }
}

sweep "s" {
  dataset = dataset.d
  seeds   = range(5)
  matrix {
    mode = ["finetune", "extract"]
    size = [{ name = "small", crop = 32 }, { name = "large", crop = 64 }]
  }
  run {
    arch = "resnet18"
    mode = matrix.mode
  }
}

sweep "t" {
  dataset = dataset.d
  run {
    arch = "alexnet"
    mode = "scratch"
  }
}

gate "every" {
  sweep        = sweep.s
  baseline     = "../baseline.json"
  max_drop     = local.drops.test_acc
  metric       = "test_acc"
  test         = "bootstrap"
  alpha        = 0.1
  correction   = "none"
  min_seeds    = 5
  relative     = true
  inconclusive = var.cautious ? "fail" : null
  missing      = "fail"
  when         = matrix.mode == "extract" && matrix.size.crop < 64
}

gate "pictures" {
  sweep    = sweep["s"]
  baseline = "baseline.json"
  max_drop = local.drops["val_acc"]
  test     = "mcnemar"
  relative = false
  when     = var.only
}

gate "loss" {
  sweep    = sweep.s
  baseline = "baseline.json"
  metric   = "val_loss"
  max_rise = 0.1
  when     = var.cautious
}

gate "floor" {
  sweep = sweep.t
  min   = 0.5
  max   = null
}

gate "speed" {
  sweep    = sweep.s
  baseline = "baseline.json"
  metric   = "images_per_second"
  max_drop = 5
  test     = "none"
}

gate "size" {
  sweep  = sweep.t
  metric = "params_trainable"
  max    = 100000000
}

gate "ceiling" {
  sweep  = var.cautious ? sweep.t : null
  metric = "last_val_loss"
  max    = 1.5
  test   = "none"
}
