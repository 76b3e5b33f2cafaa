package cli

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/api/problem"
)

func TestDocs_codesArePrintedFromTheCatalogue(t *testing.T) {
	const page = "../../docs/codes.md"
	want := problem.Page(problem.Catalogue())
	if *rewriteDocs {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("docs/codes.md is not what the catalogue says (-want +got); go test ./internal/cli -run Docs -rewrite\n%s", diff)
	}
}
