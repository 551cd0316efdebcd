dataset "flowers" {
  kind   = "imagefolder"
  path   = "flowers"
  splits = { val = var.share }
}

dataset "unused" {
  kind = var.share > 1 ? "synthetic" : null
}
