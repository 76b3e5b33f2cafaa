package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sluice-dev/sluice/internal/cli/lint"
	"github.com/sluice-dev/sluice/xds/manifest"
)

// standardInput is how findings name what was read from there.
const standardInput = "standard input"

// manifests are the files that were named: plain ones, and rendered kustomizations.
type manifests struct {
	files []lint.File
	roots []*rendered
}

// readManifests reads files, directories and "-" for standard input. A directory with a kustomization file is rendered.
func readManifests(ctx context.Context, s Streams, paths []string) (*manifests, error) {
	w := &walker{seen: map[string]bool{}}
	out := &manifests{}
	for _, p := range paths {
		if p == "-" {
			content, err := io.ReadAll(s.In)
			if err != nil {
				return nil, fmt.Errorf("reading standard input: %w", err)
			}
			out.files = append(out.files, lint.File{Name: standardInput, Content: content})
			continue
		}
		if err := w.path(p); err != nil {
			return nil, err
		}
		slices.Sort(w.plain)
		for _, file := range w.plain {
			content, err := os.ReadFile(file)
			if err != nil {
				return nil, err
			}
			out.files = append(out.files, lint.File{Name: file, Content: content})
		}
		w.plain = nil
	}
	var err error
	out.roots, err = renderAll(ctx, w.kustomizations)
	return out, err
}

// walker finds the files below paths.
type walker struct {
	plain          []string
	kustomizations []string // directories
	seen           map[string]bool
}

func (w *walker) path(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	switch {
	case info.IsDir():
		return w.directory(path, false)
	case slices.Contains(kustomizationFiles(), filepath.Base(path)):
		w.kustomization(filepath.Dir(path))
	default:
		w.file(path)
	}
	return nil
}

// directory goes down; inside a kustomization only other kustomizations matter. Names that begin with a dot are not for
// clusters.
func (w *walker) directory(dir string, inside bool) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("listing %s: %w", dir, err)
	}
	if slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return slices.Contains(kustomizationFiles(), e.Name()) }) {
		w.kustomization(dir)
		inside = true
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		switch {
		case strings.HasPrefix(e.Name(), "."):
		case e.IsDir():
			if err := w.directory(path, inside); err != nil {
				return err
			}
		case !inside && slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(path)):
			w.file(path)
		}
	}
	return nil
}

func (w *walker) file(path string) {
	if !w.seen[path] {
		w.seen[path] = true
		w.plain = append(w.plain, path)
	}
}

func (w *walker) kustomization(dir string) {
	if !w.seen[dir] {
		w.seen[dir] = true
		w.kustomizations = append(w.kustomizations, dir)
	}
}

// readMesh reads manifests into one mesh; what is no Kubernetes object is an error.
func readMesh(ctx context.Context, s Streams, paths []string) (*manifest.Mesh, error) {
	in, err := readManifests(ctx, s, paths)
	if err != nil {
		return nil, err
	}
	mesh := manifest.New()
	for _, f := range in.files {
		if err := mesh.Read(f.Name, strings.NewReader(string(f.Content))); err != nil {
			return nil, err
		}
	}
	for _, r := range in.roots {
		if len(r.found) > 0 {
			return nil, errors.New(r.found[0].String())
		}
		r.addTo(mesh)
	}
	return mesh, nil
}
