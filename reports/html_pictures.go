package reports

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/ftrun/ftrun/internal/runlog"
)

// missed counts how often each validation picture was missed, over runs.
type missed struct {
	runs     int
	pictures map[pictureKey]*picture
}

// pictureKey tells pictures apart: one whose content changed is another.
type pictureKey struct{ path, sha256 string }

type picture struct {
	key    pictureKey
	class  string
	seen   int            // by so many runs
	missed int            // by so many of them
	truth  float64        // sum over runs of the probability of the true class
	taken  map[string]int // for which classes, how often
}

func newMissed() *missed { return &missed{pictures: map[pictureKey]*picture{}} }

// add counts the predictions of a run.
func (m *missed) add(c Course) {
	m.runs++
	for _, p := range c.Predictions {
		got := p.Predicted()
		if p.Class < 0 || p.Class >= len(p.Probs) || got >= len(c.Classes) || p.Class >= len(c.Classes) {
			continue // no prediction of these classes
		}
		key := pictureKey{p.Path, p.SHA256}
		pic := m.pictures[key]
		if pic == nil {
			pic = &picture{key: key, class: c.Classes[p.Class], taken: map[string]int{}}
			m.pictures[key] = pic
		}
		pic.seen++
		pic.truth += float64(p.Probs[p.Class])
		if got != p.Class {
			pic.missed++
			pic.taken[c.Classes[got]]++
		}
	}
}

type (
	missedView struct {
		Pictures []missedPicture
		Runs     int
		All      int // pictures
		Ever     int // pictures missed by any run
		Always   int // pictures missed by each run that saw them
	}
	missedPicture struct {
		Path, Class, Taken string
		Missed, Seen       int
		Truth              string // mean probability of the true class
	}
)

// view lists the most missed pictures; of equals those first of whose class the runs were the least sure.
func (m *missed) view(most int) missedView {
	v := missedView{Runs: m.runs, All: len(m.pictures)}
	var list []*picture
	for _, p := range m.pictures {
		if p.missed > 0 {
			list = append(list, p)
		}
		if p.missed == p.seen {
			v.Always++
		}
	}
	v.Ever = len(list)
	slices.SortFunc(list, func(a, b *picture) int {
		return cmp.Or(
			cmp.Compare(b.missed*a.seen, a.missed*b.seen), // as shares
			cmp.Compare(b.missed, a.missed),
			cmp.Compare(a.truth/float64(a.seen), b.truth/float64(b.seen)),
			strings.Compare(a.key.path, b.key.path),
			strings.Compare(a.key.sha256, b.key.sha256))
	})
	for _, p := range list[:min(most, len(list))] {
		v.Pictures = append(v.Pictures, missedPicture{
			Path: p.key.path, Class: p.class, Taken: p.takenFor(), Missed: p.missed, Seen: p.seen,
			Truth: strconv.FormatFloat(p.truth/float64(p.seen), 'f', 3, 64),
		})
	}
	return v
}

// takenFor names the classes that a picture was taken for, the most frequent first, with counts where there are several.
func (p *picture) takenFor() string {
	var names []string
	for name := range p.taken {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(p.taken[b], p.taken[a]), strings.Compare(a, b))
	})
	if len(names) == 1 {
		return names[0]
	}
	var parts []string
	for i, name := range names {
		if i == 3 {
			parts = append(parts, "…")
			break
		}
		parts = append(parts, fmt.Sprintf("%s %d×", name, p.taken[name]))
	}
	return strings.Join(parts, ", ")
}

type (
	// confusion counts over the seeds which class was taken for which. It is a table of figures for few classes, a
	// picture for up to runlog.MaxConfusion, and for more the pairs alone.
	confusion struct {
		ID      string
		Seeds   int
		Classes []string
		Rows    []confusionRow // of few classes
		Map     *confusionMap
		Pairs   []confusionPair // of different classes, the most frequent first
	}
	confusionRow struct {
		Class string
		Cells []confusionCell
		Acc   string
	}
	confusionCell struct {
		Count int
		Class string // of the stylesheet
	}
	confusionMap struct {
		Size   int
		Shades []shape
		Desc   string
	}
	confusionPair struct {
		Class, Taken string
		Count        int
		Share        string // of the pictures of Class
	}
)

// confusionOf counts the predictions of several runs of a configuration; nil where there are none.
func confusionOf(id string, classes []string, runs [][]runlog.Prediction) *confusion {
	n := len(classes)
	if n == 0 || len(runs) == 0 {
		return nil
	}
	c := &confusion{ID: id, Seeds: len(runs), Classes: classes}
	counts := map[[2]int]int{}
	sums := make([]int, n)
	for _, predictions := range runs {
		for _, p := range predictions {
			if got := p.Predicted(); p.Class >= 0 && p.Class < n && got < n {
				counts[[2]int{p.Class, got}]++
				sums[p.Class]++
			}
		}
	}
	share := func(at [2]int) float64 {
		if sums[at[0]] == 0 {
			return 0
		}
		return float64(counts[at]) / float64(sums[at[0]])
	}
	var wrong [][2]int
	for at := range counts {
		if at[0] != at[1] {
			wrong = append(wrong, at)
		}
	}
	slices.SortFunc(wrong, func(a, b [2]int) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1]))
	})
	switch {
	case n <= mostClasses:
		for i, class := range classes {
			row := confusionRow{Class: class, Acc: "–"}
			for j := range classes {
				at := [2]int{i, j}
				row.Cells = append(row.Cells, confusionCell{counts[at], shadeClass(i == j, share(at))})
			}
			if sums[i] > 0 {
				row.Acc = strconv.FormatFloat(share([2]int{i, i}), 'f', 3, 64)
			}
			c.Rows = append(c.Rows, row)
		}
		return c
	case n <= runlog.MaxConfusion:
		paths := map[string]*strings.Builder{}
		for i := range n {
			for j := range n {
				class := shadeClass(i == j, share([2]int{i, j}))
				if class == "" {
					continue
				}
				if paths[class] == nil {
					paths[class] = &strings.Builder{}
				}
				fmt.Fprintf(paths[class], "M%d %dh1v1h-1z", j, i)
			}
		}
		c.Map = &confusionMap{Size: n, Desc: fmt.Sprintf("Rows are the %d true classes, columns the predicted ones, in the same order.", n)}
		for _, right := range []bool{true, false} {
			for level := 1; level <= shades; level++ {
				class := shadeName(right, level)
				if p := paths[class]; p != nil {
					c.Map.Shades = append(c.Map.Shades, shape{class, p.String()})
				}
			}
		}
	}
	for _, at := range wrong[:min(mostOfOne, len(wrong))] {
		c.Pairs = append(c.Pairs, confusionPair{classes[at[0]], classes[at[1]], counts[at], strconv.FormatFloat(share(at), 'f', 3, 64)})
	}
	return c
}

// shades is the number of levels of a confusion's colours.
const shades = 5

// shadeClass is the colour of a share: one hue for what is right, another for what is wrong. What never happened has none.
func shadeClass(right bool, share float64) string {
	if share <= 0 {
		return ""
	}
	return shadeName(right, min(shades, 1+int(share*shades)))
}

func shadeName(right bool, level int) string {
	if right {
		return "right" + strconv.Itoa(level)
	}
	return "wrong" + strconv.Itoa(level)
}
