package sim_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const leastCases = 120

// TestCases_showEveryRule holds testdata/rules.txt against the cases: each rule has one, and each case that it names
// exists.
func TestCases_showEveryRule(t *testing.T) {
	data, err := os.ReadFile("testdata/rules.txt")
	if err != nil {
		t.Fatal(err)
	}
	have, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	if len(have) < leastCases {
		t.Errorf("there are %d cases, want %d", len(have), leastCases)
	}
	rules := 0
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") || strings.HasPrefix(line, "==") {
			continue
		}
		rules++
		at := strings.LastIndex(line, ": ")
		if at < 0 {
			t.Errorf("no case shows this rule: %s", line)
			continue
		}
		for name := range strings.FieldsSeq(line[at+1:]) {
			if !slices.Contains(have, "testdata/"+name+".txtar") {
				t.Errorf("there is no case %s, which should show: %s", name, line[:at])
			}
		}
	}
	if rules < 80 {
		t.Errorf("only %d rules were read", rules)
	}
}

// TestCases_showEveryCode finds the codes that the compiler reports in its source, and each of them in some case.
func TestCases_showEveryCode(t *testing.T) {
	elsewhere := map[string]string{
		"S034": "it needs to know which proxies are connected; xds/istio tests it",
	}
	paths, err := filepath.Glob("../istio/*.go")
	if err != nil {
		t.Fatal(err)
	}
	code := regexp.MustCompile(`"(S\d{3})"`)
	reported := map[string]bool{}
	for _, p := range paths {
		if strings.HasSuffix(p, "_test.go") {
			continue
		}
		source, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range code.FindAllStringSubmatch(string(source), -1) {
			reported[m[1]] = true
		}
	}
	if len(reported) < 40 {
		t.Errorf("only %d codes were found in the compiler's source", len(reported))
	}
	shown := map[string]bool{}
	for _, s := range stories(t) {
		for _, p := range s.problems {
			shown[p.Code] = true
		}
	}
	for c := range reported {
		if _, ok := elsewhere[c]; !ok && !shown[c] {
			t.Errorf("no case shows code %s", c)
		}
	}
}
