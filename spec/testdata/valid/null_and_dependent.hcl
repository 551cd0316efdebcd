dataset "d" { kind = "synthetic" }

sweep "s" {
  dataset = dataset.d
  matrix {
    kind     = ["sgd", "adam", null]
    momentum = matrix.kind == "sgd" ? [0, 0.9] : null
    decay    = [null, 0.0001]
  }
  run {
    arch = "resnet18"
    mode = "finetune"
    optimizer {
      kind         = matrix.kind
      momentum     = matrix.momentum
      weight_decay = matrix.decay
    }
    schedule {
      kind      = matrix.kind == "adam" ? null : "step"
      step_size = 3
    }
  }
}
