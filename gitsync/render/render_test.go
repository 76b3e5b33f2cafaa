package render

import (
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/sluice-dev/sluice/api/document"
	"github.com/sluice-dev/sluice/gitsync"
)

var rewrite = flag.Bool("rewrite", false, "rewrite the goldens")

// memoryTree is a tree of files in memory.
type memoryTree struct{ fstest.MapFS }

// Hash gives the content itself, shortened: equal content, equal hash.
func (m memoryTree) Hash(p string) string {
	if info, err := m.Stat(p); err != nil {
		return ""
	} else if info.IsDir() {
		return "dir"
	}
	return fmt.Sprintf("%d bytes", len(m.MapFS[p].Data))
}

// Stat does not follow links, as in a commit's tree.
func (m memoryTree) Stat(p string) (fs.FileInfo, error) { return m.Lstat(p) }

func (m memoryTree) Commit() gitsync.Commit { return gitsync.Commit{ID: "c"} }
func (m memoryTree) Close() error           { return nil }

// treeOf makes a tree; a name that ends in @link or @module is a link or a submodule.
func treeOf(files map[string]string) memoryTree {
	out := fstest.MapFS{}
	for name, content := range files {
		mode := fs.FileMode(0o444)
		if stem, ok := strings.CutSuffix(name, "@link"); ok {
			name, mode = stem, fs.ModeSymlink|0o444
		} else if stem, ok := strings.CutSuffix(name, "@module"); ok {
			name, mode = stem, fs.ModeIrregular|0o444
		}
		out[name] = &fstest.MapFile{Data: []byte(content), Mode: mode}
	}
	return memoryTree{out}
}

// show writes a build as the goldens hold it.
func show(b gitsync.Build) string {
	var out strings.Builder
	if b.Reason != "" {
		fmt.Fprintf(&out, "reason %s\n", b.Reason)
	}
	for _, o := range b.Objects {
		fmt.Fprintf(&out, "object %s %s %s:%d\n", o.ID, o.Version, o.Path, o.Line)
		content, err := gitsync.Canonical(o.Content)
		if err != nil {
			fmt.Fprintf(&out, "  not JSON: %v\n", err)
		}
		fmt.Fprintf(&out, "  %s\n", content)
	}
	for _, p := range b.Problems {
		fmt.Fprintf(&out, "%s\n", p)
	}
	for _, p := range slices.Sorted(maps.Keys(b.Reads)) {
		state := b.Reads[p]
		if state == "" {
			state = "absent"
		}
		fmt.Fprintf(&out, "read %s %s\n", p, state)
	}
	return out.String()
}

func TestRender_goldens(t *testing.T) {
	t.Parallel()
	goldens, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(goldens) == 0 {
		t.Fatalf("no goldens: %v", err)
	}
	r := New(Limits{})
	for _, golden := range goldens {
		t.Run(filepath.Base(golden), func(t *testing.T) {
			t.Parallel()
			archive, err := txtar.ParseFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			files, want := map[string]string{}, ""
			for _, f := range archive.Files {
				if f.Name == "want" {
					want = string(f.Data)
					continue
				}
				files[f.Name] = string(f.Data)
			}
			build, err := r.Render(t.Context(), treeOf(files), gitsync.Options{Path: "app", Namespace: "shop"})
			if err != nil {
				t.Fatal(err)
			}
			got := show(build)
			if *rewrite {
				archive.Files = slices.DeleteFunc(archive.Files, func(f txtar.File) bool { return f.Name == "want" })
				archive.Files = append(archive.Files, txtar.File{Name: "want", Data: []byte(got)})
				if err := os.WriteFile(golden, txtar.Format(archive), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// render builds the files of the directory app.
func renderFiles(t *testing.T, l Limits, files map[string]string) gitsync.Build {
	t.Helper()
	build, err := New(l).Render(t.Context(), treeOf(files), gitsync.Options{Path: "app", Namespace: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	return build
}

const configMap = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"

func TestPrescan_vectors(t *testing.T) {
	t.Parallel()
	files := map[string]string{"app/a/b.yaml": configMap, "base/kustomization.yaml": "resources: [b.yaml]\n", "base/b.yaml": strings.Replace(configMap, "name: a", "name: b", 1),
		"app/cfg.txt": "text\n"}
	for _, row := range []struct{ kustomization, code string }{
		{"resources: [../base]", ""},
		{"resources: [a/b.yaml]", ""},
		{"resources: [a/b.yaml]\nconfigMapGenerator: [{name: c, files: [key=cfg.txt]}]", ""},
		{"resources: [a/b.yaml]\npatchesStrategicMerge: ['{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {x: y}}']", ""},
		{"resources: ['https://h/x.yaml']", "S805"},
		{"resources: ['git@h:o/r']", "S805"},
		{"resources: [GitHub.com/o/r]", "S805"},
		{"resources: ['git::x']", "S805"},
		{"resources: [a//b]", "S805"},
		{"bases: ['https://h/x']", "S805"},
		{"components: ['h.example/o/r?ref=x']", "S805"},
		{"crds: ['http://h/x']", "S805"},
		{"configurations: ['http://h/x']", "S805"},
		{"patches: [{path: 'https://h/x'}]", "S805"},
		{"patchesJson6902: [{path: 'https://h/x'}]", "S805"},
		{"patchesStrategicMerge: ['https://h/x']", "S805"},
		{"replacements: [{path: 'https://h/x'}]", "S805"},
		{"configMapGenerator: [{name: c, files: ['k=https://h/x']}]", "S805"},
		{"secretGenerator: [{name: c, envs: ['https://h/x']}]", "S805"},
		{"secretGenerator: [{name: c, env: 'https://h/x'}]", "S805"},
		{"resources: [/etc/passwd]", "S312"},
		{"configMapGenerator: [{name: c, files: [key=/etc/passwd]}]", "S312"},
		{"resources: [../../..]", "S312"},
		{"resources: [none.yaml]", "S312"},
		{"resources: ['']", "S312"},
		{"resources: ['a\\b']", "S312"},
		{"resources: [../base/b.yaml]", "S312"},
		{"resources: [a]", "S312"},
		{"resources: [7]", "S504"},
		{"resources: a/b.yaml", "S504"},
		{"resources: [!!binary aHR0cHM6Ly9oL3g=]", "S504"},
		{"Resources: [a/b.yaml]", "S311"},
		{"patches: [{Path: 'https://h/x'}]", "S311"},
		{"helmCharts: [{name: x}]", "S311"},
		{"openapi: {path: x}", "S311"},
		{"generators: [x]", "S311"},
		{"transformers: [x]", "S311"},
		{"validators: [x]", "S311"},
		{"<<: {transformers: [x]}", "S311"},
		{"resources: [.]", "S314"},
		{"- a", "S320"},
		{"resources: [a/b.yaml, a/b.yaml]\nresources: []", "S503"},
	} {
		tree := maps.Clone(files)
		tree["app/kustomization.yaml"] = row.kustomization + "\n"
		build := renderFiles(t, Limits{}, tree)
		if row.code == "" {
			if build.Reason != "" || len(build.Objects) == 0 {
				t.Errorf("%s: %s %v, want objects", row.kustomization, build.Reason, build.Problems)
			}
			continue
		}
		if build.Reason != gitsync.BuildFailed || len(build.Problems) != 1 || build.Problems[0].Code != row.code || build.Problems[0].Line == 0 ||
			build.Problems[0].Path != "app/kustomization.yaml" || len(build.Objects) != 0 {
			t.Errorf("%s: %s %v, want %s with its line", row.kustomization, build.Reason, build.Problems, row.code)
		}
	}
}

func TestCounter_vectorAndBomb(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		in    string
		nodes int
	}{{"{a: &a [1,1], b: [*a,*a]}", 13}, {"x", 1}, {"[1,2]", 3}} {
		if _, found := parseDocuments([]byte(row.in), Limits{Nodes: row.nodes}.withDefaults()); found != nil {
			t.Errorf("%s within %d: %v", row.in, row.nodes, found)
		}
		if row.nodes == 1 {
			continue
		}
		if _, found := parseDocuments([]byte(row.in), Limits{Nodes: row.nodes - 1}.withDefaults()); found == nil || found.Code != "S307" {
			t.Errorf("%s within %d: %v, want S307", row.in, row.nodes-1, found)
		}
	}
	var bomb strings.Builder
	bomb.WriteString("a0: &a0 [x]\n")
	for i := range 9 {
		fmt.Fprintf(&bomb, "a%d: &a%d [%s]\n", i+1, i+1, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d,", i), 10), ","))
	}
	done := make(chan string, 1)
	go func() {
		_, found := parseDocuments([]byte(bomb.String()), Limits{}.withDefaults())
		if found == nil {
			done <- "accepted"
			return
		}
		done <- found.Code
	}()
	select {
	case code := <-done:
		if code != "S307" {
			t.Errorf("nine levels of ten aliases: %s, want S307", code)
		}
	case <-time.After(5 * time.Second):
		t.Error("nine levels of ten aliases were expanded")
	}
	for in, code := range map[string]string{"a: &a [*a]": "S307", strings.Repeat("[", 101) + strings.Repeat("]", 101): "S306", "a: .nan": "S504",
		"a: !foo x": "S504", "? [a]\n: b": "S504", "a: [": "S501", "\x00": "S501", "a: 1\na: 2": "S503"} {
		docs, found := parseDocuments([]byte(in), Limits{}.withDefaults())
		if found == nil && len(docs) == 1 {
			_, found = document.Value(docs[0])
		}
		if found == nil || found.Code != code || found.Line == 0 {
			t.Errorf("%.20q: %v, want %s with a line", in, found, code)
		}
	}
}

func TestValue_keepsTypes(t *testing.T) {
	t.Parallel()
	docs, found := parseDocuments([]byte("{i: 7, o: 0o17, f: 1.5, b: true, n: null, s: yes, d: 2026-01-02, big: 18446744073709551615, 1: k, m: {<<: {x: 1, y: 1}, x: 2}}"), Limits{}.withDefaults())
	if found != nil {
		t.Fatal(found)
	}
	got, found := document.Value(docs[0])
	want := map[string]any{"i": int64(7), "o": int64(15), "f": 1.5, "b": true, "n": nil, "s": "yes", "d": "2026-01-02", "big": 18446744073709551615.0, "1": "k",
		"m": map[string]any{"x": int64(2), "y": int64(1)}}
	if diff := cmp.Diff(any(want), got); diff != "" || found != nil {
		t.Errorf("%v (-want +got):\n%s", found, diff)
	}
}

func TestRender_limits(t *testing.T) {
	t.Parallel()
	files := map[string]string{"app/a.yaml": configMap, "app/b.yaml": strings.Replace(configMap, "name: a", "name: b", 1)}
	size := int64(len(configMap))
	for name, row := range map[string]struct {
		ok, over Limits
		code     string
	}{
		"files":     {Limits{Files: 2}, Limits{Files: 1}, "S209"},
		"fileBytes": {Limits{FileBytes: size}, Limits{FileBytes: size - 1}, "S306"},
		"readBytes": {Limits{ReadBytes: 2 * size}, Limits{ReadBytes: 2*size - 1}, "S209"},
		"resources": {Limits{Resources: 2}, Limits{Resources: 1}, "S306"},
		"depth":     {Limits{Depth: 3}, Limits{Depth: 2}, "S306"},
	} {
		if build := renderFiles(t, row.ok, files); len(build.Problems) > 0 || len(build.Objects) != 2 {
			t.Errorf("%s at the limit: %v", name, build.Problems)
		}
		if build := renderFiles(t, row.over, files); len(build.Problems) == 0 || build.Problems[0].Code != row.code {
			t.Errorf("%s over the limit: %v, want %s", name, build.Problems, row.code)
		}
	}
}

func TestRender_positions(t *testing.T) {
	t.Parallel()
	build := renderFiles(t, Limits{}, map[string]string{"app/a.yaml": "# comment\n---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\ndata:\n  k.x: v\n"})
	if len(build.Objects) != 1 {
		t.Fatalf("objects: %v, problems: %v", build.Objects, build.Problems)
	}
	for field, want := range map[string][2]int{"": {3, 1}, "metadata.name": {6, 9}, "data[k.x]": {8, 8}, "data.none": {7, 1}, "spec.x": {3, 1}} {
		if line, column := build.Position(build.Objects[0], field); line != want[0] || column != want[1] {
			t.Errorf("position of %q = %d:%d, want %d:%d", field, line, column, want[0], want[1])
		}
	}
}

func TestKustomize_equalsTheLibraryAlone(t *testing.T) {
	t.Parallel()
	files := map[string]string{
		"app/kustomization.yaml": "namespace: x\nnamePrefix: p-\nresources: [../base, a.yaml]\nimages: [{name: img, newTag: '2'}]\nconfigMapGenerator: [{name: c, literals: [k=v]}]\n",
		"app/a.yaml":             configMap,
		"base/kustomization.yml": "resources: [d.yaml]\n",
		"base/d.yaml":            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\nspec: {template: {spec: {containers: [{name: c, image: img, envFrom: [{configMapRef: {name: c}}]}]}}}\n",
	}
	r := New(Limits{})
	memory := filesys.MakeFsInMemory()
	for p, content := range files {
		if err := memory.WriteFile("/"+p, []byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	r.compile = func(memory filesys.FileSystem) (resmap.ResMap, error) {
		return krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(memory, "/app")
	}
	want, err := r.exclusively(t.Context(), "alone", memory)
	r.compile = runKustomize
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			build, err := r.Render(t.Context(), treeOf(files), gitsync.Options{Path: "app"})
			if err != nil || build.Reason != "" {
				t.Errorf("Render: %v %v", err, build.Problems)
				return
			}
			for _, res := range want.Resources() {
				raw, err := res.AsYAML()
				if err != nil {
					t.Error(err)
					return
				}
				docs, _ := parseDocuments(raw, r.limits)
				v, _ := document.Value(docs[0])
				at := slices.IndexFunc(build.Objects, func(o gitsync.Object) bool { return o.ID.Kind == res.GetKind() && o.ID.Name == res.GetName() })
				if at < 0 {
					t.Errorf("%s is missing", res.CurId())
					continue
				}
				if diff := cmp.Diff(v, any(build.Objects[at].Content)); diff != "" {
					t.Errorf("%s (-library +ours):\n%s", res.CurId(), diff)
				}
			}
		})
	}
	group.Wait()
}

func TestRender_refusesAPathThatIsNotThere(t *testing.T) {
	t.Parallel()
	for _, p := range []string{"none", "../x", "app/a.yaml"} {
		build, err := New(Limits{}).Render(t.Context(), treeOf(map[string]string{"app/a.yaml": configMap}), gitsync.Options{Path: p})
		if err != nil || build.Reason != gitsync.PathNotFound || len(build.Problems) != 1 || build.Problems[0].Code != "S208" {
			t.Errorf("path %q: %v %s %v, want PathNotFound by S208", p, err, build.Reason, build.Problems)
		}
	}
}

func FuzzParseDocuments(f *testing.F) {
	f.Add([]byte("a: &a [1, *a]"))
	f.Add([]byte(configMap))
	f.Fuzz(func(t *testing.T, in []byte) {
		docs, found := parseDocuments(in, Limits{}.withDefaults())
		for _, doc := range docs {
			if v, found := document.Value(doc); found == nil {
				if _, err := gitsync.Canonical(v); err != nil && !strings.Contains(err.Error(), "UTF-8") {
					t.Errorf("%q: %v", in, err)
				}
			}
		}
		if found != nil && found.Code == "" {
			t.Errorf("%q: a Problem without code", in)
		}
	})
}
