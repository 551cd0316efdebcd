ftrun {
  required_version = ">= 99.0" # ERROR: Unsuitable version of ftrun: These files need ftrun >= 99.0; this is version 0.1.0.
}
block_of_the_future "x" {}
