package hostile

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluice-dev/sluice/test/gitserver"
)

// entry is one line of a tree, as raw as Git stores it.
type entry struct{ mode, name, id string }

// plumbing writes objects into a bare repository without any check of what they are.
type plumbing struct {
	*testing.T
	dir string
}

func (p plumbing) object(kind string, content io.Reader) string {
	p.Helper()
	cmd := exec.CommandContext(p.Context(), "git", "hash-object", "-t", kind, "--literally", "-w", "--stdin")
	cmd.Dir, cmd.Env, cmd.Stdin = p.dir, gitserver.Environment(p.dir), content
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		p.Fatalf("git hash-object: %v: %s", err, stderr.String())
	}
	return strings.TrimSpace(string(out))
}

func (p plumbing) blob(text string) string { return p.object("blob", strings.NewReader(text)) }

func (p plumbing) tree(entries ...entry) string {
	p.Helper()
	var raw bytes.Buffer
	for _, e := range entries {
		id, err := hex.DecodeString(e.id)
		if err != nil {
			p.Fatal(err)
		}
		fmt.Fprintf(&raw, "%s %s\x00%s", e.mode, e.name, id)
	}
	return p.object("tree", &raw)
}

// files makes a tree of regular files by path.
func (p plumbing) files(files map[string]string) string {
	p.Helper()
	type node struct {
		text string
		kids map[string]*node
	}
	top := &node{kids: map[string]*node{}}
	for path, text := range files {
		at := top
		for _, part := range strings.Split(path, "/") {
			if at.kids[part] == nil {
				at.kids[part] = &node{kids: map[string]*node{}}
			}
			at = at.kids[part]
		}
		at.text = text
	}
	var write func(n *node) string
	write = func(n *node) string {
		var entries []entry
		for name, kid := range n.kids {
			if len(kid.kids) > 0 {
				entries = append(entries, entry{"40000", name, write(kid)})
			} else {
				entries = append(entries, entry{"100644", name, p.blob(kid.text)})
			}
		}
		return p.tree(entries...)
	}
	return write(top)
}

// commit puts a tree onto a branch of its own.
func (p plumbing) commit(branch, tree string) {
	p.Helper()
	who := "Eve <eve@example.com> 1700000000 +0000"
	id := p.object("commit", strings.NewReader("tree "+tree+"\nauthor "+who+"\ncommitter "+who+"\n\n"+branch+"\n"))
	cmd := exec.CommandContext(p.Context(), "git", "update-ref", "refs/heads/"+branch, id)
	cmd.Dir, cmd.Env = p.dir, gitserver.Environment(p.dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		p.Fatalf("git update-ref: %v: %s", err, out)
	}
}

// attack is one branch and what must come of it: a reason, and the code of a Problem where there is one.
type attack struct{ Branch, Reason, Code string }

const good = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: good}\n"

// names that no honest client writes. The empty one is left out: git itself does not send it.
func (p plumbing) names() (out []attack) {
	for i, name := range []string{".git", ".GIT", ".git.", ".git ", "git~1", ".g\u200cit", "..", ".", "a\\b", "CON", "aux.yaml", "com1.yaml", "nul", "a\x01b", "a/b", "../../escape"} {
		branch := fmt.Sprintf("name-%d", i)
		p.commit(branch, p.tree(entry{"100644", name, p.blob(good)}, entry{"100644", "x.yaml", p.blob(good)}))
		out = append(out, attack{branch, "TreeUnsafe", "S301"})
	}
	p.commit("case", p.tree(entry{"100644", "A.yaml", p.blob(good)}, entry{"100644", "a.yaml", p.blob(good)}))
	p.commit("form", p.tree(entry{"100644", "caf\u00e9.yaml", p.blob(good)}, entry{"100644", "cafe\u0301.yaml", p.blob(good)}))
	return append(out, attack{"case", "TreeUnsafe", "S302"}, attack{"form", "TreeUnsafe", "S302"})
}

// links leave the tree, or are no files at all.
func (p plumbing) links(sentinel string) (out []attack) {
	for i, to := range []string{sentinel, "../../../../../../../.." + sentinel, "/etc/passwd", "x.yaml"} {
		branch := fmt.Sprintf("link-%d", i)
		p.commit(branch, p.tree(entry{"120000", "link.yaml", p.blob(to)}, entry{"100644", "x.yaml", p.blob(good)}))
		out = append(out, attack{branch, "", "S303"})
	}
	p.commit("link-base", p.tree(entry{"100644", "kustomization.yaml", p.blob("resources: [link]\n")}, entry{"120000", "link", p.blob(filepath.Dir(sentinel))}))
	p.commit("submodule", p.tree(entry{"160000", "sub.yaml", strings.Repeat("1", 40)}, entry{"100644", "x.yaml", p.blob(good)}))
	p.commit("lfs", p.files(map[string]string{"x.yaml": "version https://git-lfs.github.com/spec/v1\noid sha256:" + strings.Repeat("a", 64) + "\nsize 5\n"}))
	return append(out, attack{"link-base", "BuildFailed", "S303"}, attack{"submodule", "", "S304"}, attack{"lfs", "", "S305"})
}

// bases are remote, absolute, or go in circles, in every field that can hold one.
func (p plumbing) bases(sentinel, listener string) (out []attack) {
	for i, remote := range []string{"http://" + listener + "/x.yaml", "git::http://" + listener + "/r", "git@" + listener + ":o/r", "GitHub.com/o/r", "github.com/o/r?ref=x",
		"ssh://git@" + listener + "/r", "a//b", "file:///etc/passwd"} {
		for _, field := range []string{"resources: [%q]", "bases: [%q]", "components: [%q]", "crds: [%q]", "configurations: [%q]", "patchesStrategicMerge: [%q]",
			"patches: [{path: %q, target: {kind: ConfigMap}}]", "patchesJson6902: [{path: %q, target: {version: v1, kind: ConfigMap, name: good}}]", "replacements: [{path: %q}]",
			"configMapGenerator: [{name: a, files: [\"k=%[2]s\"]}]", "secretGenerator: [{name: a, envs: [%q]}]", "configMapGenerator: [{name: a, env: %q}]"} {
			if i > 0 && field != "resources: [%q]" {
				continue // each field with one form, each form in one field
			}
			branch := fmt.Sprintf("remote-%d-%d", i, len(out))
			text := strings.ReplaceAll(strings.ReplaceAll(field, "%[2]s", remote), "%q", fmt.Sprintf("%q", remote))
			if !strings.HasPrefix(field, "resources") {
				text = "resources: [x.yaml]\n" + text
			}
			p.commit(branch, p.files(map[string]string{"kustomization.yaml": text + "\n", "x.yaml": good}))
			out = append(out, attack{branch, "BuildFailed", "S805"})
		}
	}
	for branch, row := range map[string][3]string{
		"absolute":   {"resources: [" + sentinel + "]", "", "S312"},
		"above":      {"resources: [../../../../etc]", "", "S312"},
		"cycle":      {"resources: [a]", "resources: [..]", "S314"},
		"helm":       {"helmCharts: [{name: a, repo: http://" + listener + "}]", "", "S311"},
		"generators": {"generators: [x.yaml]", "", "S311"},
		"openapi":    {"openapi: {path: x.yaml}", "", "S311"},
	} {
		files := map[string]string{"kustomization.yaml": row[0] + "\n", "x.yaml": good}
		if row[1] != "" {
			files["a/kustomization.yaml"] = row[1] + "\n"
		}
		p.commit(branch, p.files(files))
		out = append(out, attack{branch, "BuildFailed", row[2]})
	}
	return out
}

// bombs are small when they come and large when they are opened.
func (p plumbing) bombs() (out []attack) {
	var aliases strings.Builder
	aliases.WriteString("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n")
	for i := 1; i < 9; i++ {
		fmt.Fprintf(&aliases, "a%d: &a%d [%s*a%d]\n", i, i, strings.Repeat(fmt.Sprintf("*a%d,", i-1), 9), i-1)
	}
	p.commit("aliases", p.files(map[string]string{"x.yaml": aliases.String()}))
	p.commit("self", p.files(map[string]string{"x.yaml": "a: &a [*a]\n"}))
	p.commit("nested", p.files(map[string]string{"x.yaml": strings.Repeat("[", 200) + strings.Repeat("]", 200) + "\n"}))
	p.commit("wide", p.files(map[string]string{"x.yaml": "a: " + strings.Repeat("x", 1<<20) + "\n"}))
	deep := p.tree(entry{"100644", "x.yaml", p.blob(good)})
	for range 40 {
		deep = p.tree(entry{"40000", "d", deep})
	}
	p.commit("deep", deep)
	large := p.object("blob", io.LimitReader(zeros{}, 1<<30))
	p.commit("large", p.tree(entry{"100644", "x.yaml", large}))
	return append(out, attack{"aliases", "", "S307"}, attack{"self", "", "S307"}, attack{"nested", "", "S306"}, attack{"wide", "", "S306"},
		attack{"deep", "LimitExceeded", ""}, attack{"large", "LimitExceeded", ""})
}

// zeros is endless.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}
