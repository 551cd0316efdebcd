dataset "none" {} # ERROR: Missing setting: The dataset block needs the attribute "kind".

dataset "pathless" { # ERROR: Missing setting: A data set of kind "imagefolder" needs path
  kind = "imagefolder"
}

dataset "shares" {
  kind   = "imagefolder"
  path   = "p"
  splits = { val = 0.5, test = 0.5 } # ERROR: Value out of range: The shares of splits come to 1, so nothing remains for training.
}

dataset "train_share" {
  kind   = "imagefolder"
  path   = "p"
  splits = { train = 0.8, val = 0.2 } # ERROR: Invalid splits: Where splits cut one folder by shares, train is what remains
}

dataset "same" {
  kind   = "imagefolder"
  path   = "p"
  splits = { train = "a", val = "a" } # ERROR: Duplicate value: The splits train and val have the same folder, "a"
}

dataset "misnamed" {
  kind   = "imagefolder"
  path   = "p"
  splits = { train = "a", vla = "b" } # ERROR: Unknown split: There is no split "vla". Did you mean "val"?
}

dataset "few" {
  kind     = "synthetic"
  classes  = 10
  pictures = { train = 100, val = 5 } # ERROR: Value out of range: The split val has 5 pictures, fewer than the 10 classes.
}

dataset "my data" { # ERROR: Invalid name: The name of a data set starts with a letter
  kind = "synthetic"
}
