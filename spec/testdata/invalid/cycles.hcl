locals {
  a = local.b + 1
  b = local.c + 1
  c = local.a + 1 # ERROR: Cycle: These refer to each other in a circle, so none of them can be evaluated first: local.a → local.b → local.c → local.a.
}

dataset "d" { kind = "synthetic" }

sweep "one" {
  dataset = dataset.d
  run {
    arch    = "resnet18"
    mode    = "finetune"
    weights = sweep.two.best
  }
}

sweep "two" {
  dataset = dataset.d
  run {
    arch    = "resnet18"
    mode    = "finetune"
    weights = sweep.one.best # ERROR: Cycle: These refer to each other in a circle, so none of them can run first: sweep.one → sweep.two → sweep.one.
  }
}

sweep "self" {
  dataset = dataset.d
  run {
    arch    = "resnet18"
    mode    = "finetune"
    weights = sweep.self.best # ERROR: none of them can run first: sweep.self → sweep.self.
  }
}
