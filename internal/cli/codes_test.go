package cli

import (
	"bytes"
	"os"
	"strings"
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

// TestDocs_kustomizationsOfTheCatalogueShowTheirCode builds what stands before and after in entries about kustomizations,
// beside a file configmap.yaml.
func TestDocs_kustomizationsOfTheCatalogueShowTheirCode(t *testing.T) {
	tried := 0
	for _, e := range problem.Catalogue() {
		if !strings.HasPrefix(e.Before, "# kustomization.yaml\n") {
			continue
		}
		tried++
		t.Run(e.Code, func(t *testing.T) {
			t.Chdir(t.TempDir())
			writeFile(t, "configmap.yaml", []byte("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: shop, namespace: shop}\ndata: {greeting: hello, farewell: bye}\n"))
			for text, want := range map[string]string{e.Before: e.Code, e.After: ""} {
				writeFile(t, "kustomization.yaml", []byte(text))
				var out bytes.Buffer
				code := Main(t.Context(), []string{"lint", ".", "-o", "json"}, Streams{Out: &out, Err: &out}, Build{})
				if found := strings.Contains(out.String(), `"code": "`+e.Code+`"`); found != (want != "") || (code == 0) != (want == "") {
					t.Errorf("exit %d, found %v:\n%s\n%s", code, found, text, out.String())
				}
			}
		})
	}
	if tried < 5 {
		t.Errorf("only %d entries hold a kustomization", tried)
	}
}
