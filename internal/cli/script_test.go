package cli

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

// TestScripts_printWhatTheySay plays the cases of testdata: their files are written into a directory, and the lines of
// "run" that begin with "$ sluice" are run in it. Below each stands what it prints to standard output, what it prints
// elsewhere behind "! ", and its exit code where that is not 0. A line may end in "< FILE".
func TestScripts_printWhatTheySay(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	home, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			t.Chdir(t.TempDir())
			t.Setenv("KUBECONFIG", "none")
			run := -1
			for i, f := range archive.Files {
				if f.Name == "run" {
					run = i
					continue
				}
				writeFile(t, f.Name, f.Data)
			}
			if run < 0 {
				t.Fatal("the case has no run")
			}
			want := string(archive.Files[run].Data)
			got := play(t, want)
			if *rewriteDocs {
				archive.Files[run].Data = []byte(got)
				if err := os.WriteFile(filepath.Join(home, path), txtar.Format(archive), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got); if that is meant: go test ./internal/cli -run Scripts -rewrite\n%s", diff)
			}
		})
	}
}

func writeFile(t *testing.T, name string, content []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// play runs the commands of a case and gives the case with what they print.
func play(t *testing.T, script string) string {
	t.Helper()
	var b strings.Builder
	ran := 0
	for line := range strings.Lines(script) {
		command, ok := strings.CutPrefix(line, "$ sluice ")
		if !ok {
			continue
		}
		if ran++; ran > 1 {
			b.WriteString("\n")
		}
		b.WriteString(line)
		command, input, _ := strings.Cut(strings.TrimSpace(command), " < ")
		var in []byte
		if input != "" {
			var err error
			if in, err = os.ReadFile(input); err != nil {
				t.Fatal(err)
			}
		}
		var out, errs bytes.Buffer
		code := Main(t.Context(), words(command), Streams{In: bytes.NewReader(in), Out: &out, Err: &errs}, Build{Version: "v1.2.3"})
		b.Write(out.Bytes())
		for text := range strings.Lines(errs.String()) {
			b.WriteString("! " + text)
		}
		if code != 0 {
			fmt.Fprintf(&b, "exit %d\n", code)
		}
	}
	if ran == 0 {
		t.Fatal("nothing was run")
	}
	return b.String()
}
