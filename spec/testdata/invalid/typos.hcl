variabel "x" {} # ERROR: Unknown block: There is no block "variabel" at the top of a file. Did you mean "variable"?

dataset "d" {
  kind = "imagefoldr" # ERROR: Unknown kind of data set: There is no kind of data set "imagefoldr". Did you mean "imagefolder"?
  path = "data"
}

sweep "s" {
  dataset = dataset.e # ERROR: Unknown data set: There is no data set "e". Known: d.
  seed    = [1]       # ERROR: Unknown attribute: There is no attribute "seed" in a sweep block. Did you mean "seeds"?

  epochs  = 3         # ERROR: Unknown attribute: There is no attribute "epochs" in a sweep block; it belongs in run { }.

  matrix {
    arch = ["resnet18"]
  }
  include {
    arhc = "alexnet" # ERROR: Unknown axis: There is no axis "arhc" in this sweep. Did you mean "arch"?
  }
  run {
    arch   = matrix.arhc # ERROR: Unknown axis: There is no axis "arhc" in this sweep. Did you mean "arch"?
    mode   = "finetun"   # ERROR: Unknown mode: There is no mode "finetun". Did you mean "finetune"?
    lr     = 0.1         # ERROR: Unknown attribute: There is no attribute "lr" in a run block; it belongs in optimizer { }.
    gamma  = 0.1         # ERROR: Unknown attribute: There is no attribute "gamma" in a run block; it belongs in schedule { }.
    epcohs = 10          # ERROR: Unknown attribute: There is no attribute "epcohs" in a run block. Did you mean "epochs"?

    optimiser { # ERROR: Unknown block: There is no block "optimiser" in a run block. Did you mean "optimizer"?
      lr = 1
    }
    augment {
      ops = ["hflp"] # ERROR: Unknown operation: There is no operation "hflp" for pictures. Did you mean "hflip"?
    }
    schedule {
      kind = uper("step") # ERROR: Unknown function: There is no function "uper". Did you mean "upper"?
    }
  }
}
