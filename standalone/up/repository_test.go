package up

import (
	"errors"
	"os/exec"
	"strings"
	"testing"

	"github.com/sluice-dev/sluice/internal/cli"
)

func TestFindRepository_takesHTTPSAndLoopback(t *testing.T) {
	for _, url := range []string{"https://git.example.com/shop.git", "http://127.0.0.1:3000/x", "http://localhost/x", "http://[::1]:3000/x"} {
		r, err := findRepository(t.Context(), url, "main")
		if err != nil || r.url != url || r.branch != "main" || r.tree != nil {
			t.Errorf("%s: got %+v, %v", url, r, err)
		}
	}
}

func TestFindRepository_refusesWithTheNextStep(t *testing.T) {
	plain, empty := t.TempDir(), t.TempDir()
	if out, err := exec.Command("git", "init", "-q", "-b", "main", empty).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for from, want := range map[string]string{
		"file:///srv/git/shop.git":             "file is not supported",
		"ssh://git@example.com/shop.git":       "holds credentials",
		"git@example.com:shop.git":             "SSH is not supported",
		"http://git.example.com/shop.git":      "plain http is for loopback only",
		"https://bob:secret@example.com/x.git": "holds credentials",
		"https://%zz:secret@example.com/x.git": "cannot be read",
		plain:                                  "not inside a Git work tree",
		empty:                                  `branch "main"`,
		"https:///x":                           "https is not supported",
	} {
		_, err := findRepository(t.Context(), from, "")
		exit, ok := errors.AsType[*cli.Exit](err)
		if !ok || exit.Code != cli.ExitUsage || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want a usage error with %q", from, err, want)
			continue
		}
		if strings.Contains(err.Error()+exit.Next, "secret@") || strings.Contains(err.Error(), ":secret") {
			t.Errorf("%s: the answer shows the password: %v", from, err)
		}
		if from == plain && !strings.Contains(exit.Next, "git init") {
			t.Errorf("%s: next is %q, want git init", from, exit.Next)
		}
	}
}

func TestQuote(t *testing.T) {
	for word, want := range map[string]string{"/a/b.c": "/a/b.c", "a b": "'a b'", "": "''", "it's": `'it'\''s'`, "$x": "'$x'"} {
		if got := quote(word); got != want {
			t.Errorf("%q: got %s, want %s", word, got, want)
		}
	}
}
