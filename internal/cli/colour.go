package cli

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"golang.org/x/term"
	"k8s.io/klog/v2"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/internal/cli/paper"
)

// defaultWidth is how wide text is that goes nowhere in particular.
const defaultWidth = 120

// Standard gives the streams of a process as its environment, which getenv knows, wants them. It silences what client
// libraries say by themselves: a verb says how it failed, once, and the controller logs it.
func Standard(in, out, errs *os.File, getenv func(string) string) Streams {
	klog.SetLogger(logr.Discard())
	s := Streams{In: in, Out: out, Err: errs, Colour: Coloured(out, getenv), ASCII: !speaksUnicode(getenv)}
	if term.IsTerminal(int(out.Fd())) {
		s.Live = term.IsTerminal(int(in.Fd())) && getenv("TERM") != "dumb"
		s.Width = func() int {
			width, _, err := term.GetSize(int(out.Fd()))
			if err != nil || width <= 0 {
				return defaultWidth
			}
			return width
		}
	}
	return s
}

// StateRoot is where the state directories of `sluice up` are: $XDG_STATE_HOME/sluice, as getenv knows it, or its default
// below the home directory.
func StateRoot(getenv func(string) string) string {
	if root := getenv("XDG_STATE_HOME"); root != "" {
		return filepath.Join(root, "sluice")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		home = os.TempDir()
	}
	return filepath.Join(home, ".local", "state", "sluice")
}

// Coloured reports whether text for f may have colours: it is a terminal, and neither NO_COLOR nor TERM=dumb, as getenv
// knows them, say otherwise.
func Coloured(f *os.File, getenv func(string) string) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && getenv("NO_COLOR") == "" && getenv("TERM") != "dumb"
}

// speaksUnicode reports whether the locale takes more than ASCII.
func speaksUnicode(getenv func(string) string) bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if value := strings.ToLower(getenv(name)); value != "" {
			return strings.Contains(value, "utf-8") || strings.Contains(value, "utf8")
		}
	}
	return false
}

// look are the flags that say how text for people looks.
type look struct {
	colour string
	ascii  bool
}

func addLook(cmd *cobra.Command) *look {
	l := &look{}
	cmd.Flags().StringVar(&l.colour, "color", "auto", "colour the text: auto, always or never")
	cmd.Flags().BoolVar(&l.ascii, "ascii", false, "no character beyond ASCII (default: as the locale says)")
	offer(cmd, "color", "auto", "always", "never")
	return l
}

// screen is what text for people is written on.
type screen struct {
	live   bool // a person can press keys and see what comes of it
	colour bool
	ascii  bool
	width  int
}

// on gives the screen that s is.
func (l *look) on(s Streams) (screen, error) {
	out := screen{live: s.Live, ascii: l.ascii || s.ASCII, width: defaultWidth}
	switch l.colour {
	case "auto":
		out.colour = s.Colour
	case "always":
		out.colour = true
	case "never":
	default:
		return out, &Exit{Code: ExitUsage, Err: fmt.Errorf("--color %q is none of auto, always and never", l.colour)}
	}
	if s.Width != nil {
		out.width = s.Width()
	}
	return out, nil
}

// onScreen gives text that the screen can show.
func onScreen(text string, on screen) string {
	text = problem.Clean(text, problem.MaxMessage)
	if !on.ascii {
		return text
	}
	return paper.ASCII(text)
}

// newPaper gives the paper for text that goes to s.
func newPaper(s Streams) *paper.Paper {
	width := 0
	if s.Width != nil {
		width = s.Width()
	}
	return paper.New(width, s.ASCII)
}

// printed writes what is on a paper.
func printed(s Streams, p *paper.Paper) error {
	_, err := io.WriteString(s.Out, p.String())
	return err
}
