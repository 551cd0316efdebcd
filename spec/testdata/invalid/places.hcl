locals {
  a = matrix.arch # ERROR: Reference out of place: matrix is known in a sweep that has axes only
  b = run.seed    # ERROR: Reference out of place: run.seed is known in run and launcher blocks only.
}

dataset "d" { kind = "synthetic" }

epochs = 3 # ERROR: Unknown attribute: Attributes do not stand at the top of a file, only blocks

sweep "s" {
  dataset = dataset.d
  matrix = { arch = ["resnet18"] } # ERROR: Unknown attribute: "matrix" is a block, not an attribute: write matrix { … } without the equals sign.
  run {
    arch = "resnet18"
    mode = "finetune"
    epochs { # ERROR: Unknown block: "epochs" is an attribute, not a block: write epochs = ….
    }
    view = run.sed       # ERROR: Unknown attribute: There is no attribute "view" in a run block.
    batch_size = run.sed # ERROR: Unknown attribute: There is no attribute "sed" of run. Did you mean "seed"?
    weights = sweep.s.bets # ERROR: Unknown attribute: There is no attribute "bets" of a sweep. Did you mean "best"? # ERROR: Cycle
  }
}

sweep "bare" { # ERROR: Missing setting: A sweep needs a run block
  dataset = dataset.d
}

sweep "incomplete" { # ERROR: Missing setting: The sweep needs a data set: dataset = dataset.NAME.
  run { # ERROR: The run block needs the attribute "arch". # ERROR: The run block needs the attribute "mode".
  }
}
