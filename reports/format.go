package reports

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Count writes a whole number with commas: 11,177,538.
func Count(n int64) string {
	s := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, s = "-", s[1:]
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return sign + s
}

// Duration writes seconds for people: 0.4s, 28s, 3m05s, 2h07m, 12d05h.
func Duration(seconds float64) string {
	if seconds < 9.95 {
		return fmt.Sprintf("%.1fs", seconds)
	}
	switch s := int(math.Round(seconds)); {
	case s < 60:
		return fmt.Sprintf("%ds", s)
	case s < 3600:
		return fmt.Sprintf("%dm%02ds", s/60, s%60)
	case s < 100*3600:
		return fmt.Sprintf("%dh%02dm", s/3600, s%3600/60)
	default:
		return fmt.Sprintf("%sd%02dh", Count(int64(s/86400)), s%86400/3600)
	}
}

// Bytes writes a size for people: 512 B, 4.7 MiB.
func Bytes(n int64) string {
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	v, unit := float64(n)/1024, 0
	for v >= 1024 && unit < 3 {
		v, unit = v/1024, unit+1
	}
	return fmt.Sprintf("%.1f %s", v, [...]string{"KiB", "MiB", "GiB", "TiB"}[unit])
}

// Plural writes a number with its noun: "1 run", "12 runs".
func Plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return Count(int64(n)) + " " + many
}

// Shorten cuts a text of more than so many characters in its middle.
func Shorten(s string, most int) string {
	r := []rune(s)
	if len(r) <= most {
		return s
	}
	head := most / 2
	return string(r[:head]) + "…" + string(r[len(r)-(most-head-1):])
}

// Printable keeps a text on its line and in its column of a terminal: what is not to be seen or moves what is stands there
// as Go writes it in quotes, "\\n" and "\\u202e".
func Printable(s string) string { return escapeRunes(s, unprintable) }

// PrintableLines is Printable for a text of several lines.
func PrintableLines(s string) string {
	return escapeRunes(s, func(r rune) bool { return r != '\n' && unprintable(r) })
}

// escapeRunes writes the characters that are to be escaped as Go writes them in quotes.
func escapeRunes(s string, escaped func(rune) bool) string {
	if !strings.ContainsFunc(s, escaped) {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		if c := s[:n]; escaped(r) {
			c = strconv.QuoteToASCII(c)
			b.WriteString(c[1 : len(c)-1])
		} else {
			b.WriteString(c)
		}
		s = s[n:]
	}
	return b.String()
}

func unprintable(r rune) bool { return !unicode.IsPrint(r) || r == utf8.RuneError }

// Ranges writes whole numbers, ascending, in short: 0-5, 7.
func Ranges(n []int64) string {
	var parts []string
	for i := 0; i < len(n); {
		j := i
		for j+1 < len(n) && n[j+1] == n[j]+1 {
			j++
		}
		switch {
		case j == i:
			parts = append(parts, fmt.Sprint(n[i]))
		case j == i+1:
			parts = append(parts, fmt.Sprint(n[i]), fmt.Sprint(n[j]))
		default:
			parts = append(parts, fmt.Sprintf("%d-%d", n[i], n[j]))
		}
		i = j + 1
	}
	return strings.Join(parts, ", ")
}

// pText writes a p value for people: two digits that count, 0.0156 as 0.016.
func pText(p float64) string {
	switch {
	case p < 0.0001:
		return "<0.0001"
	case p < 0.001:
		return strconv.FormatFloat(p, 'f', 4, 64)
	}
	return strconv.FormatFloat(p, 'f', 3, 64)
}
