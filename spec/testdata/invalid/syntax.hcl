dataset "d" { kind = "synthetic" }
sweep "s" {
  dataset = dataset.d
  seeds   = [1, 2
} # ERROR: Missing item separator
