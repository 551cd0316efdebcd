gate "regression" { # ERROR: Unsupported block: gate blocks are not supported by this version of ftrun.
  sweep = sweep.tutorial
}
