dataset "d" { kind = "synthetic" }

sweep "one_exclude" {
  dataset = dataset.d
  matrix { arch = ["resnet18", "alexnet"] }
  exclude { when = matrix.arch == "vgg11" }
  exclude { when = matrix.arch != "vgg11" } # ERROR: Empty matrix: This exclude block takes out all 2 combinations, so the sweep has no run.
  run {
    arch = matrix.arch
    mode = "finetune"
  }
}

sweep "two_excludes" {
  dataset = dataset.d
  matrix { arch = ["resnet18", "alexnet"] } # ERROR: Empty matrix: The exclude blocks take out all 2 combinations, so the sweep has no run: line 17 takes out 1, line 18 takes out 1.
  exclude { when = matrix.arch == "resnet18" }
  exclude { when = matrix.arch == "alexnet" }
  run {
    arch = matrix.arch
    mode = "finetune"
  }
}

sweep "dependent" {
  dataset = dataset.d
  matrix {
    arch  = ["resnet18", "alexnet"]
    drops = matrix.arch == "vgg11" ? [1] : [] # ERROR: Empty matrix: Axis "drops" has no value in any combination
  }
  run {
    arch   = matrix.arch
    mode   = "finetune"
    epochs = matrix.drops
  }
}
