package scenario

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestCounts_areTheReference fixes how many transitions the reference stories take: more would be a detour, fewer a leap.
func TestCounts_areTheReference(t *testing.T) {
	t.Parallel()
	transition := regexp.MustCompile(`^[0-9]+ [A-Za-z]+ > `)
	for _, row := range []struct {
		file, before string // counted until this reason
		want         int
	}{
		{"count-good", "", 9},
		{"regression-at-50", "", 7},
		{"superseded-at-15", " attempt=2 v3", 5},
		{"blue-green", "", 9},
	} {
		text, err := os.ReadFile("testdata/" + row.file + ".txt")
		if err != nil {
			t.Fatal(err)
		}
		got, adopted := 0, false
		for line := range strings.Lines(string(text)) {
			if row.before != "" && strings.Contains(line, row.before) {
				break
			}
			if adopted && transition.MatchString(line) {
				got++
			}
			adopted = adopted || strings.Contains(line, " Adopted ")
		}
		if got != row.want {
			t.Errorf("%s takes %d transitions after adoption, want %d", row.file, got, row.want)
		}
	}
}
