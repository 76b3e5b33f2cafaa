package lint_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/api/view"
	"github.com/sluice-dev/sluice/internal/cli/lint"
	"github.com/sluice-dev/sluice/xds/manifest"
)

// TestCatalogue_examplesShowTheirCode lints what stands before and after in each entry, in the mesh of testdata/mesh.yaml:
// the code is found in the first, and not in the second.
func TestCatalogue_examplesShowTheirCode(t *testing.T) {
	t.Parallel()
	around, err := os.ReadFile("testdata/mesh.yaml")
	if err != nil {
		t.Fatal(err)
	}
	tried := 0
	for _, e := range problem.Catalogue() {
		if e.Before == "" || strings.HasPrefix(e.Before, "# kustomization.yaml\n") {
			continue
		}
		tried++
		t.Run(e.Code, func(t *testing.T) {
			t.Parallel()
			before, after := within(t, e.Before, string(around)), within(t, e.After, string(around))
			if !has(before, e.Code) {
				t.Errorf("before: %v, want %s among them:\n%s", lines(before), e.Code, e.Before)
			}
			if has(after, e.Code) {
				t.Errorf("after: %v, want no %s:\n%s", lines(after), e.Code, e.After)
			}
			if after.Counts.Errors > 0 {
				t.Errorf("after: %v, want no error", lines(after))
			}
		})
	}
	if tried < 40 {
		t.Errorf("only %d entries have files", tried)
	}
}

// within lints the text beside the objects of around that it does not hold itself.
func within(t *testing.T, text, around string) view.LintReport {
	t.Helper()
	own := manifest.New()
	own.Load("example.yaml", []byte(text))
	var rest []string
	for doc := range strings.SplitSeq(around, "---\n") {
		one := manifest.New()
		one.Load("mesh.yaml", []byte(doc))
		if !slices.ContainsFunc(own.Items(), func(it manifest.Item) bool { return it.Ref == one.Items()[0].Ref }) {
			rest = append(rest, doc)
		}
	}
	return run(t, lint.Options{}, lint.File{Name: "example.yaml", Content: []byte(text)}, lint.File{Name: "mesh.yaml", Content: []byte(strings.Join(rest, "---\n"))})
}

// run lints files as one mesh.
func run(t *testing.T, o lint.Options, files ...lint.File) view.LintReport {
	t.Helper()
	mesh := manifest.New()
	for _, f := range files {
		mesh.Load(f.Name, f.Content)
	}
	report, err := lint.Run(lint.Input{Units: []lint.Unit{{Mesh: mesh}}, Files: files}, o)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func has(r view.LintReport, code string) bool {
	return slices.ContainsFunc(r.Problems, func(p problem.Problem) bool { return p.Code == code && filepath.Base(p.Path) == "example.yaml" })
}

func lines(r view.LintReport) string {
	var b strings.Builder
	for _, p := range r.Problems {
		b.WriteString("\n  " + p.String())
	}
	return b.String()
}
