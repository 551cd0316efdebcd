dataset "d" { kind = "synthetic" }

sweep "s" {
  dataset = "d"          # ERROR: Wrong type: dataset must be a reference such as dataset.NAME; this is "d". Write dataset.d, without quotes.
  seeds   = [0, 1.5]     # ERROR: Wrong type: each of seeds must be a whole number; this is 1.5.

  matrix {
    arch = "resnet18" # ERROR: Wrong type: axis arch must be a list of values; this is "resnet18".
  }
  exclude {
    when = "no" # ERROR: Wrong type: when must be true or false; this is "no".
  }
  run {
    arch            = 18    # ERROR: Wrong type: arch must be a string; this is 18.
    mode            = finetune # ERROR: Unknown reference: There is no "finetune" to refer to. If you mean the text, put it between quotes: "finetune".
    epochs          = "ten" # ERROR: Wrong type: epochs must be a whole number; this is "ten".
    batch_size      = "8"   # ERROR: Wrong type: batch_size must be a whole number; this is "8". Write 8 without the quotes.
    deterministic   = "true" # ERROR: deterministic must be true or false; this is "true". Write true without the quotes.
    label_smoothing = 1     # ERROR: Value out of range: label_smoothing must be at least 0 and less than 1; this is 1.
    trainable       = "head" # ERROR: Wrong type: trainable must be a list of patterns
    weights         = 3     # ERROR: Wrong type: weights must be a string or the best run of a sweep

    optimizer {
      kind         = "sgd"
      lr           = 0   # ERROR: Value out of range: lr must be greater than 0; this is 0.
      momentum     = 1   # ERROR: Value out of range: momentum must be at least 0 and less than 1; this is 1.
      weight_decay = -1  # ERROR: Value out of range: weight_decay must be 0 or more; this is -1.
    }
    image {
      resize = 0 # ERROR: Value out of range: resize must be at least 1; this is 0.
    }
    early_stop {
      patience = 2
      monitor  = "acc" # ERROR: Unknown metric: There is no metric "acc". Known: val_acc, val_loss.
    }
  }
}
