package reports

// Lookup gives a function that finds a configuration by sweep and labels, whatever the order of the axes; nil where it is
// not there.
func (r *Results) Lookup() func(sweep string, labels Labels) *ConfigResults {
	index := make(map[string]*ConfigResults, len(r.Configs))
	for i := range r.Configs {
		index[configKey(r.Configs[i].Sweep, r.Configs[i].Labels)] = &r.Configs[i]
	}
	return func(sweep string, labels Labels) *ConfigResults { return index[configKey(sweep, labels)] }
}

// Values gives a metric of the finished runs by seed.
func (c *ConfigResults) Values(metric string) map[int64]float64 {
	m, ok := LookupMetric(metric)
	if !ok {
		panic("reports: no metric " + metric)
	}
	values := map[int64]float64{}
	for i := range c.Seeds {
		if s := &c.Seeds[i]; s.Finished() {
			if v, ok := m.value(c, s); ok {
				values[s.Seed] = v
			}
		}
	}
	return values
}

// Discordant is the share of pictures of which one seed is right and another is not, as a mean over the pairs of seeds; false
// where fewer than two tell their predictions.
func (c *ConfigResults) Discordant() (share float64, ok bool) {
	var right []int // seeds, by picture
	told := 0
	for i := range c.Seeds {
		s := &c.Seeds[i]
		if s.Predicted == nil || c.Data == nil || len(s.Predicted) != len(c.Data.Pictures) || len(s.Predicted) == 0 {
			continue
		}
		if right == nil {
			right = make([]int, len(s.Predicted))
		}
		told++
		for k, class := range s.Predicted {
			if int(class) == c.Data.Pictures[k].Class {
				right[k]++
			}
		}
	}
	if told < 2 {
		return 0, false
	}
	pairs := 0
	for _, n := range right {
		pairs += n * (told - n)
	}
	return float64(pairs) / float64(told*(told-1)/2) / float64(len(right)), true
}
