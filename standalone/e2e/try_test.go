package e2e

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/test/child"
	"github.com/sluice-dev/sluice/test/poll"
	"github.com/sluice-dev/sluice/test/proxy"
)

// TestExample_runsWithoutACluster does what the examples' page says: try, ask, change a line, commit. The ports are others than
// in the files, for those are taken by the tests beside.
func TestExample_runsWithoutACluster(t *testing.T) {
	root, err := child.Repository()
	if err != nil {
		t.Fatal(err)
	}
	tree, log := elsewhere(t, filepath.Join(root, "examples", "canary"), "191", "199"), filepath.Join(t.TempDir(), "try.log")
	out, err := os.Create(log)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd := exec.Command(filepath.Join(root, "examples", "try"), "canary", tree, "--state", t.TempDir(), "--name", "try", "--envoy", proxy.Binary(t))
	cmd.Env, cmd.Stdout, cmd.Stderr = append(os.Environ(), "ERRORS=100", "SLUICE="+os.Getenv("SLUICE_FULL")), out, out
	try, err := child.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := try.Stop(30 * time.Second); err != nil && !strings.Contains(err.Error(), "exit status 130") {
			t.Errorf("stopping try: %v\n%s", err, child.Tail(log, 4<<10))
		}
	})
	said := filepath.Join(t.TempDir(), "ask.log")
	ask := exec.CommandContext(t.Context(), filepath.Join(root, "examples", "ask.py"), "19900", "--rps", "300")
	told, err := os.Create(said)
	if err != nil {
		t.Fatal(err)
	}
	defer told.Close()
	ask.Stdout, ask.Stderr = told, told
	asking, err := child.Start(ask)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = asking.Stop(5 * time.Second) })

	reads(t, said, log, "v1: ")
	file := filepath.Join(tree, "deploy", "rollout.yaml")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(strings.Replace(string(text), "subset: v1", "subset: v2", 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	commit := exec.CommandContext(t.Context(), "git", "-C", tree, "-c", "user.name=Ana", "-c", "user.email=ana@example.com", "commit", "-qam", "reviews: v2")
	if text, err := commit.CombinedOutput(); err != nil {
		t.Fatalf("git commit: %v\n%s", err, text)
	}
	reads(t, said, log, "v2 500: ") // it failed, and
	err = poll.Until(60*time.Second, func() error {
		lines := strings.Split(strings.TrimSpace(child.Tail(said, 1<<10)), "\n")
		for _, line := range lines[max(0, len(lines)-3):] {
			if !strings.HasPrefix(line, "v1: ") || strings.Contains(line, "v2") {
				return fmt.Errorf("%q: not v1 alone", line)
			}
		}
		return nil
	})
	if err != nil { // went back
		t.Fatalf("%v\n%s", err, child.Tail(log, 4<<10))
	}
}

// elsewhere copies a folder, with other numbers in its files.
func elsewhere(t *testing.T, from, old, other string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "tree")
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		at := filepath.Join(to, strings.TrimPrefix(path, from))
		if d.IsDir() {
			return os.MkdirAll(at, 0o755)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(at, []byte(strings.ReplaceAll(string(text), old, other)), 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
	script := "git init -q -b main && git add -A && git -c user.name=Ana -c user.email=ana@example.com commit -qm 'first version'"
	cmd := exec.CommandContext(t.Context(), "bash", "-c", script)
	cmd.Dir = to
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", script, err, text)
	}
	return to
}

// reads waits until a file holds the words.
func reads(t *testing.T, file, log, words string) {
	t.Helper()
	err := poll.Until(90*time.Second, func() error {
		if text := child.Tail(file, 64<<10); !strings.Contains(text, words) {
			return fmt.Errorf("no %q in %q", words, child.Tail(file, 300))
		}
		return nil
	})
	if err != nil {
		t.Fatalf("%v\n%s", err, child.Tail(log, 4<<10))
	}
}
