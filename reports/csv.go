package reports

import (
	"encoding/csv"
	"io"
	"slices"
	"strconv"
)

func writeReportCSV(w io.Writer, r *Report) error {
	tables := Tabulate(r.Runs)
	var axes []string
	for _, t := range tables {
		for _, a := range t.All {
			if !slices.Contains(axes, a) {
				axes = append(axes, a)
			}
		}
	}
	out := csv.NewWriter(w)
	header := append([]string{"sweep"}, axes...)
	header = append(header, "val_acc_mean", "val_acc_std", "seeds", "failed", "params_trainable", "params_total", "best_epoch_mean", "seconds_mean", "images_per_second_mean")
	if err := out.Write(header); err != nil {
		return err
	}
	num := func(v float64, n int) string {
		if n == 0 {
			return ""
		}
		return strconv.FormatFloat(v, 'g', -1, 64)
	}
	for _, t := range tables {
		for _, r := range t.Rows {
			line := []string{t.Sweep}
			for _, a := range axes {
				line = append(line, r.Labels.Text(a))
			}
			std := ""
			if r.Acc.N > 1 {
				std = num(r.Acc.Std, r.Acc.N)
			}
			line = append(line, num(r.Acc.Mean, r.Acc.N), std, strconv.Itoa(r.Finished), strconv.Itoa(r.Failed),
				strconv.FormatInt(r.Params.Trainable, 10), strconv.FormatInt(r.Params.Total, 10),
				num(r.BestEpoch.Mean, r.BestEpoch.N), num(r.Seconds.Mean, r.Seconds.N), num(r.Speed.Mean, r.Speed.N))
			if err := out.Write(line); err != nil {
				return err
			}
		}
	}
	out.Flush()
	return out.Error()
}

// writeComparisonsCSV writes a line for each configuration of each comparison, those that one side lacks too, and one for
// each gate that was skipped or could not be evaluated.
func writeComparisonsCSV(w io.Writer, all []Outcome) error {
	var labels []Labels
	for i := range all {
		c := all[i].Comparison
		if c == nil {
			continue
		}
		for i := range c.Judged {
			labels = append(labels, c.Judged[i].Labels)
		}
		for _, u := range slices.Concat(c.OnlyBase, c.OnlyNew) {
			labels = append(labels, u.Labels)
		}
	}
	_, _, names := axes(labels)
	out := csv.NewWriter(w)
	header := append([]string{"gate", "metric", "sweep"}, names...)
	header = append(header, "verdict", "why", "base_mean", "base_std", "base_seeds", "new_mean", "new_std", "new_seeds", "limit",
		"difference", "interval_level", "interval_low", "interval_high", "margin", "method", "p_worse", "p_same", "p_better", "unpaired", "pictures")
	if err := out.Write(header); err != nil {
		return err
	}
	for i := range all {
		o, c := &all[i], all[i].Comparison
		begin := func(sweep string, l Labels) []string {
			line := []string{o.Criterion.Name, o.Criterion.Metric, sweep}
			for _, a := range names {
				line = append(line, l.Text(a))
			}
			return line
		}
		short := func(line []string) error { return out.Write(append(line, make([]string, len(header)-len(line))...)) }
		if c == nil {
			_, reason := o.Passing()
			verdict := "skipped"
			if o.Err != nil {
				verdict = "error"
			}
			if err := short(append(begin("", nil), verdict, reason)); err != nil {
				return err
			}
			continue
		}
		for i := range c.Judged {
			j := &c.Judged[i]
			line := append(begin(j.Sweep, j.Labels), string(j.Verdict), j.Why)
			base, limit := j.Base, ""
			if base == nil {
				base, limit = &Value{}, number(&c.Criterion.Limit)
			}
			line = append(append(line, base.fields()...), j.New.fields()...)
			interval, p := &Interval{}, &PValue{}
			level, worse, same, better := "", "", "", ""
			if j.Interval != nil {
				interval = j.Interval
				level = number(&interval.Level)
			}
			if j.P != nil {
				p = j.P
				worse, same, better = number(&p.Worse), number(&p.Same), number(&p.Better)
			}
			line = append(line, limit, number(j.Difference), level, number(interval.Low), number(interval.High), number(&j.Margin), j.Method,
				worse, same, better, strconv.FormatBool(j.Unpaired), strconv.Itoa(j.Pictures))
			if err := out.Write(line); err != nil {
				return err
			}
		}
		for verdict, only := range [][]Unmatched{c.OnlyBase, c.OnlyNew} {
			for _, u := range only {
				line := append(begin(u.Sweep, u.Labels), [...]string{"only_base", "only_new"}[verdict])
				if err := short(line); err != nil {
					return err
				}
			}
		}
	}
	out.Flush()
	return out.Error()
}

// fields are mean, standard deviation and number of seeds; empty where there is none.
func (v *Value) fields() []string {
	switch v.N {
	case 0:
		return []string{"", "", "0"}
	case 1:
		return []string{number(&v.Mean), "", "1"}
	}
	return []string{number(&v.Mean), number(&v.Std), strconv.Itoa(v.N)}
}

// number writes all digits; nothing for nil.
func number(v *float64) string {
	if v == nil {
		return ""
	}
	return strconv.FormatFloat(*v, 'g', -1, 64)
}
