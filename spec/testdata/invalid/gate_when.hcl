dataset "d" { kind = "synthetic" }

sweep "s" {
  dataset = dataset.d
  matrix {
    size = [{ crop = 32 }, { resize = 64 }, "small"]
  }
  run {
    arch = "resnet18"
    mode = "finetune"
  }
}

gate "some" {
  sweep = sweep.s
  min   = 0.5
  when  = matrix.size.crop == 32 # ERROR: Unsupported attribute # ERROR: Unsupported attribute
}

gate "type" {
  sweep = sweep.s
  min   = 0.5
  when  = matrix.size # ERROR: Wrong type: when must be true or false; this is { crop = 32 }. # ERROR: this is { resize = 64 } # ERROR: this is "small"
}
