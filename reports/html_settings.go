package reports

// commonSettings are those that all configurations have alike; those of a configuration that are not known say nothing.
func commonSettings(configs [][]setting) []setting {
	var out []setting
	first := true
	for _, settings := range configs {
		switch {
		case settings == nil:
		case first:
			out, first = append(out, settings...), false
		default:
			has := asSet(settings)
			kept := out[:0]
			for _, s := range out {
				if has[s] {
					kept = append(kept, s)
				}
			}
			out = kept
		}
	}
	return out
}

// differingSettings are the settings that are not among the common ones.
func differingSettings(settings, common []setting) []setting {
	has := asSet(common)
	var out []setting
	for _, s := range settings {
		if !has[s] {
			out = append(out, s)
		}
	}
	return out
}

func asSet(settings []setting) map[setting]bool {
	set := make(map[setting]bool, len(settings))
	for _, s := range settings {
		set[s] = true
	}
	return set
}
