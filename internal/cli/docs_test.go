package cli

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var rewriteDocs = flag.Bool("rewrite", false, "rewrite what the commands in the docs print")

// TestDocs_commandsPrintWhatTheySay runs every `$ sluice` line of the console blocks in the docs, in the repository's
// directory, and compares what the block says with what it prints.
func TestDocs_commandsPrintWhatTheySay(t *testing.T) {
	t.Chdir("../..")
	pages, err := filepath.Glob("docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	examples, err := filepath.Glob("examples/*/README.md")
	if err != nil {
		t.Fatal(err)
	}
	ran := 0
	for _, page := range slices.Concat(pages, examples, []string{"README.md"}) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		got, n := runBlocks(t, string(text))
		ran += n
		if *rewriteDocs {
			if err := os.WriteFile(page, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if diff := cmp.Diff(string(text), got); diff != "" {
			t.Errorf("%s says otherwise (-says +prints); if that is meant: go test ./internal/cli -run Docs -rewrite\n%s", page, diff)
		}
	}
	if ran < 5 {
		t.Errorf("only %d commands were found in the docs", ran)
	}
}

// runBlocks gives the page with every console block of sluice commands followed by what they print.
func runBlocks(t *testing.T, page string) (string, int) {
	t.Helper()
	var out strings.Builder
	ran, inside := 0, false
	for line := range strings.Lines(page) {
		command, isCommand := strings.CutPrefix(line, "$ sluice ")
		switch {
		case strings.HasPrefix(line, "```"):
			inside = line == "```console\n"
		case inside && isCommand:
			out.WriteString(line)
			out.WriteString(runLine(t, strings.TrimSpace(command)))
			ran++
			continue
		case inside && ran > 0 && !strings.HasPrefix(line, "$ "):
			continue // what the command printed when the page was written
		}
		out.WriteString(line)
	}
	return out.String(), ran
}

func runLine(t *testing.T, command string) string {
	t.Helper()
	var out, errs bytes.Buffer
	command, input, _ := strings.Cut(command, " < ")
	var in []byte
	if input != "" {
		var err error
		if in, err = os.ReadFile(input); err != nil {
			t.Fatal(err)
		}
	}
	if code := Main(t.Context(), words(command), Streams{In: bytes.NewReader(in), Out: &out, Err: &errs}, Build{}); code != 0 {
		t.Errorf("sluice %s: exit %d\n%s", command, code, errs.String())
	}
	return out.String()
}

// words splits a command as a shell would that knows single quotes only.
func words(s string) []string {
	var out []string
	for i, part := range strings.Split(s, "'") {
		if i%2 == 1 {
			out = append(out, part)
			continue
		}
		out = append(out, strings.Fields(part)...)
	}
	return out
}

// TestDocs_makeTargetsExist holds every `make TARGET` that the docs name against the Makefile.
func TestDocs_makeTargetsExist(t *testing.T) {
	t.Chdir("../..")
	makefile, err := os.ReadFile("Makefile")
	if err != nil {
		t.Fatal(err)
	}
	pages, err := filepath.Glob("docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, page := range append(pages, "README.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range makeTarget.FindAllStringSubmatch(string(text), -1) {
			found++
			if !strings.Contains(string(makefile), "\n"+m[1]+": ") {
				t.Errorf("%s names `make %s`, which is not in the Makefile", page, m[1])
			}
		}
	}
	if found < 3 {
		t.Errorf("only %d make targets were found in the docs", found)
	}
}

// makeTarget finds make and a target where a command stands: in backquotes or at the start of an indented line.
var makeTarget = regexp.MustCompile("(?m)(?:`|^    )make ([a-z0-9-]+)")
