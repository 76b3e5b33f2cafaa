package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/sluice-dev/sluice/xds/manifest"
)

// readMesh reads manifests: files, directories and "-" for standard input.
func readMesh(s Streams, paths []string) (*manifest.Mesh, error) {
	mesh := manifest.New()
	for _, p := range paths {
		if p == "-" {
			if err := mesh.Read("standard input", s.In); err != nil {
				return nil, err
			}
			continue
		}
		if err := readPath(mesh, p); err != nil {
			return nil, err
		}
	}
	return mesh, nil
}

// readPath reads a file, or all YAML and JSON files below a directory in path order.
func readPath(mesh *manifest.Mesh, path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	paths := []string{path}
	if info.IsDir() {
		if paths, err = manifests(path); err != nil {
			return fmt.Errorf("listing %s: %w", path, err)
		}
	}
	for _, p := range paths {
		f, err := os.Open(p)
		if err != nil {
			return err
		}
		if err := errors.Join(mesh.Read(p, f), f.Close()); err != nil {
			return err
		}
	}
	return nil
}

func manifests(root string) ([]string, error) {
	var out []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(path)) {
			out = append(out, path)
		}
		return err
	})
	slices.Sort(out)
	return out, err
}
