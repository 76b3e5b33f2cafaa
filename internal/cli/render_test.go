package cli_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluice-dev/sluice/internal/cli"
	"github.com/sluice-dev/sluice/test/gitserver"
	"github.com/sluice-dev/sluice/test/gitserver/gittest"
)

func offline(t *testing.T, args ...string) (int, string, string) {
	t.Helper()
	var out, errs bytes.Buffer
	code := cli.Main(t.Context(), args, cli.Streams{In: strings.NewReader(""), Out: &out, Err: &errs}, cli.Build{})
	return code, out.String(), errs.String()
}

func TestRender_readsEachKindOfRef(t *testing.T) {
	t.Parallel()
	s := gittest.Start(t, gitserver.Config{Username: "bob", Password: "canary-hunter2"})
	w := gittest.Repository(t, s, "app")
	file := func(v string) map[string]string {
		return map[string]string{"prod/a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {k: " + v + "}\n"}
	}
	first := gittest.Push(t, w, "first", file("one"))
	if _, err := s.Git(t.Context(), "app", "tag", "v1", first); err != nil {
		t.Fatal(err)
	}
	gittest.Push(t, w, "second", file("two"))
	secret := filepath.Join(t.TempDir(), "secret.yaml")
	text := "apiVersion: v1\nkind: Secret\nmetadata: {name: git}\nstringData: {username: bob, password: canary-hunter2}\n"
	if err := os.WriteFile(secret, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for ref, want := range map[string]string{"": "two", "main": "two", "v1": "one", "refs/heads/main": "two", first: "one"} {
		code, out, errs := offline(t, "render", "--git", s.URL("app"), "--ref", ref, "--path", "prod", "--secret", secret)
		if code != 0 || !strings.Contains(out, "k: "+want) || !strings.Contains(out, "namespace: default") {
			t.Errorf("%q: exit %d, %s%s; want %s", ref, code, out, errs, want)
		}
	}
	for name, row := range map[string]struct {
		args []string
		code int
	}{
		"no such ref":          {[]string{"--ref", "gone", "--secret", secret}, cli.ExitNotFound},
		"no credentials":       {nil, cli.ExitUnauthorized},
		"no such path":         {[]string{"--path", "staging", "--secret", secret}, cli.ExitNo},
		"a Secret that is not": {[]string{"--secret", "render_test.go"}, cli.ExitUsage},
	} {
		code, out, errs := offline(t, append([]string{"render", "--git", s.URL("app")}, row.args...)...)
		if code != row.code || out != "" || errs == "" || strings.Contains(fmt.Sprint(out, errs), "canary") {
			t.Errorf("%s: exit %d, %q, %q; want %d and nothing secret", name, code, out, errs, row.code)
		}
	}
}
