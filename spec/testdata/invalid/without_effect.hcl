dataset "d" {
  kind = "synthetic"
  path = "data" # ERROR: Setting without effect: A data set of kind "synthetic" has no path
}

sweep "adam" {
  dataset = dataset.d
  run {
    arch = "resnet18"
    mode = "finetune"
    optimizer {
      kind     = "adam"
      momentum = 0.9 # ERROR: Setting without effect: The optimizer adam has no momentum
    }
    schedule {
      kind      = "cosine"
      step_size = 3 # ERROR: Setting without effect: A schedule of kind "cosine" has no step_size, so it would have no effect. It has: min_lr and warmup.
    }
    augment {
      ops       = ["hflip"]
      view_seed = 1 # ERROR: Setting without effect: view_seed is what fixed views are drawn from
    }
  }
}

sweep "sgd" {
  dataset = dataset.d
  run {
    arch = "resnet18"
    mode = "finetune"
    optimizer {
      kind     = "sgd"
      momentum = 0
      nesterov = true         # ERROR: Setting without effect: Nesterov's rule
      betas    = [0.9, 0.999] # ERROR: Setting without effect: The optimizer sgd has no betas
    }
  }
}
