variable "needed" {} # ERROR: Variable without a value: Variable "needed" has no default and was not set.

variable "typed" {
  type    = number
  default = "ten" # ERROR: Wrong type: The default of variable "typed" does not fit its type: a number is required.
}

variable "literal" {
  default = upper("x") # ERROR: Invalid default: The default of a variable is a literal value
}

variable "checked" {
  type    = number
  default = 0
  validation {
    condition     = var.checked > 0 # ERROR: Invalid value for a variable: checked must be positive.
    error_message = "checked must be positive."
  }
}

variable "strange" {
  type    = strng # ERROR: Invalid type specification
  default = 1
}

locals {
  a = var.cheked # ERROR: Unknown variable: There is no variable "cheked". Did you mean "checked"?
  b = local.a    # its error is told above, and only there
}
