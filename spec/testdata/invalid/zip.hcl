dataset "d" { kind = "synthetic" }

sweep "s" {
  dataset = dataset.d
  matrix {
    arch = ["resnet18"]
    late = matrix.lr # ERROR: Reference out of place: Axis "lr" comes later.
    zip {            # ERROR: Unknown block: A matrix block holds axes only: lines of the form name = [values]. A zip block stands beside it, in the sweep.
    }
  }
  zip {
    lr    = [0.1, 0.01]
    batch = [8, 16, 32] # ERROR: Unequal lengths: The axes of a zip block are walked side by side, so they have the same number of values; "lr" has 2 and "batch" has 3.
  }
  run {
    arch = matrix.arch
    mode = "finetune"
  }
}
