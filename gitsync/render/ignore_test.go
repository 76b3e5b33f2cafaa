package render

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-dev/sluice/gitsync"
	"github.com/sluice-dev/sluice/test/gitserver"
)

// The git program itself says what its patterns mean.
func TestIgnored_asGitSays(t *testing.T) {
	t.Parallel()
	paths := []string{"a.yaml", "b.yaml", "dir/a.yaml", "dir/b.yml", "dir/sub/a.yaml", "dir/sub/deep/a.yaml", "other/dir/a.yaml", "other/x.json", "x[1].yaml", "x1.yaml", "foo/bar.yaml", "a/foo/bar.yaml", "#x.yaml", "!x.yaml"}
	for _, patterns := range [][]string{
		{"a.yaml"}, {"/a.yaml"}, {"dir/"}, {"dir"}, {"dir/*"}, {"dir/**"}, {"**/dir"}, {"dir/**/a.yaml"}, {"*.yaml", "!b.yaml"}, {"*", "!a.yaml"}, {"x[1].yaml"}, {`x\[1\].yaml`},
		{"[!a].yaml"}, {"?.yaml"}, {"foo/bar.yaml"}, {"**/foo/bar.yaml"}, {"a.yaml/"}, {"# comment", "", "a.yaml  "}, {`\#x.yaml`}, {`\!x.yaml`}, {"dir/", "!dir/a.yaml"}, {"dir/*", "!dir/sub/"},
		{"sub/deep"}, {"/**/a.yaml"}, {"**"}, {"/"}, {"d*r/*.yml"},
	} {
		root := t.TempDir()
		git := func(stdin string, args ...string) string {
			cmd := exec.CommandContext(t.Context(), "git", args...)
			cmd.Dir, cmd.Env, cmd.Stdin = root, gitserver.Environment(root), strings.NewReader(stdin)
			out, err := cmd.Output()
			if exit, ok := err.(*exec.ExitError); err != nil && (!ok || exit.ExitCode() != 1) { //nolint:errorlint // of this very call
				t.Fatalf("git %v: %v", args, err)
			}
			return string(out)
		}
		git("", "init", "--quiet")
		files := map[string]string{}
		for i, p := range paths {
			files["app/"+p] = strings.Replace(configMap, "name: a", fmt.Sprint("name: a", i), 1)
			if err := os.MkdirAll(filepath.Dir(filepath.Join(root, p)), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(root, p), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(root, ".gitignore"), []byte(strings.Join(patterns, "\n")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		want := slices.DeleteFunc(strings.Split(git("", "ls-files", "--others", "--exclude-standard", "-z"), "\x00"), func(p string) bool { return p == "" || p == ".gitignore" })
		build, err := New(Limits{}).Render(t.Context(), treeOf(files), gitsync.Options{Path: "app", Ignore: patterns})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, o := range build.Objects {
			got = append(got, strings.TrimPrefix(o.Path, "app/"))
		}
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(want, got) {
			t.Errorf("%q: rendered %q, git keeps %q", patterns, got, want)
		}
	}
}

func TestIgnored_refusesWhatItCannotRead(t *testing.T) {
	t.Parallel()
	build, err := New(Limits{}).Render(t.Context(), treeOf(map[string]string{"a.yaml": configMap}), gitsync.Options{Ignore: []string{"[a"}})
	if err != nil || build.Reason != gitsync.BuildFailed || len(build.Problems) != 1 || build.Problems[0].Code != "S327" {
		t.Errorf("got %+v, %v, want S327", build, err)
	}
}
