package arch

import (
	"bufio"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
)

// house is rules.txt, parsed.
type house struct {
	below map[string][]string // pattern -> patterns it may import directly
	pure  map[string][]string // package -> modules it may import
	only  map[string][]string // package -> modules that are its own
}

func readHouse(t *testing.T) house {
	t.Helper()
	f, err := os.Open("rules.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	h := house{map[string][]string{}, map[string][]string{}, map[string][]string{}}
	for sc := bufio.NewScanner(f); sc.Scan(); {
		line := strings.TrimSpace(sc.Text())
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "pure "), strings.HasPrefix(line, "only "):
			name, mods, _ := strings.Cut(line[5:], ":")
			into := h.pure
			if strings.HasPrefix(line, "only ") {
				into = h.only
			}
			into[strings.TrimSpace(name)] = strings.Fields(mods)
		default:
			left, right, ok := strings.Cut(line, "<")
			if !ok {
				t.Fatalf("rules.txt: %q is no rule", line)
			}
			for _, above := range list(right) {
				h.below[above] = append(h.below[above], list(left)...)
			}
		}
	}
	return h
}

func list(s string) []string {
	var out []string
	for _, w := range strings.Split(s, ",") {
		if w = strings.TrimSpace(w); w != "" {
			out = append(out, w)
		}
	}
	return out
}

func matches(pattern, pkg string) bool {
	ok, err := path.Match(pattern, pkg)
	return err == nil && ok
}

// allows reports whether from may import to, by any chain of rules.
func (h house) allows(from, to string) bool {
	seen := map[string]bool{}
	var visit func(p string) bool
	visit = func(p string) bool {
		if seen[p] {
			return false
		}
		seen[p] = true
		for above, lower := range h.below {
			if above != p && !matches(above, p) {
				continue
			}
			for _, l := range lower {
				if matches(l, to) || visit(l) {
					return true
				}
			}
		}
		return false
	}
	return visit(from)
}

func TestImports_followTheLattice(t *testing.T) {
	h, ex := readHouse(t), exceptions(t)
	for _, s := range load(t) {
		if s.test || strings.HasPrefix(s.dir, "test/") || strings.HasPrefix(s.dir, "standalone") || strings.HasPrefix(s.dir, "scripts") {
			continue
		}
		for _, i := range s.imports() {
			to, ok := strings.CutPrefix(i, module+"/")
			if !ok || h.allows(s.dir, to) || ex[[2]string{"import", s.dir + ">" + to}] != "" {
				continue
			}
			t.Errorf("%s imports %s, which no line of rules.txt allows", s.path, to)
		}
	}
}

func TestImports_productNeverUsesTestCode(t *testing.T) {
	for _, s := range load(t) {
		if s.test || strings.HasPrefix(s.dir, "test/") || s.dir == "standalone/demo" {
			continue
		}
		for _, i := range s.imports() {
			if strings.HasPrefix(i, module+"/test/") {
				t.Errorf("%s imports %s: the product stands without its tests", s.path, i)
			}
		}
	}
}

// impure are the standard packages that a pure package may import only by name: for a function of theirs without effect.
var impure = []string{"os", "os/exec", "os/signal", "net", "net/http", "log", "log/slog", "math/rand", "math/rand/v2", "crypto/rand",
	"sync", "sync/atomic", "syscall", "unsafe", "runtime", "testing"}

func TestPure_packagesImportOnlyWhatTheyMay(t *testing.T) {
	h := readHouse(t)
	for _, s := range load(t) {
		mods, pure := h.pure[s.dir]
		if !pure || s.test {
			continue
		}
		for _, i := range s.imports() {
			first, _, _ := strings.Cut(i, "/")
			switch {
			case slices.Contains(mods, i):
			case slices.Contains(impure, i):
				t.Errorf("%s is in a pure package and imports %s", s.path, i)
			case !strings.Contains(first, "."), strings.HasPrefix(i, module+"/"):
			case !slices.ContainsFunc(mods, func(m string) bool { return i == m || strings.HasPrefix(i, m+"/") }):
				t.Errorf("%s is in a pure package and imports %s", s.path, i)
			}
		}
	}
}

func TestOnly_roomsKeepTheirModules(t *testing.T) {
	h := readHouse(t)
	for _, s := range load(t) {
		if s.test || strings.HasPrefix(s.dir, "test/") {
			continue
		}
		for _, i := range s.imports() {
			for owner, mods := range h.only {
				if s.dir == owner {
					continue
				}
				if slices.ContainsFunc(mods, func(m string) bool { return i == m || strings.HasPrefix(i, m+"/") }) {
					t.Errorf("%s imports %s, which belongs to %s", s.path, i, owner)
				}
			}
		}
	}
}
