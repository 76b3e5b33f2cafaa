package cli

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/gitsync"
	"github.com/sluice-dev/sluice/gitsync/render"
	"github.com/sluice-dev/sluice/internal/cli/lint"
	"github.com/sluice-dev/sluice/xds/manifest"
)

// kustomizationFiles are the names that make a directory a kustomization.
func kustomizationFiles() []string {
	return []string{"kustomization.yaml", "kustomization.yml", "Kustomization"}
}

// rendered is what a kustomization gives, with paths as its user knows them.
type rendered struct {
	items []manifest.Item
	found []problem.Problem
	files []lint.File
	dir   string          // of the kustomization, absolute
	reads map[string]bool // absolute paths that exist and were looked at
}

func (r *rendered) addTo(m *manifest.Mesh) {
	for _, it := range r.items {
		m.Add(it)
	}
}

// renderAll builds the kustomizations that are not a part of another one among them.
func renderAll(ctx context.Context, dirs []string) ([]*rendered, error) {
	renderer := render.New(render.Limits{})
	var all []*rendered
	for _, dir := range dirs {
		one, err := renderOne(ctx, renderer, dir)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return slices.DeleteFunc(slices.Clone(all), func(r *rendered) bool {
		return slices.ContainsFunc(all, func(o *rendered) bool { return o != r && o.includes(r) })
	}), nil
}

// includes reports whether building r has read the kustomization of another.
func (r *rendered) includes(other *rendered) bool {
	return slices.ContainsFunc(kustomizationFiles(), func(name string) bool { return r.reads[filepath.Join(other.dir, name)] })
}

func renderOne(ctx context.Context, renderer *render.Renderer, dir string) (*rendered, error) {
	d, err := openDir(dir)
	if err != nil {
		return nil, err
	}
	build, err := renderer.Render(ctx, d.tree, gitsync.Options{Path: d.path})
	if err != nil {
		return nil, err
	}
	out := &rendered{dir: d.abs, reads: map[string]bool{}}
	for p, hash := range build.Reads {
		if hash != "" {
			out.reads[filepath.Join(d.tree.top, filepath.FromSlash(p))] = true
		}
	}
	for _, o := range build.Objects {
		out.items = append(out.items, manifest.Item{
			Path: d.shown(o.Path), Content: o.Content, Position: func(field string) (int, int) { return build.Position(o, field) },
		})
	}
	for _, p := range build.Problems {
		if p.Path != "" {
			p.Path = d.shown(p.Path)
		}
		out.found = append(out.found, p)
	}
	for p, content := range d.tree.read {
		out.files = append(out.files, lint.File{Name: d.shown(p), Content: content})
	}
	slices.SortFunc(out.files, func(a, b lint.File) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// directory is one on disk, within the tree that its files may refer to.
type directory struct {
	tree *diskTree
	name string // as the user wrote it
	abs  string
	path string // within the tree
}

func openDir(name string) (*directory, error) {
	abs, err := filepath.Abs(name)
	if err != nil {
		return nil, fmt.Errorf("finding %s: %w", name, err)
	}
	top, err := topOf(abs)
	if err != nil {
		return nil, err
	}
	rel, err := filepath.Rel(top, abs)
	if err != nil {
		return nil, fmt.Errorf("finding %s: %w", name, err)
	}
	tree := &diskTree{StatFS: os.DirFS(top).(fs.StatFS), top: top, read: map[string][]byte{}}
	return &directory{tree: tree, name: name, abs: abs, path: filepath.ToSlash(rel)}, nil
}

// shown is the path of a file of the tree as the user would write it.
func (d *directory) shown(p string) string {
	if r, err := filepath.Rel(d.abs, filepath.Join(d.tree.top, filepath.FromSlash(p))); err == nil {
		return filepath.ToSlash(filepath.Join(d.name, r))
	}
	return p
}

// topOf is the directory that a kustomization may not leave: its repository; without one the working directory, or where
// that lies elsewhere, the whole disk.
func topOf(dir string) (string, error) {
	for up := dir; ; up = filepath.Dir(up) {
		if _, err := os.Lstat(filepath.Join(up, ".git")); err == nil {
			return up, nil
		}
		if up == filepath.Dir(up) {
			break
		}
	}
	here, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("finding the working directory: %w", err)
	}
	if rel, err := filepath.Rel(here, dir); err == nil && filepath.IsLocal(rel) {
		return here, nil
	}
	return filepath.VolumeName(dir) + string(filepath.Separator), nil
}

// diskTree is a directory as gitsync reads trees: links are not followed. It keeps what was read.
type diskTree struct {
	fs.StatFS
	top  string
	read map[string][]byte
}

// Stat implements fs.StatFS.
func (t *diskTree) Stat(name string) (fs.FileInfo, error) {
	return os.Lstat(filepath.Join(t.top, filepath.FromSlash(name)))
}

// ReadDir implements fs.ReadDirFS.
func (t *diskTree) ReadDir(name string) ([]fs.DirEntry, error) { return fs.ReadDir(t.StatFS, name) }

// ReadFile implements fs.ReadFileFS.
func (t *diskTree) ReadFile(name string) ([]byte, error) {
	content, err := fs.ReadFile(t.StatFS, name)
	if err == nil {
		t.read[name] = content
	}
	return content, err
}

// Hash says whether there is something at the path; its content is not needed.
func (t *diskTree) Hash(name string) string {
	if _, err := t.Stat(name); err != nil {
		return ""
	}
	return "present"
}

// Commit implements gitsync.Tree: files on disk are of none.
func (t *diskTree) Commit() gitsync.Commit { return gitsync.Commit{} }

// Close implements gitsync.Tree.
func (t *diskTree) Close() error { return nil }
