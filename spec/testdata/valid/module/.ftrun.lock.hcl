gate "not read" {}
