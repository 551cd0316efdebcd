ftrun {
  required_version = "about 3" # ERROR: Invalid version constraint: "about 3" is not a version constraint
}
