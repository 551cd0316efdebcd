variable "share" { type = number }
variable "from_environment" { type = number }
variable "recipe" {
  type = object({
    lr     = number
    epochs = optional(number, 3)
  })
  default = { lr = 0.1 }
}

locals {
  archs = split(" ", trimspace(file("archs.txt")))
}

sweep "flowers" {
  dataset = dataset.flowers
  matrix {
    arch = local.archs
  }
  run {
    arch   = matrix.arch
    mode   = "finetune"
    epochs = var.recipe.epochs * var.from_environment
    optimizer {
      kind = "sgd"
      lr   = var.recipe.lr
    }
  }
}
