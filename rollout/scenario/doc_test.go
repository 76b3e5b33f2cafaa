package scenario

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/rollout"
)

func page(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestPage_playsItsStory plays the scripts that stand on the kinds' pages.
func TestPage_playsItsStory(t *testing.T) {
	for _, name := range []string{"rollout.md", "rolloutaction.md", "source.md", "notifier.md", "metrictemplate.md"} {
		_, rest, found := strings.Cut(page(t, name), "```scenario\n")
		script, _, closed := strings.Cut(rest, "```")
		if !found || !closed {
			t.Fatalf("%s holds no scenario", name)
		}
		got, err := Play(script)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(script, got); diff != "" {
			t.Errorf("docs/%s (-page +played):\n%s", name, diff)
		}
	}
}

// TestPage_namesEveryReasonAndPhase says that nothing can happen that the page does not know.
func TestPage_namesEveryReasonAndPhase(t *testing.T) {
	text := page(t, "rollout.md")
	missing := map[string]bool{}
	for _, e := range rollout.Edges() {
		for _, word := range []string{string(e.Reason), e.From.String(), e.To.String()} {
			if !strings.Contains(text, "`"+word+"`") {
				missing[word] = true
			}
		}
	}
	for _, r := range rollout.FailReasons() {
		if !strings.Contains(text, "`"+string(r)+"`") {
			missing[string(r)] = true
		}
	}
	if len(missing) > 0 {
		t.Errorf("docs/rollout.md does not name %s", fmt.Sprint(missing))
	}
}
