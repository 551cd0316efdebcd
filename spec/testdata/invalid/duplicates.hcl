variable "x" { default = 1 }
variable "x" { default = 2 } # ERROR: Duplicate name: The name "x" is that of the variable at testdata/invalid/duplicates.hcl line 1 already.
dataset "d" { kind = "synthetic" }
dataset "d" { kind = "synthetic" } # ERROR: Duplicate name: The name "d" is that of the data set at
locals { a = 1 }
locals { a = 2 } # ERROR: Duplicate name: The name "a" is that of the local at

sweep "s" {
  dataset = dataset.d
  matrix { arch = ["resnet18"] }
  zip { arch = ["alexnet"] } # ERROR: Duplicate name: The name "arch" is that of the axis at
  run {
    arch = "resnet18"
    mode = "finetune"
    image { crop = 64 }
    image { crop = 32 }          # ERROR: Duplicate block: This run has had such a block at line 15.
    param_group "a" { lr = 0.1 }
    param_group "a" { lr = 0.2 } # ERROR: Duplicate block
    param_group { lr = 0.2 }     # ERROR: Missing label: A param_group block has a label
  }
  run {} # ERROR: Duplicate block: This sweep has had a run block at line 12.
}
