dataset "d" { kind = "synthetic" }

sweep "scratch" {
  dataset = dataset.d
  matrix {
    mode = ["finetune", "scratch"]
    kind = ["sgd", "adam"]
  }
  run {
    arch    = "resnet18"
    mode    = matrix.mode
    weights = "IMAGENET1K_V1" # ERROR: Setting without effect: The mode scratch starts from random parameters
    epochs  = 5
    optimizer {
      kind     = matrix.kind
      momentum = 0.9 # ERROR: Setting without effect: The optimizer adam has no momentum
    }
  }
}

sweep "onecycle" {
  dataset = dataset.d
  run {
    arch = "resnet18"
    mode = "finetune"
    optimizer {
      kind = "sgd"
      lr   = 0.1 # ERROR: Setting without effect: A one-cycle schedule that is given max_lr
    }
    schedule {
      kind   = "onecycle"
      max_lr = 0.1
    }
  }
}
