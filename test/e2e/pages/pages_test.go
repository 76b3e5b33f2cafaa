package pages

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-dev/sluice/test/child"
)

// library reads every page that people are given, by its path from the root of the repository.
func library(t *testing.T) (commands []command) {
	t.Helper()
	root, err := child.Repository()
	if err != nil {
		t.Fatal(err)
	}
	pages := 0
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/*/*.md", "examples/*.md", "examples/*/*.md", "charts/*/*.md", "charts/*/*/*.md"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range found {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			page, err := filepath.Rel(root, path)
			if err != nil {
				t.Fatal(err)
			}
			here, wrong := read(page, string(text))
			for _, w := range wrong {
				t.Error(w)
			}
			commands, pages = append(commands, here...), pages+1
		}
	}
	if pages < 50 {
		t.Fatalf("only %d pages were found", pages)
	}
	return commands
}

// setting is where the commands of a page are typed.
type setting string

const (
	atTheShop    setting = "shop"    // beside `sluice up`, with a Rollout in each state that a page speaks of
	inACluster   setting = "cluster" // an API server, Helm, and the programs of the Pods
	withoutOne   setting = "alone"   // `sluice up` itself
	atTheDemo    setting = "demo"    // beside `sluice demo`
	inTheExample setting = "example" // beside `examples/try` of the page's folder
)

func settingOf(c command) setting {
	switch {
	case c.page == "docs/kubernetes.md", strings.HasPrefix(c.text, "sluice proxy-status") && strings.Contains(c.text, "--cert"), strings.HasPrefix(c.text, "helm "), strings.HasPrefix(c.text, "sluice controller "):
		return inACluster
	case c.page == "docs/standalone.md":
		return withoutOne
	case c.page == "docs/demo.md":
		return atTheDemo
	case strings.HasPrefix(c.page, "examples/") && c.page != "examples/bakery/README.md":
		return inTheExample
	}
	return atTheShop
}

// play types the commands of a setting in the order of the pages.
func (s *stage) play(commands []command) {
	s.t.Helper()
	for _, c := range commands {
		s.act(c, special()[c.text])
	}
}

// at gives the commands that this package types in a setting.
func at(t *testing.T, where setting) []command {
	t.Helper()
	var out []command
	for _, c := range library(t) {
		if c.by == here && settingOf(c) == where {
			out = append(out, c)
		}
	}
	if len(out) == 0 {
		t.Fatalf("no page has commands for the setting %q", where)
	}
	return out
}

// TestPages_everyCommandIsTypedByATest counts, and holds the list of what is special against the pages.
func TestPages_everyCommandIsTypedByATest(t *testing.T) {
	number, left := map[typist]int{}, maps.Clone(special())
	checked := regexp.MustCompile(`^(docs/[^/]+\.md|examples/[^/]+/README\.md|README\.md)$`) // what internal/cli reads
	for _, c := range library(t) {
		number[c.by]++
		switch {
		case c.by == tutorial && c.page != "docs/tutorial.md":
			t.Errorf("%s: terminals are typed in on docs/tutorial.md only", c)
		case c.by == offline && !checked.MatchString(c.page):
			t.Errorf("%s: no test compares the output of this page", c)
		}
		if c.by == here {
			delete(left, c.text)
			delete(left, shifted.ReplaceAllString(c.text, "31$1"))
		}
	}
	for text := range left {
		t.Errorf("no page says %q any more", text)
	}
	for text, h := range special() {
		if odd := h.none || len(h.lacks) > 0 || h.instead != "" || h.adds != "" || h.code != 0; odd && h.why == "" {
			t.Errorf("%q is not typed as it stands, and nobody says why", text)
		}
	}
	if number[here] < 100 || number[offline] < 30 || number[tutorial] < 12 {
		t.Errorf("commands found: %d here, %d offline, %d in the tutorial", number[here], number[offline], number[tutorial])
	}
}

// TestPages_testsThatTheyNameExist looks for the tests of `go test ./DIR -run NAME`, wherever a page says that.
func TestPages_testsThatTheyNameExist(t *testing.T) {
	root, err := child.Repository()
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile(`go test (?:-count=1 )?(?:-v )?(\./[a-z0-9/]+)[^` + "`" + `\n]*?-run '?([A-Za-z_|]+)'?`)
	pages, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, page := range append(pages, filepath.Join(root, "README.md")) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range named.FindAllStringSubmatch(string(text), -1) {
			if found++; m[2] == "xxx" { // none: benchmarks
				continue
			}
			if strings.Contains(string(text), "cd standalone && "+m[0]) {
				m[1] = "./standalone/" + strings.TrimPrefix(m[1], "./")
			}
			files, err := filepath.Glob(filepath.Join(root, m[1], "*_test.go"))
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range strings.Split(m[2], "|") {
				declared := regexp.MustCompile(`(?m)^func (Test|Benchmark)?\w*` + name)
				if !slices.ContainsFunc(files, func(f string) bool {
					code, err := os.ReadFile(f)
					return err == nil && declared.Match(code)
				}) {
					t.Errorf("%s: %s: no test of %s has %s in its name", filepath.Base(page), m[0], m[1], name)
				}
			}
		}
	}
	if found < 5 {
		t.Errorf("only %d tests are named by the pages", found)
	}
}

func TestPages_shop(t *testing.T) { openShop(t).play(at(t, atTheShop)) }
