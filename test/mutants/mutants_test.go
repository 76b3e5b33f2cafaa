package mutants

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

var (
	making  = flag.Bool("make", false, "make every mutant and run its tests, which takes a while")
	only    = flag.String("only", "", "make those mutants alone whose name and package (NAME in PACKAGE) match")
	rewrite = flag.Bool("rewrite", false, "write the page of mutants anew")
)

const (
	root = "../.."
	page = root + "/docs/mutants.md"
	// longest bounds one run of a test: a mutant may let it wait for ever, which is as good as red.
	longest = 90 * time.Second
	// building bounds what comes before it.
	building = 6 * time.Minute
)

// all reads the mutants, by file and then as they stand there.
func all(t *testing.T) []Mutant {
	t.Helper()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files of mutants: %v", len(files), err)
	}
	var out []Mutant
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		list, err := Read(file, string(text))
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, list...)
	}
	return out
}

// edited are the files of a mutant with its mistake in them, by their path in the module.
func edited(m Mutant) (map[string]string, error) {
	out := map[string]string{}
	for _, e := range m.Edits {
		text, known := out[e.File]
		if !known {
			content, err := os.ReadFile(filepath.Join(root, e.File))
			if err != nil {
				return nil, err
			}
			text = string(content)
		}
		next, err := e.Apply(text)
		if err != nil {
			return nil, err
		}
		out[e.File] = next
	}
	return out, nil
}

// Every mistake can still be made, is Go, and names tests that exist. No two have one name.
func TestMutants_canBeMade(t *testing.T) {
	names := map[string]bool{}
	for _, m := range all(t) {
		if names[m.Name] {
			t.Errorf("%q: the name stands twice", m.Name)
		}
		names[m.Name] = true
		files, err := edited(m)
		if err != nil {
			t.Errorf("%q: %v", m.Name, err)
			continue
		}
		for file, text := range files {
			if _, err := parser.ParseFile(token.NewFileSet(), file, text, parser.SkipObjectResolution); err != nil {
				t.Errorf("%q: %v", m.Name, err)
			}
		}
		known := testsOf(t, m.In)
		for _, name := range m.Tests {
			if !known[name] {
				t.Errorf("%q: %s has no test %s", m.Name, m.In, name)
			}
		}
	}
	if len(names) < 55 {
		t.Errorf("there are %d mutants, want 55 or more", len(names))
	}
}

// testsOf are the names of the tests of a package.
func testsOf(t *testing.T, pkg string) map[string]bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, pkg, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]bool{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range regexp.MustCompile(`(?m)^func (Test\w+|Fuzz\w+)\(`).FindAllSubmatch(text, -1) {
			out[string(match[1])] = true
		}
	}
	return out
}

// The page lists every mutant with the test that finds it.
func TestPage_listsEveryMutant(t *testing.T) {
	var rows strings.Builder
	for _, m := range all(t) {
		seen := m.Seen
		if seen == "" {
			seen = "—"
		}
		fmt.Fprintf(&rows, "| %s | %s | %s | `%s` %s |\n", m.Name, m.Breaks, seen, m.In, "`"+strings.Join(m.Tests, "`, `")+"`")
	}
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	const head = "|---|---|---|---|\n"
	before, after, found := strings.Cut(string(text), head)
	if !found {
		t.Fatalf("%s has no table", page)
	}
	_, after, _ = strings.Cut(after, "\n\n")
	want := before + head + rows.String() + "\n" + after
	switch {
	case want == string(text):
	case *rewrite:
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("%s does not list the mutants as they are\nnext: go test ./test/mutants -run Page -rewrite", page)
	}
}

// Each mistake that is made turns one of its tests red; as it is, all of them are green.
func TestMutants_areFound(t *testing.T) {
	list := all(t)
	if *only != "" {
		list = slices.DeleteFunc(list, func(m Mutant) bool { return !regexp.MustCompile(*only).MatchString(m.Name + " in " + m.In) })
	}
	if !*making && *only == "" {
		list = nil // the normal tests look only whether they can be made
	}
	green := map[string][]string{}
	for _, m := range list {
		green[m.In] = append(green[m.In], m.Tests...)
	}
	for _, pkg := range slices.Sorted(maps.Keys(green)) {
		t.Run("none in "+pkg, func(t *testing.T) {
			if out, err := run(t, "", pkg, green[pkg]); err != nil {
				t.Errorf("red without any mistake: %v\n%s", err, tail(out))
			}
		})
	}
	sum := &summary{began: time.Now()}
	t.Cleanup(func() { sum.say(t, len(list)) }) // after those that run side by side, too
	for _, m := range list {
		t.Run(m.Name, func(t *testing.T) {
			if slices.Contains(sideBySide(), m.In) {
				t.Parallel()
			}
			if end, bound := t.Deadline(); bound && time.Until(end) < building+longest {
				t.Fatal("no time is left to make it: a longer -timeout, or MUTANT=")
			}
			began := time.Now()
			out, err := run(t, overlay(t, m), m.In, m.Tests)
			switch took := time.Since(began); {
			case err == nil:
				t.Errorf("nobody noticed: %s stays green", strings.Join(m.Tests, ", "))
			case !ran(out):
				t.Errorf("the tests did not run: %v\n%s", err, tail(out))
			default:
				sum.add(m, took)
				t.Logf("%s after %.1f s: %s", verdict(out), took.Seconds(), first(out))
			}
		})
	}
}

// sideBySide are packages whose tests know no clock and wait for nothing, so that one does not turn red because another runs.
func sideBySide() []string {
	return []string{"analysis", "api/v1alpha1", "gitsync", "rollout/scenario", "xds/istio", "xds/sim"}
}

// summary is what a run of many mutants came to.
type summary struct {
	began time.Time

	mu    sync.Mutex // guards the rest
	found int
	took  map[string]time.Duration // by package
}

func (s *summary) add(m Mutant, took time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.took == nil {
		s.took = map[string]time.Duration{}
	}
	s.found++
	s.took[m.In] += took
}

func (s *summary) say(t *testing.T, all int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if all == 0 {
		return
	}
	t.Logf("%d of %d mistakes were found, in %.0f s", s.found, all, time.Since(s.began).Seconds())
	for _, pkg := range slices.Sorted(maps.Keys(s.took)) {
		t.Logf("%s: %.0f s", pkg, s.took[pkg].Seconds())
	}
}

// overlay writes the files of a mutant aside and gives the map by which the go command reads them.
func overlay(t *testing.T, m Mutant) string {
	t.Helper()
	files, err := edited(m)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	replace := map[string]string{}
	for file, text := range files {
		aside := filepath.Join(dir, strings.ReplaceAll(file, "/", "_"))
		if err := os.WriteFile(aside, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		whole, err := filepath.Abs(filepath.Join(root, file))
		if err != nil {
			t.Fatal(err)
		}
		replace[whole] = aside
	}
	data, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// run runs tests of a package, to the first that is red. What go vet thinks of a mistake is not asked.
func run(t *testing.T, overlay, pkg string, tests []string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), building+longest)
	defer cancel()
	args := []string{"test", "-count=1", "-failfast", "-vet=off", "-ldflags=-s -w", "-timeout", longest.String(), "-run", "^(" + strings.Join(tests, "|") + ")$"}
	if overlay != "" {
		args = append(args, "-overlay", overlay)
	}
	cmd := exec.CommandContext(ctx, "go", append(args, "./"+pkg)...)
	cmd.Dir = root
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if err == nil && strings.Contains(out.String(), "no tests to run") {
		err = fmt.Errorf("%s has none of the tests", pkg)
	}
	return out.String(), err
}

// ran reports that a test was run, and not only the compiler.
func ran(out string) bool {
	return !strings.Contains(out, "[build failed]") && !strings.Contains(out, "[setup failed]") && strings.Contains(out, "FAIL\t")
}

func verdict(out string) string {
	switch {
	case strings.Contains(out, "panic: test timed out"):
		return "never ends"
	case strings.Contains(out, "panic:"):
		return "panics"
	default:
		return "red"
	}
}

// first is the first test that failed.
func first(out string) string {
	for line := range strings.Lines(out) {
		if name, found := strings.CutPrefix(strings.TrimSpace(line), "--- FAIL: "); found {
			return name
		}
	}
	return "the process"
}

func tail(out string) string { return out[max(0, len(out)-4000):] }
