package gogit

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/sluice-dev/sluice/gitsync"
)

// edited is a tree that no commit has yet, and the objects that its remote may lack.
type edited struct {
	*tree
	made []plumbing.Hash
}

// Edit gives base with some paths as they are in other trees of the same repository. Nothing is sent anywhere. base and
// the result are closed apart.
func (r *Repositories) Edit(base gitsync.Tree, edits []gitsync.Edit) (gitsync.Tree, error) {
	t, ok := base.(*tree)
	if !ok {
		return nil, fmt.Errorf("editing a tree of another kind: %T", base)
	}
	changes := map[string]*treeEntry{} // nil removes
	var made []plumbing.Hash
	for _, e := range edits {
		entry, content, err := entryAt(e)
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", e.Path, err)
		}
		changes[e.Path] = entry
		if entry != nil {
			id, err := t.store(plumbing.BlobObject, content)
			if err != nil {
				return nil, err
			}
			made = append(made, id)
		}
	}
	out := &edited{made: made}
	root, err := t.rebuild(".", t.root, changes, &out.made)
	if err != nil {
		return nil, err
	}
	t.g.lock.Lock()
	defer t.g.lock.Unlock()
	t.g.pins++
	out.tree = &tree{g: t.g, limits: t.limits, root: root, dirs: map[plumbing.Hash][]treeEntry{}, commit: t.commit}
	slices.SortFunc(out.made, func(a, b plumbing.Hash) int { return strings.Compare(a.String(), b.String()) })
	out.made = slices.Compact(out.made)
	return out, nil
}

// entryAt gives a file of another tree with its content; nil: there is none.
func entryAt(e gitsync.Edit) (*treeEntry, []byte, error) {
	from, ok := e.As.(*tree)
	if !ok {
		return nil, nil, fmt.Errorf("a tree of another kind: %T", e.As)
	}
	from.g.lock.Lock()
	entry, err := from.find(e.Path)
	from.g.lock.Unlock()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	content, err := from.ReadFile(e.Path)
	return &entry, content, err
}

// store writes an object into the repository, unless it has it.
func (t *tree) store(kind plumbing.ObjectType, content []byte) (plumbing.Hash, error) {
	t.g.lock.Lock()
	defer t.g.lock.Unlock()
	if err := t.g.write(kind, content); err != nil {
		return plumbing.ZeroHash, gitsync.Fail(gitsync.StorageFailed, fmt.Errorf("storing an object: %w", err))
	}
	return plumbing.ComputeHash(kind, content), nil
}

// rebuild writes a directory anew with the changes at and below it. A directory that is left empty is gone: the zero hash.
func (t *tree) rebuild(dir string, id plumbing.Hash, changes map[string]*treeEntry, made *[]plumbing.Hash) (plumbing.Hash, error) {
	entries, err := t.listed(id)
	if err != nil {
		return id, err
	}
	below := map[string]bool{} // names that something changes at or below
	for p := range changes {
		if rest, ok := within(dir, p); ok {
			name, _, _ := strings.Cut(rest, "/")
			below[name] = true
		}
	}
	if len(below) == 0 {
		return id, nil
	}
	out := slices.DeleteFunc(slices.Clone(entries), func(e treeEntry) bool { return below[e.name] })
	for name := range below {
		full := path.Join(dir, name)
		if change, ok := changes[full]; ok {
			if change != nil {
				out = append(out, treeEntry{name: name, mode: change.mode, id: change.id})
			}
			continue
		}
		sub := plumbing.ZeroHash
		if at := slices.IndexFunc(entries, func(e treeEntry) bool { return e.name == name && e.mode == modeDir }); at >= 0 {
			sub = entries[at].id
		}
		if sub, err = t.rebuild(full, sub, changes, made); err != nil {
			return id, err
		}
		if !sub.IsZero() {
			out = append(out, treeEntry{name: name, mode: modeDir, id: sub})
		}
	}
	if len(out) == 0 && dir != "." {
		return plumbing.ZeroHash, nil
	}
	written, err := t.store(plumbing.TreeObject, encodeTree(out))
	*made = append(*made, written)
	return written, err
}

// listed gives the entries of a directory; the zero hash has none.
func (t *tree) listed(id plumbing.Hash) ([]treeEntry, error) {
	if id.IsZero() {
		return nil, nil
	}
	t.g.lock.Lock()
	defer t.g.lock.Unlock()
	return t.entries(id)
}

// within gives a path as seen from a directory above it.
func within(dir, p string) (string, bool) {
	if dir == "." {
		return p, true
	}
	return strings.CutPrefix(p, dir+"/")
}

// encodeTree writes a directory as Git does: sorted as if the names of directories ended with a slash.
func encodeTree(entries []treeEntry) []byte {
	key := func(e treeEntry) string {
		if e.mode == modeDir {
			return e.name + "/"
		}
		return e.name
	}
	slices.SortFunc(entries, func(a, b treeEntry) int { return strings.Compare(key(a), key(b)) })
	var out []byte
	for _, e := range entries {
		out = strconv.AppendUint(out, uint64(e.mode), 8)
		out = append(out, ' ')
		out = append(out, e.name...)
		out = append(out, 0)
		out = append(out, e.id[:]...)
	}
	return out
}
