package gogit

import (
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/gitsync"
)

// clean makes a name or a subject fit for statuses.
func clean(s string) string { return strings.TrimSpace(problem.Clean(s, 120)) }

// checkNames refuses a directory with a name that no honest client writes, or with two names that only some file
// systems can tell apart.
func checkNames(entries []treeEntry) error {
	folded := make(map[string]string, len(entries))
	fold := folding()
	for _, e := range entries {
		if why := unsafeName(e.name); why != "" {
			return unsafeTree("S301", "the tree has an entry whose name "+why+": "+problem.Clean(e.name, 60))
		}
		key := fold(e.name)
		if other, clash := folded[key]; clash {
			return unsafeTree("S302", "the tree has two entries that differ only in case or form: "+problem.Clean(other, 60)+" and "+problem.Clean(e.name, 60))
		}
		folded[key] = e.name
	}
	return nil
}

// folding gives what makes one name of those that only some file systems can tell apart.
func folding() func(name string) string {
	fold := cases.Fold()
	return func(name string) string {
		if plain(name) {
			return strings.ToLower(name)
		}
		return fold.String(norm.NFC.String(name))
	}
}

// plain reports whether a name is of ASCII, as nearly all are.
func plain(name string) bool {
	for i := range len(name) {
		if name[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

func unsafeTree(code, message string) error {
	return &gitsync.Failure{Reason: gitsync.TreeUnsafe, Err: errors.New(message),
		Problem: &problem.Problem{Code: code, Severity: problem.Error, Message: message, Hint: "remove the entry from the commit"}}
}

// unsafeName says what is wrong with an entry's name, or "".
func unsafeName(name string) string {
	switch {
	case name == "" || name == "." || name == "..":
		return "is empty or dots"
	case strings.ContainsAny(name, "/\\\x00"):
		return "has a separator"
	case strings.IndexFunc(name, func(r rune) bool { return unicode.IsControl(r) }) >= 0:
		return "has control characters"
	case gitName(name):
		return "stands for .git"
	case deviceName(name):
		return "is a device"
	}
	return ""
}

// gitName reports whether some file system would take the name for ".git".
func gitName(name string) bool {
	if plain(name) && !strings.HasPrefix(name, ".") && !strings.ContainsRune(name, '~') {
		return false
	}
	visible := strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Cf, r) {
			return -1
		}
		return r
	}, name)
	bare := strings.ToLower(strings.TrimRight(visible, ". "))
	return bare == ".git" || bare == "git~1"
}

// deviceName reports whether the name is a device on some systems, with any extension.
func deviceName(name string) bool {
	stem, _, _ := strings.Cut(strings.ToUpper(name), ".")
	switch stem = strings.TrimRight(stem, " "); stem {
	case "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$":
		return true
	}
	return len(stem) == 4 && (strings.HasPrefix(stem, "COM") || strings.HasPrefix(stem, "LPT")) && stem[3] >= '1' && stem[3] <= '9'
}
