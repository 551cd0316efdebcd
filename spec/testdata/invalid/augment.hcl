dataset "d" { kind = "synthetic" }

sweep "s" {
  dataset = dataset.d
  matrix {
    op = [
      { kind = "random_rotation" },
      { kind = "hflip", p = 2 },
      { kind = "hflip", q = 0.1 },
      { kind = "random_resized_crop", scale = [1, 0.5] },
      { kind = "random_crop", padding = 1.5 },
      { degrees = 1 },
      "color_jitter",
      "RandomHorizontalFlip",
      3,
    ]
  }
  run {
    arch = "resnet18"
    mode = "finetune"
    augment {
      ops = [matrix.op] # ERROR: random_rotation needs degrees # ERROR: In hflip, p must be between 0 and 1; this is 2. # ERROR: hflip has no "q". Known: p. # ERROR: In random_resized_crop, scale is a pair of a lower and an upper bound # ERROR: In random_crop, padding must be a whole number; this is 1.5. # ERROR: needs kind # ERROR: color_jitter changes nothing unless # ERROR: There is no operation "RandomHorizontalFlip" for pictures. Did you mean "hflip"? # ERROR: each of ops must be the name of an operation or an object with kind; this is 3.
    }
  }
}
