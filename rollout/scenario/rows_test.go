package scenario

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// lastRow is the highest number in the table of the package rollout.
const lastRow = 37

var code = regexp.MustCompile("`([^`]+)`")

// coded are the words between backquotes.
func coded(text string) []string {
	var out []string
	for _, m := range code.FindAllStringSubmatch(text, -1) {
		out = append(out, m[1])
	}
	return out
}

// TestPage_showsEachRow holds docs/scenarios.md against the files: each row of the transition table, and each thing that people ask
// for, has scenarios, and they show what the page says.
func TestPage_showsEachRow(t *testing.T) {
	text := page(t, "scenarios.md")
	rows, asked := 0, 0
	for line := range strings.Lines(text) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		switch len(cells) {
		case 5:
			if shown := show(t, cells[1], cells[2], coded(cells[3])); shown {
				rows++
			}
		case 4:
			if shown := show(t, cells[1], cells[2], nil); shown {
				asked++
			}
		}
	}
	if rows != lastRow || asked < 28 {
		t.Errorf("the page shows %d rows and %d things that people ask for, want %d and 28", rows, asked, lastRow)
	}
	all, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(all) < 60 {
		t.Errorf("there are %d scenarios, %v: want 60 or more", len(all), err)
	}
}

// show reports that a line of a table is one of scenarios; they hold the words then.
func show(t *testing.T, name, files string, words []string) bool {
	t.Helper()
	var scripts strings.Builder
	for _, file := range coded(files) {
		script, err := os.ReadFile(filepath.Join("testdata", file))
		if err != nil {
			t.Errorf("%s: %v", strings.TrimSpace(name), err)
		}
		scripts.Write(script)
	}
	for _, word := range words {
		if !strings.Contains(scripts.String(), word) {
			t.Errorf("row %s: none of %s holds %q", strings.TrimSpace(name), strings.TrimSpace(files), word)
		}
	}
	return scripts.Len() > 0
}
