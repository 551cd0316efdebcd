dataset "d" { kind = "synthetic" }

sweep "s" {
  dataset = dataset.d
  seeds   = [] # ERROR: Value out of range: seeds must have at least one number
  matrix {
    arch = [] # ERROR: Empty matrix: Axis "arch" has no value, so the sweep would have no run.
  }
  run {
    arch = matrix.arch
    mode = "finetune"
  }
}

sweep "no_axes" {
  dataset = dataset.d
  seeds   = [1, 2, 1] # ERROR: Duplicate value: The seed 1 stands in seeds twice
  matrix {} # ERROR: Empty matrix: This block has no axis.
  run {
    arch = "resnet18"
    mode = "finetune"
  }
}
