package scenario

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var rewrite = flag.Bool("rewrite", false, "write what scenarios put out into their files")

func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) < 60 {
		t.Fatalf("%d scenario files, %v; want at least 60", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			script, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got, err := Play(string(script))
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			if strings.Contains(got, "\nexpected ") {
				t.Errorf("%s: an expectation failed:\n%s", file, got)
			}
			if diff := cmp.Diff(string(script), got); diff != "" {
				if *rewrite {
					if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
						t.Fatal(err)
					}
					return
				}
				t.Errorf("%s (-file +played):\n%s", file, diff)
			}
		})
	}
}
