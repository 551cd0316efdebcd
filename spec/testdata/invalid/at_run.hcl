dataset "d" { kind = "synthetic" }

sweep "s" {
  dataset = dataset.d
  matrix {
    arch = ["resnet18", null]
    opt  = [{ lr = 0.1 }, { lr = -1 }, { rate = 0.1 }]
    aug  = ["hflip", 1]
  }
  exclude { when = matrix.aug } # ERROR: Wrong type: when must be true or false; this is "hflip".
  run {
    arch = matrix.arch # ERROR: Missing setting: The run block needs the attribute "arch"; here it is null.
    mode = "finetune"
    optimizer {
      kind = "sgd"
      lr   = matrix.opt.lr # ERROR: lr must be greater than 0; this is -1. # ERROR: This object does not have an attribute named "lr".
    }
    augment {
      ops = matrix.aug # ERROR: ops must be a list of operations # ERROR: this is 1.
    }
  }
}
