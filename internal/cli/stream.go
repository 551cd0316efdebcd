package cli

import (
	"io"
	"os"
	"sync"

	"golang.org/x/term"
)

// stream is standard output or error. It remembers the first error of writing, so that a command may print line after
// line and the failure is told once, at its end.
type stream struct {
	w   io.Writer
	mu  sync.Mutex
	err error
}

// Write writes through.
func (s *stream) Write(p []byte) (int, error) {
	n, err := s.w.Write(p)
	if err != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.err == nil {
			s.err = err
		}
	}
	return n, err
}

// failed is the first error of writing.
func (s *stream) failed() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// width is the number of columns that text is wrapped to: the terminal's, else 80.
func (s *stream) width() int {
	if f, ok := s.terminal(); ok {
		if w, _, err := term.GetSize(int(f.Fd())); err == nil && w >= 20 {
			return w
		}
	}
	return 80
}

// terminal is the stream's terminal, where a person looks at one.
func (s *stream) terminal() (*os.File, bool) {
	f, ok := s.w.(*os.File)
	return f, ok && term.IsTerminal(int(f.Fd()))
}

// colour of text on a terminal.
type colour string

const (
	red    colour = "31"
	green  colour = "32"
	yellow colour = "33"
	bold   colour = "1"
)

// colours tells whether text on s may be coloured.
func (a *app) colours(s *stream) bool {
	_, person := s.terminal()
	plain, _ := a.env("NO_COLOR")
	kind, _ := a.env("TERM")
	return person && !a.noColor && plain == "" && kind != "dumb"
}

// paint colours text that is meant for s.
func (a *app) paint(s *stream, c colour, text string) string {
	if !a.colours(s) {
		return text
	}
	return "\x1b[" + string(c) + "m" + text + "\x1b[0m"
}
