package render

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sluice-dev/sluice/gitsync"
)

// tower is a kustomization over kustomizations, so many in all, with one object in each.
func tower(levels int) map[string]string {
	files := map[string]string{}
	dir := "app"
	for i := range levels {
		resources := "resources: [cm.yaml, next]\n"
		if i == levels-1 {
			resources = "resources: [cm.yaml]\n"
		}
		files[dir+"/kustomization.yaml"] = resources
		files[dir+"/cm.yaml"] = strings.Replace(configMap, "name: a", fmt.Sprintf("name: a%d", i), 1)
		dir += "/next"
	}
	return files
}

// TestRender_limitsOfKustomize holds each at the limit and not beyond, before kustomize sees anything.
func TestRender_limitsOfKustomize(t *testing.T) {
	t.Parallel()
	for name, limit := range map[string]func(n int) Limits{
		"kustomizeResources": func(n int) Limits { return Limits{KustomizeResources: n} },
		"kustomizations":     func(n int) Limits { return Limits{Kustomizations: n} },
		"kustomizeDepth":     func(n int) Limits { return Limits{KustomizeDepth: n} },
		"resources":          func(n int) Limits { return Limits{Resources: n} },
		"files":              func(n int) Limits { return Limits{Files: 2 * n} },
	} {
		if build := renderFiles(t, limit(3), tower(3)); len(build.Problems) > 0 || len(build.Objects) != 3 {
			t.Errorf("%s at the limit: %d objects, %v", name, len(build.Objects), build.Problems)
		}
		build := renderFiles(t, limit(3), tower(4))
		if len(build.Objects) > 0 || build.Reason != gitsync.LimitExceeded && build.Reason != gitsync.BuildFailed || len(build.Problems) == 0 ||
			(build.Problems[0].Code != "S306" && build.Problems[0].Code != "S209") {
			t.Errorf("%s beyond the limit: %s, %d objects, %v; want S306", name, build.Reason, len(build.Objects), build.Problems)
		}
	}
}

// FuzzPrescan renders a kustomization of any text beside files that it may name: nothing from elsewhere gets into what
// kustomize would see, and what the scan lets through stands in the tree.
func FuzzPrescan(f *testing.F) {
	for _, seed := range []string{"resources: [cm.yaml]\n", "resources: [../base, cm.yaml]\n", "resources: ['https://h/x.yaml']\n", "bases: [GitHub.com/o/r]\n",
		"configMapGenerator:\n- name: a\n  files: [key=/etc/passwd]\n", "configMapGenerator:\n- name: a\n  files: [key=cm.yaml]\n", "resources: [../../..]\n", "resources: [a//b]\n",
		"patches:\n- path: cm.yaml\n  target: {kind: ConfigMap}\n", "patchesStrategicMerge:\n- |-\n  a: b\n", "components: [.]\n", "resources: [&a cm.yaml, *a]\n",
		"Resources: ['https://h/x']\n", "helmCharts: [{name: x}]\n", "resources: ['git::x', 'a?ref=b', \"cm.yaml\\0\"]\n", "- a\n", "{resources: [cm.yaml], resources: [x]}"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		files := map[string]string{"app/kustomization.yaml": text, "app/cm.yaml": configMap, "base/kustomization.yaml": "resources: [x.yaml]\n", "base/x.yaml": configMap, "other/secret": "s"}
		limits := Limits{Files: 20, Nodes: 500, Depth: 20}.withDefaults()
		b := &build{files: newReader(treeOf(files), limits), limits: limits, root: "app", room: limits.ReadBytes}
		s := b.prescan()
		for p, content := range s.content {
			if want, there := files[p]; !there || want != string(content) {
				t.Fatalf("%q would be shown to kustomize as %q", p, content)
			}
		}
		if b.reason != "" {
			return
		}
		for _, field := range []string{"helm", "generators", "transformers", "validators", "openapi"} {
			for line := range strings.Lines(text) {
				if strings.HasPrefix(line, field+":") {
					t.Fatalf("%q passed", line)
				}
			}
		}
		if strings.Contains(text, "://") && strings.HasPrefix(text, "resources: ['https://") {
			t.Fatalf("%q passed", text)
		}
	})
}
