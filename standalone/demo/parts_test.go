package demo

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/standalone/stack"
)

// TestParts_theGitServerGivesHistoryAlone holds the demo's Git server against what forges do: without it Sluice cannot prove
// that a push is no rewrite, and says so in an Event.
func TestParts_theGitServerGivesHistoryAlone(t *testing.T) {
	t.Parallel()
	dir, err := stack.OpenDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = dir.Close() })
	p := &Parts{Settings: Settings{Dir: dir, Journal: &Journal{}, Now: time.Now}}
	p.secrets = newSecrets()
	if err := p.startGit(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.forge.server.Close() })
	work, err := p.forge.server.Clone(t.Context(), repository, filepath.Join(t.TempDir(), "work"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := work.CommitAll(t.Context(), "one", map[string]string{"a": "one"}); err != nil {
		t.Fatal(err)
	}
	if err := work.Push(t.Context()); err != nil {
		t.Fatal(err)
	}
	url := strings.Replace(p.forge.server.URL(repository), "http://", "http://"+gitUser+":"+p.secrets.git+"@", 1)
	out, err := exec.CommandContext(t.Context(), "git", "clone", "--bare", "--filter=tree:0", url, filepath.Join(t.TempDir(), "clone")).CombinedOutput()
	if err != nil || strings.Contains(string(out), "filtering not recognized") {
		t.Errorf("filters are not offered: %v %s", err, out)
	}
}
