package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", append([]string{"-C", dir, "-c", "user.name=Ana", "-c", "user.email=ana@example.com"}, args...)...)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func TestRun_saysWhatWasBuiltFromWhat(t *testing.T) {
	repository, release := t.TempDir(), t.TempDir()
	write(t, repository, map[string]string{"go.sum": "a\n", "standalone/go.sum": "b\n"})
	git(t, repository, "init", "-q")
	git(t, repository, "add", "-A")
	git(t, repository, "commit", "-qm", "first")
	write(t, release, map[string]string{"sluice.tar.gz": "archive\n"})
	sum, err := digest(filepath.Join(release, "sluice.tar.gz"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, release, map[string]string{"checksums.txt": sum + "  sluice.tar.gz\n"})
	c, list, out := config{dir: repository, builder: "urn:test"}, filepath.Join(release, "checksums.txt"), filepath.Join(release, "out.json")
	said := func() (s statement) {
		t.Helper()
		if err := run(t.Context(), c, []string{list}, out); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, &s); err != nil {
			t.Fatal(err)
		}
		return s
	}

	s := said()
	if s.Type != "https://in-toto.io/Statement/v1" || s.PredicateType != "https://slsa.dev/provenance/v1" || s.Predicate.RunDetails.Builder.ID != "urn:test" {
		t.Errorf("it is %q of %q, by %q", s.PredicateType, s.Type, s.Predicate.RunDetails.Builder.ID)
	}
	if len(s.Subject) != 1 || s.Subject[0].Name != "sluice.tar.gz" || s.Subject[0].Digest["sha256"] != sum {
		t.Errorf("subjects: %+v", s.Subject)
	}
	of := s.Predicate.BuildDefinition.ResolvedDependencies
	if head := git(t, repository, "rev-parse", "HEAD"); len(of) != 4 || of[0].Digest["gitCommit"] != head || of[1].Digest["sha256"] == "" {
		t.Errorf("made from %+v, want commit %s first", of, head)
	}

	write(t, repository, map[string]string{"go.sum": "changed\n"})
	if s := said(); s.Predicate.BuildDefinition.ResolvedDependencies[0].Digest != nil || s.Predicate.BuildDefinition.InternalParameters["changedSince"] == "" {
		t.Errorf("a changed work tree passes for a commit: %+v", s.Predicate.BuildDefinition)
	}
	write(t, release, map[string]string{"sluice.tar.gz": "another\n"})
	if err := run(t.Context(), c, []string{list}, out); err == nil || !strings.Contains(err.Error(), "and it is") {
		t.Errorf("a file that is not that of the list: %v", err)
	}
}
