package gogit

import (
	"errors"
	"io"
	"os"
	"path/filepath"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/idxfile"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
)

// deltaMemory is how many bytes of objects are held at a time while deltas are resolved. The library takes over where that is
// not enough: it needs less, and reads everything twice more.
const deltaMemory = 64 << 20

var errUnwieldy = errors.New("deltas between large objects")

// take stores a pack that was checked: object by object when it is thin or apart is true, else as it is with an index beside it,
// which it says. room is for what is held while deltas are resolved. The lock is held.
func (g *generation) take(spool *os.File, seen *inspection, room int64, apart bool) (whole bool, err error) {
	apart = apart || seen.thin
	r := &resolving{inspection: seen, room: room}
	if apart {
		r.outside, r.keep = g.anyObject, g.write
	}
	err = r.resolve(spool)
	if errors.Is(err, errUnwieldy) {
		return g.takeByLibrary(spool, seen)
	}
	if err != nil || apart {
		return false, err
	}
	base := filepath.Join(g.dir, "objects", "pack", "pack-"+seen.sum.String())
	if err := seen.writeIndex(base + ".idx"); err != nil {
		return false, err
	}
	return true, os.Rename(spool.Name(), base+".pack") // last: an index without a pack is nothing
}

// takeByLibrary stores a pack whose deltas take too much room at once. The library bounds no chains, so those of the pack have to be
// bounded by what was seen of it: none may name its base by an id that only a delta in the pack can have.
func (g *generation) takeByLibrary(spool *os.File, seen *inspection) (whole bool, err error) {
	plain := map[plumbing.Hash]bool{}
	for _, o := range seen.objects {
		plain[o.id] = plain[o.id] || !o.kind.IsDelta()
	}
	for _, o := range seen.objects {
		if o.kind == plumbing.REFDeltaObject && !plain[o.id] && g.store.HasEncodedObject(o.id) != nil {
			return false, exceeded("deltas between large objects, upon deltas that are named by their ids: how deep they go cannot be told")
		}
	}
	if _, err := spool.Seek(0, io.SeekStart); err != nil {
		return false, err
	}
	if !seen.thin {
		return true, packfile.WritePackfileToObjectStorage(g.store, spool)
	}
	parser, err := packfile.NewParserWithStorage(packfile.NewScanner(spool), g.store)
	if err != nil {
		return false, err
	}
	_, err = parser.Parse()
	return false, err
}

// anyObject reads an object of whatever kind. The lock is held.
func (g *generation) anyObject(id plumbing.Hash) (kind plumbing.ObjectType, content []byte, err error) {
	o, err := g.store.EncodedObject(plumbing.AnyObject, id)
	if err != nil {
		return kind, nil, err
	}
	r, err := o.Reader()
	if err != nil {
		return kind, nil, err
	}
	defer r.Close()
	content, err = io.ReadAll(r)
	return o.Type(), content, err
}

// write stores an object as a file of its own, unless the repository has it. The lock is held.
func (g *generation) write(kind plumbing.ObjectType, content []byte) error {
	if g.store.HasEncodedObject(plumbing.ComputeHash(kind, content)) == nil {
		return nil
	}
	o := g.store.NewEncodedObject()
	o.SetType(kind)
	o.SetSize(int64(len(content)))
	w, err := o.Writer()
	if err != nil {
		return err
	}
	if _, err := w.Write(content); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	_, err = g.store.SetEncodedObject(o)
	return err
}

// writeIndex writes where each object stands.
func (i *inspection) writeIndex(name string) error {
	w := &idxfile.Writer{}
	if err := w.OnHeader(uint32(len(i.objects))); err != nil {
		return err
	}
	for _, o := range i.objects {
		w.Add(o.id, uint64(o.offset), o.crc)
	}
	if err := w.OnFooter(i.sum); err != nil {
		return err
	}
	index, err := w.Index()
	if err != nil {
		return err
	}
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = idxfile.NewEncoder(file).Encode(index)
	return errors.Join(err, file.Close())
}
