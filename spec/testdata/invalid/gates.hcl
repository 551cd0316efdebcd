dataset "d" { kind = "synthetic" }

sweep "s" {
  dataset = dataset.d
  seeds   = range(3)
  matrix {
    mode = ["finetune", "extract"]
    when = [true, "no"]
  }
  run {
    arch = "resnet18"
    mode = matrix.mode
  }
}

gate "bare" {} # ERROR: Missing setting: The gate block needs the attribute "sweep".

gate "unbounded" { # ERROR: Missing setting: A gate needs a bound: max_drop or max_rise, against a baseline
  sweep    = sweep.s
  baseline = "b.json"
}

gate "unbased" { # ERROR: Missing setting: A gate with max_drop needs baseline, the file that `ftrun baseline set` writes
  sweep    = sweep.s
  max_drop = 0.01
}

gate "twice" {
  sweep    = sweep.s
  baseline = "b.json"
  max_drop = 0.01
  min      = 0.5 # ERROR: More than one bound: A gate has one bound; this one has max_drop and min. Make a gate of each.
}

gate "twice" { # ERROR: Duplicate name: The name "twice" is that of the gate at
  sweep = sweep.s
  min   = 0.5
}

gate "names" {
  sweep     = sweep.t          # ERROR: Unknown sweep: There is no sweep "t". Known: s.
  baselin   = "b.json"         # ERROR: Unknown attribute: There is no attribute "baselin" in a gate block. Did you mean "baseline"?
  metric    = "val_ac"         # ERROR: Unknown metric: There is no metric "val_ac". Did you mean "val_acc"?
  test      = "permutation"    # ERROR: Unknown test: There is no test "permutation".
  max_drops = 0.01             # ERROR: Unknown attribute: There is no attribute "max_drops" in a gate block. Did you mean "max_drop"?
  when      = matrix.mod == "" # not looked at: its sweep is not known

  condition {} # ERROR: Unknown block: There is no block "condition" in a gate block.
}

gate "types" {
  sweep        = "s"    # ERROR: Wrong type: sweep must be a reference such as sweep.NAME; this is "s". Write sweep.s, without quotes.
  baseline     = 1      # ERROR: Wrong type: baseline must be a string; this is 1.
  max_drop     = "0.01" # ERROR: Wrong type: max_drop must be a number; this is "0.01". Write 0.01 without the quotes.
  relative     = "1%"   # ERROR: Wrong type: relative must be true or false; this is "1%".
  alpha        = 0.5    # ERROR: Value out of range: alpha must be at least 1e-09 and less than 0.5; this is 0.5.
  min_seeds    = 0      # ERROR: Value out of range: min_seeds must be at least 1; this is 0.
  inconclusive = true   # ERROR: Wrong type: inconclusive must be a string; this is true.
  missing      = "pass" # ERROR: There is no way to take a missing baseline "pass". Known: fail, warn.
}

gate "best" {
  sweep    = sweep.s.best # ERROR: Wrong type: sweep must be a reference such as sweep.NAME; this is sweep.s.best. A gate judges configurations, not the best run: leave .best out.
  baseline = ""           # ERROR: Value out of range: baseline is empty.
  max_drop = -0.01        # ERROR: Value out of range: max_drop must be 0 or more; this is -0.01.
}

gate "percent" {
  sweep    = sweep.s
  baseline = "b.json"
  max_drop = 1 # ERROR: Value out of range: max_drop must be less than 1; this is 1. Accuracies are shares of 1: for one point write 0.01.
}

gate "relative_percent" {
  sweep    = sweep.s
  baseline = "b.json"
  max_drop = 2 # ERROR: this is 2. With relative it is a share of the baseline's value: for one percent write 0.01.
  relative = true
}

gate "accuracy_rises" {
  sweep    = sweep.s
  baseline = "b.json"
  max_rise = 0.1 # ERROR: Unsuitable bound: The higher val_acc is, the better, so max_rise would not notice that it gets worse. Give max_drop.
}

gate "loss_drops" {
  sweep  = sweep.s
  metric = "val_loss"
  min    = 0.1 # ERROR: Unsuitable bound: The lower val_loss is, the better, so min would not notice that it gets worse. Give max.
}

gate "floor" {
  sweep    = sweep.s
  min      = 50     # ERROR: Value out of range: min must be at most 1; this is 50. Accuracies are shares of 1.
  baseline = "b"    # ERROR: Setting without effect: min is held against no baseline, so baseline would have no effect. Take it out.
  missing  = "fail" # ERROR: Setting without effect: min is held against no baseline, so missing would have no effect.
  relative = true   # ERROR: Setting without effect: min is held against no baseline, so relative would have no effect.
  alpha    = 0.1    # ERROR: Setting without effect: A gate with min has no test unless one is given, so alpha would have no effect.
}

gate "zero" {
  sweep = sweep.s
  min   = 0 # ERROR: Value out of range: min must be greater than 0; this is 0.
}

gate "endless" {
  sweep    = sweep.s
  baseline = "b.json"
  metric   = "val_loss"
  max_rise = 1e300 # ERROR: Value out of range: max_rise must be at most 1e+15; this is 1e+300, more than any metric.
  relative = true
}

gate "size" {
  sweep  = sweep.s
  metric = "params_trainable"
  max    = 1000000
  test   = "bootstrap" # ERROR: Setting without effect: params_trainable follows from the settings and is the same for all seeds, so there is nothing to test.
}

gate "grown" {
  sweep    = sweep.s
  baseline = "b.json"
  metric   = "params_total"
  max_rise = 0
  alpha    = 0.1 # ERROR: Setting without effect: params_total follows from the settings and is the same for all seeds, so alpha would have no effect.
}

gate "ceiling" {
  sweep  = sweep.s
  metric = "val_loss"
  max    = 1
  test   = "mcnemar" # ERROR: Unsuitable test: McNemar's test compares pictures with those of a baseline, and a gate with max has none.
}

gate "untested" {
  sweep      = sweep.s
  baseline   = "b.json"
  max_drop   = 0.01
  test       = "none"
  alpha      = 0.1    # ERROR: Setting without effect: Without a test the mean alone is held against the bound, so alpha would have no effect.
  correction = "holm" # ERROR: Setting without effect: Without a test the mean alone is held against the bound, so correction would have no effect.
}

gate "mcnemar" {
  sweep    = sweep.s
  baseline = "b.json"
  metric   = "test_acc"
  max_drop = 0.01
  test     = "mcnemar" # ERROR: Unsuitable test: McNemar's test counts which validation pictures are classified rightly, so its metric is val_acc; this is test_acc.
}

gate "mcnemar_relative" {
  sweep    = sweep.s
  baseline = "b.json"
  max_drop = 0.01
  test     = "mcnemar"
  relative = true # ERROR: Unsuitable test: McNemar's test counts pictures, so its margin is a share of the pictures
}

gate "seeds" {
  sweep     = sweep.s
  min       = 0.5
  min_seeds = 4                     # ERROR: Value out of range: min_seeds must be at most the number of the sweep's seeds, 3; this is 4
  when      = matrix.arch == "vgg"  # ERROR: Unknown axis: There is no axis "arch" in this sweep.
}

gate "places" {
  sweep = sweep.s
  min   = matrix.mode == "extract" ? 0.5 : 0.6 # ERROR: Reference out of place: matrix is known in a sweep that has axes only
  when  = run.seed == 1                        # ERROR: Reference out of place: run.seed is known in run and launcher blocks only.
}

gate "condition" {
  sweep = sweep.s
  min   = 0.5
  when  = "extract" # ERROR: Wrong type: when must be true or false; this is "extract".
}

gate "read" {
  sweep = sweep.s
  min   = 0.5
  when  = file("when.txt") == matrix.mode # ERROR: Function call out of place: file cannot be called in an expression that depends on matrix or run
}

gate "not a name" { # ERROR: Invalid name: The name of a gate starts with a letter
  sweep = sweep.s
  min   = 0.5
}
