package reports

import (
	"strconv"
)

// The frame that a chart is drawn in, of its 520 by 300 units. The page scales it; 12 units are the height of its text.
const (
	frameLeft, frameRight = 48.0, 508.0
	frameTop, frameBottom = 10.0, 264.0
)

type (
	// figure is a chart with its caption.
	figure struct {
		ID    string
		Title string
		Desc  string // for those who don't see it
		Note  string // below it
		Key   []keyView
		Chart chart
	}
	// keyView explains a kind of line in a figure of its own; Class is the stylesheet's.
	keyView struct{ Class, Text string }

	chart struct {
		XLabel         string
		XTicks, YTicks []tick
		Shapes         []shape // in the order of drawing
		Marks          []mark
		Texts          []chartText
	}
	tick struct {
		At   float64
		Text string
	}
	// shape is a path; Class is the stylesheet's.
	shape struct{ Class, Path string }
	// mark is a shape with a text that shows where a mouse points at it.
	mark struct{ Class, Path, Tip string }

	chartText struct {
		X, Y float64
		Text string
	}
)

func coordinates(x, y float64) string {
	return strconv.FormatFloat(x, 'f', -1, 64) + " " + strconv.FormatFloat(y, 'f', -1, 64)
}

// marker is the mark of a series about a place: circle, square, triangle up, diamond, triangle down, cross; a small circle
// for those without a colour.
func marker(series int, x, y float64) string {
	at := coordinates(x, y)
	switch series {
	case 0:
		return "M" + at + "m-2.5 0a2.5 2.5 0 1 0 5 0a2.5 2.5 0 1 0-5 0z"
	case 2:
		return "M" + at + "m-3.5-3.5h7v7h-7z"
	case 3:
		return "M" + at + "m0-4.6l4.5 8h-9z"
	case 4:
		return "M" + at + "m0-5l5 5l-5 5l-5-5z"
	case 5:
		return "M" + at + "m0 4.6l4.5-8h-9z"
	case 6:
		return "M" + at + "m-4.5-1.4h3.1v-3.1h2.8v3.1h3.1v2.8h-3.1v3.1h-2.8v-3.1h-3.1z"
	}
	return "M" + at + "m-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0z"
}
