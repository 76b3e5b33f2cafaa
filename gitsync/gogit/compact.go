package gogit

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/sluice-dev/sluice/gitsync"
)

const (
	compactAfter = 256     // fetches since the last look for what nobody needs
	compactSlack = 2 << 20 // bytes that a repository may grow from then on, or an eighth of its first fetch
	worthWalking = 200_000 // directories of all that is needed: beyond them all is fetched anew
)

// rooted is what a repository keeps for one ref: the commit at its tip, the tag that names it, and the commit that its Source
// has applied, which is asked for again while the tip is refused.
type rooted struct {
	tip, tag, applied string
}

// crowded says whether it is time to look for objects that nobody needs.
func (g *generation) crowded(l Limits) bool {
	return g.fetches >= compactAfter || g.disk > g.settled+max(g.birth/8, compactSlack) || g.disk > l.RepositoryBytes
}

// compact deletes the loose objects that are neither in what tips hold nor in what Sources have applied. Those come one by one, with
// each thin pack; what came in packs stays until all is fetched anew. While a tree is open nothing is deleted: it may
// stand upon commits that are no tips any more, and an edit upon objects that are in no commit yet.
func (g *generation) compact(l Limits) error {
	g.lock.Lock()
	defer g.lock.Unlock()
	if g.pins > 0 || g.damaged {
		return nil
	}
	needed, err := g.needed(l)
	large := gitsync.ReasonOf(err, "") == gitsync.LimitExceeded // what no Source has opened: nothing is damaged
	if err != nil && !large {
		return err
	}
	if needed == nil {
		g.settled = g.disk // the next look is due when it has grown as much again
		return nil
	}
	loose, err := g.loose()
	if err != nil {
		return err
	}
	for _, id := range loose {
		if needed[id] {
			continue
		}
		if err := g.store.DeleteLooseObject(id); err != nil {
			return fmt.Errorf("deleting an object that nobody needs: %w", err)
		}
	}
	g.measure()
	g.fetches, g.settled = 0, g.disk
	return nil
}

// needed gives the objects that some ref still stands upon; nil: they are too many to be looked at. The lock is held.
func (g *generation) needed(l Limits) (map[plumbing.Hash]bool, error) {
	out, todo, walked := map[plumbing.Hash]bool{}, []plumbing.Hash(nil), 0
	for _, r := range g.roots {
		for _, id := range []string{r.tip, r.applied} {
			commit := plumbing.NewHash(id)
			if out[commit] || g.store.HasEncodedObject(commit) != nil { // what was applied may have come with a repository before
				continue
			}
			c, err := readCommit(g.store, id, l.ObjectBytes)
			if err != nil {
				return nil, err
			}
			out[commit] = true
			todo = append(todo, c.tree)
		}
	}
	for _, r := range g.roots {
		out[plumbing.NewHash(r.tag)] = true
	}
	for len(todo) > 0 {
		id := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if out[id] {
			continue
		}
		out[id] = true
		if walked++; walked > worthWalking {
			return nil, nil
		}
		raw, err := rawObject(g.store, plumbing.TreeObject, id, l.ObjectBytes)
		if err != nil {
			return nil, err
		}
		entries, err := parseTree(raw, l.TreeEntries)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if e.mode == modeDir {
				todo = append(todo, e.id)
			} else {
				out[e.id] = true
			}
		}
	}
	return out, nil
}

// loose gives the objects that are files of their own.
func (g *generation) loose() ([]plumbing.Hash, error) {
	names, err := filepath.Glob(filepath.Join(g.dir, "objects", "[0-9a-f][0-9a-f]", "*"))
	if err != nil {
		return nil, err
	}
	var out []plumbing.Hash
	for _, name := range names {
		if id := filepath.Base(filepath.Dir(name)) + filepath.Base(name); isID(id) {
			out = append(out, plumbing.NewHash(id))
		}
	}
	return out, nil
}

// stored gives the number of packs.
func (g *generation) stored() int {
	packs, err := os.ReadDir(filepath.Join(g.dir, "objects", "pack"))
	if err != nil {
		return 0 // nothing was stored as a pack
	}
	return len(slices.DeleteFunc(packs, func(e os.DirEntry) bool { return filepath.Ext(e.Name()) != ".pack" }))
}
