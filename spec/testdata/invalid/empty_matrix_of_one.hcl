dataset "d" { kind = "synthetic" }

sweep "one" {
  dataset = dataset.d
  matrix { arch = ["resnet18"] }
  exclude { when = matrix.arch != "vgg11" } # ERROR: Empty matrix: This exclude block takes out the only combination, so the sweep has no run.
  run {
    arch = matrix.arch
    mode = "finetune"
  }
}
