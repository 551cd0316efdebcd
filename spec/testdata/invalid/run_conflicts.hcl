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
    schedule {
      kind   = "constant"
      warmup = 5 # ERROR: Value out of range: warmup takes 5 epochs, and the run has only 5.
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

sweep "milestones" {
  dataset = dataset.d
  run {
    arch   = "resnet18"
    mode   = "finetune"
    epochs = 30
    schedule {
      kind       = "multistep"
      milestones = [10, 30] # ERROR: Setting without effect: The milestone 30 comes when the run, of 30 epochs, is over
    }
  }
}
