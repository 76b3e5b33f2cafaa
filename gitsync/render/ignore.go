package render

import (
	"path"
	"strings"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/gitsync"
)

// pattern is one line of a .gitignore, taken apart.
type pattern struct {
	segments []string // of a path; "**" stands for any number of them
	again    bool     // what an earlier pattern leaves out is taken in again
	dirs     bool     // only directories
}

// readPatterns takes the patterns of a Source apart; one that cannot be read refuses the build.
func (b *build) readPatterns() []pattern {
	var out []pattern
	for _, line := range b.options.Ignore {
		p, ok := readPattern(line)
		if !ok {
			b.refuse(gitsync.BuildFailed, problem.Problem{Code: "S327", Field: "spec.ignore", Message: "the pattern " + problem.Clean(line, 60) + " cannot be read",
				Hint: "write it as in .gitignore; a bracket needs its end"})
			return nil
		}
		if len(p.segments) > 0 {
			out = append(out, p)
		}
	}
	return out
}

// leftOut reports whether a path of the tree is to be ignored.
func (b *build) leftOut(name string, dir bool) bool {
	return len(b.patterns) > 0 && ignored(b.patterns, strings.TrimPrefix(name, strings.TrimPrefix(b.root+"/", "./")), dir)
}

// readPattern takes one line apart. Comments and empty lines have no segments; false is a line that means nothing.
func readPattern(line string) (pattern, bool) {
	text := trimBlanks(line)
	p := pattern{}
	if strings.HasPrefix(text, "#") {
		return p, true
	}
	text, p.again = strings.CutPrefix(text, "!")
	text, p.dirs = strings.CutSuffix(text, "/")
	if text == "" {
		return p, true
	}
	anchored := strings.Contains(text, "/")
	if !anchored {
		p.segments = []string{"**"}
	}
	for _, segment := range strings.Split(strings.TrimPrefix(text, "/"), "/") {
		if segment != "**" {
			segment = strings.ReplaceAll(segment, "[!", "[^")
			if _, err := path.Match(segment, ""); err != nil {
				return p, false
			}
		}
		p.segments = append(p.segments, segment)
	}
	return p, true
}

// trimBlanks drops blanks at the end, but for one behind a backslash.
func trimBlanks(line string) string {
	trimmed := strings.TrimRight(line, " \t\r")
	if strings.HasSuffix(trimmed, `\`) && len(trimmed) < len(line) {
		return line[:len(trimmed)+1]
	}
	return trimmed
}

// ignored reports whether the last pattern that fits a path, relative to the root of the build, leaves it out.
func ignored(patterns []pattern, name string, dir bool) bool {
	out := false
	segments := strings.Split(name, "/")
	for _, p := range patterns {
		if (dir || !p.dirs) && fits(p.segments, segments) {
			out = !p.again
		}
	}
	return out
}

// fits matches segment by segment. A "**" at the end stands for at least one.
func fits(want, have []string) bool {
	if len(want) == 0 {
		return len(have) == 0
	}
	if want[0] != "**" {
		if len(have) == 0 {
			return false
		}
		same, err := path.Match(want[0], have[0])
		return err == nil && same && fits(want[1:], have[1:])
	}
	if len(want) == 1 {
		return len(have) > 0
	}
	for i := range len(have) + 1 {
		if fits(want[1:], have[i:]) {
			return true
		}
	}
	return false
}
