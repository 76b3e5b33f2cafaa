package render

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/gitsync"
)

// BenchmarkRender builds n objects, ten to a file, as plain files and through kustomize with a label for all.
func BenchmarkRender(b *testing.B) {
	for _, row := range []struct {
		kind  string
		sizes []int
	}{{"plain", []int{10, 100, 1000, 4000}}, {"kustomize", []int{10, 100, 1000, 4000}}} {
		for _, n := range row.sizes {
			b.Run(fmt.Sprintf("%s/n=%d", row.kind, n), func(b *testing.B) {
				files, names := map[string]string{}, []string{}
				for f := range (n + 9) / 10 {
					var text strings.Builder
					for i := range 10 {
						fmt.Fprintf(&text, "---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: c%d\n  labels: {app: shop}\ndata:\n  a: one\n  b: two\n  c: |\n    some\n    lines\n", f*10+i)
					}
					name := fmt.Sprintf("f%d.yaml", f)
					files["app/"+name], names = text.String(), append(names, name)
				}
				if row.kind == "kustomize" {
					files["app/kustomization.yaml"] = "labels:\n- pairs: {team: web}\nresources:\n- " + strings.Join(names, "\n- ") + "\n"
				}
				limits := Limits{}
				if row.kind == "kustomize" && n > 2000 { // more than is allowed, and slow: kustomize is quadratic
					limits.KustomizeResources, limits.BuildTime = n, 5*time.Minute
				}
				tree, r := treeOf(files), New(limits)
				once := func() {
					build, err := r.Render(b.Context(), tree, gitsync.Options{Path: "app", Namespace: "shop"})
					if err != nil || len(build.Objects) != n || len(build.Problems) != 0 {
						b.Fatalf("%d objects, %v, %v; want %d", len(build.Objects), build.Problems, err, n)
					}
				}
				begun := time.Now()
				once()
				cold := time.Since(begun)
				for b.Loop() {
					if limits.BuildTime == 0 { // else once is enough
						once()
					}
				}
				b.ReportMetric(cold.Seconds()*1e3, "cold-ms")
			})
		}
	}
}
