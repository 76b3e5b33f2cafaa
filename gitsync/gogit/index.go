package gogit

import (
	"bytes"
	"errors"
	"fmt"
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

// take stores a pack that was checked: object by object when it is thin, else as it is with an index beside it. room is for what
// is held while deltas are resolved. The lock is held.
func (g *generation) take(spool *os.File, seen *inspection, room int64) error {
	if seen.thin {
		if _, err := spool.Seek(0, io.SeekStart); err != nil {
			return err
		}
		parser, err := packfile.NewParserWithStorage(packfile.NewScanner(spool), g.store)
		if err != nil {
			return err
		}
		_, err = parser.Parse()
		return err
	}
	err := seen.resolve(spool, room)
	if errors.Is(err, errUnwieldy) {
		if _, err := spool.Seek(0, io.SeekStart); err != nil {
			return err
		}
		return packfile.WritePackfileToObjectStorage(g.store, spool)
	}
	if err != nil {
		return err
	}
	base := filepath.Join(g.dir, "objects", "pack", "pack-"+seen.sum.String())
	if err := seen.writeIndex(base + ".idx"); err != nil {
		return err
	}
	return os.Rename(spool.Name(), base+".pack") // last: an index without a pack is nothing
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

// resolving is the search for the ids of deltas.
type resolving struct {
	*inspection
	scanner *packfile.Scanner // of the spooled pack
	upon    map[int32][]int32 // the deltas upon each object
	named   map[plumbing.Hash][]int32
	left    int   // deltas without an id
	held    int64 // bytes of objects at hand
	room    int64 // for them
}

// resolve gives every delta its id, from the objects that are none towards the ends of chains: what is built is let go as soon as
// nothing is built upon it any more.
func (i *inspection) resolve(pack io.ReadSeeker, room int64) error {
	r := &resolving{inspection: i, room: room, upon: map[int32][]int32{}, named: map[plumbing.Hash][]int32{}}
	for at, o := range i.objects {
		switch o.kind {
		case plumbing.OFSDeltaObject:
			r.upon[o.base] = append(r.upon[o.base], int32(at))
		case plumbing.REFDeltaObject:
			r.named[o.id] = append(r.named[o.id], int32(at))
		default:
			continue
		}
		r.left++
	}
	if r.left == 0 {
		return nil
	}
	r.scanner = packfile.NewScanner(pack)
	for at, o := range i.objects {
		if o.kind.IsDelta() || len(r.upon[int32(at)])+len(r.named[o.id]) == 0 {
			continue
		}
		content, err := r.inflate(int32(at))
		if err != nil {
			return err
		}
		if err := r.follow(int32(at), content); err != nil {
			return err
		}
	}
	if r.left > 0 {
		return fmt.Errorf("%d deltas upon objects that the pack lacks", r.left)
	}
	return nil
}

// level is an object and what is still to be built upon it.
type level struct {
	content []byte
	kind    plumbing.ObjectType
	todo    []int32
	depth   int // of deltas below it
}

// follow builds everything that stands upon an object, one chain after the other.
func (r *resolving) follow(at int32, content []byte) error {
	levels := []level{{content: content, kind: r.objects[at].kind, todo: r.children(at)}}
	r.held = int64(len(content))
	for len(levels) > 0 {
		top := &levels[len(levels)-1]
		if len(top.todo) == 0 {
			r.held -= int64(len(top.content))
			levels = levels[:len(levels)-1]
			continue
		}
		child, kind, depth := top.todo[0], top.kind, top.depth+1
		if depth > r.deepest {
			return exceeded("a delta chain deeper than %d", r.deepest)
		}
		delta, err := r.inflate(child)
		if err != nil {
			return err
		}
		target, err := packfile.PatchDelta(top.content, delta)
		if err != nil {
			return fmt.Errorf("delta at %d: %w", r.objects[child].offset, err)
		}
		if top.todo = top.todo[1:]; len(top.todo) == 0 {
			r.held -= int64(len(top.content))
			levels = levels[:len(levels)-1]
		}
		r.objects[child].id = plumbing.ComputeHash(kind, target)
		r.left--
		next := level{target, kind, r.children(child), depth}
		if len(next.todo) == 0 {
			continue
		}
		if r.held += int64(len(target)); r.held > r.room {
			return errUnwieldy
		}
		levels = append(levels, next)
	}
	return nil
}

// children gives the deltas upon an object whose id is known; each is given once.
func (r *resolving) children(at int32) []int32 {
	id := r.objects[at].id
	out := append(r.upon[at], r.named[id]...)
	delete(r.upon, at)
	delete(r.named, id)
	return out
}

// inflate reads an object, or a delta, from the pack.
func (r *resolving) inflate(at int32) ([]byte, error) {
	o := r.objects[at]
	if _, err := r.scanner.SeekObjectHeader(o.offset); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if _, _, err := r.scanner.NextObject(&out); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
