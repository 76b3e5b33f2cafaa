package scenario

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/rollout"
)

func page(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/rollout.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestPage_playsItsStory plays the script that stands on the kind's page.
func TestPage_playsItsStory(t *testing.T) {
	_, rest, found := strings.Cut(page(t), "```scenario\n")
	script, _, closed := strings.Cut(rest, "```")
	if !found || !closed {
		t.Fatal("the page holds no scenario")
	}
	got, err := Play(script)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(script, got); diff != "" {
		t.Errorf("docs/rollout.md (-page +played):\n%s", diff)
	}
}

// TestPage_namesEveryReasonAndPhase says that nothing can happen that the page does not know.
func TestPage_namesEveryReasonAndPhase(t *testing.T) {
	text := page(t)
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
