dataset "d" { kind = "synthetic" }

# What a label can't say.
sweep "numbers" {
  dataset = dataset.d
  matrix {
    x = [1, 1 / 0]             # ERROR: Value out of range: A value of axis "x" holds a number above 1.8e308
    y = [{ lr = 1 / 0 }]       # ERROR: Value out of range: A value of axis "y" holds a number above 1.8e308
    z = [{ of = dataset.d }]   # ERROR: Value out of range: A value of axis "z" holds the reference dataset.d
  }
  run {
    arch = "resnet18"
    mode = "scratch"
    image {
      crop   = 4097  # ERROR: Value out of range: crop must be at most 4096 pixels; this is 4097.
      resize = 16385 # ERROR: Value out of range: resize must be at most 16384 pixels; this is 16385.
    }
  }
}

dataset "" { # ERROR: Invalid name
  kind = "synthetic"
}

sweep "unnamed" {
  dataset = dataset.zzz # ERROR: Unknown data set: There is no data set "zzz". Known: d.
  run {
    arch = "resnet18"
    mode = "scratch"
  }
}
