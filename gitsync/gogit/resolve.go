package gogit

import (
	"bytes"
	"fmt"
	"io"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
)

// resolving is the search for the ids of deltas.
type resolving struct {
	*inspection
	room    int64                                                    // for objects at hand
	outside func(plumbing.Hash) (plumbing.ObjectType, []byte, error) // reads a base that the pack lacks; nil: there are none
	keep    func(plumbing.ObjectType, []byte) error                  // stores each object; nil: the pack is stored as it is

	scanner *packfile.Scanner // of the spooled pack
	upon    map[int32][]int32 // the deltas upon each object
	named   map[plumbing.Hash][]int32
	left    int   // deltas without an id
	held    int64 // bytes of objects at hand
}

// resolve gives every delta its id, from the objects that are none towards the ends of chains: what is built is let go as soon as
// nothing is built upon it any more.
func (r *resolving) resolve(pack io.ReadSeeker) error {
	r.upon, r.named = map[int32][]int32{}, map[plumbing.Hash][]int32{}
	for at, o := range r.objects {
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
	if r.left == 0 && r.keep == nil {
		return nil
	}
	r.scanner = packfile.NewScanner(pack)
	for at, o := range r.objects {
		if o.kind.IsDelta() || r.keep == nil && len(r.upon[int32(at)])+len(r.named[o.id]) == 0 {
			continue
		}
		content, err := r.inflate(int32(at))
		if err != nil {
			return err
		}
		if err := r.store(o.kind, content); err != nil {
			return err
		}
		if err := r.follow(level{content: content, kind: o.kind, todo: r.children(int32(at))}); err != nil {
			return err
		}
	}
	if r.outside != nil {
		if err := r.followOutside(); err != nil {
			return err
		}
	}
	if r.left > 0 {
		return fmt.Errorf("%d deltas upon objects that the pack lacks", r.left)
	}
	return nil
}

// followOutside builds what stands upon objects that the pack lacks and the repository has. What it cannot read is left.
func (r *resolving) followOutside() error {
	var bases []plumbing.Hash
	for id := range r.named {
		bases = append(bases, id)
	}
	plumbing.HashesSort(bases)
	for _, id := range bases {
		kind, content, err := r.outside(id)
		if err != nil {
			continue // it may still come out of the pack; else it is counted as left
		}
		todo := r.named[id]
		delete(r.named, id)
		if err := r.follow(level{content: content, kind: kind, todo: todo}); err != nil {
			return err
		}
	}
	return nil
}

func (r *resolving) store(kind plumbing.ObjectType, content []byte) error {
	if r.keep == nil {
		return nil
	}
	return r.keep(kind, content)
}

// level is an object and what is still to be built upon it.
type level struct {
	content []byte
	kind    plumbing.ObjectType
	todo    []int32
	depth   int // of deltas below it
}

// follow builds everything that stands upon an object, one chain after the other.
func (r *resolving) follow(root level) error {
	levels := []level{root}
	r.held = int64(len(root.content))
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
		target, err := r.build(child, kind, top.content)
		if err != nil {
			return err
		}
		if top.todo = top.todo[1:]; len(top.todo) == 0 {
			r.held -= int64(len(top.content))
			levels = levels[:len(levels)-1]
		}
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

// build makes the object that a delta gives upon its base, and tells its id.
func (r *resolving) build(at int32, kind plumbing.ObjectType, base []byte) ([]byte, error) {
	delta, err := r.inflate(at)
	if err != nil {
		return nil, err
	}
	target, err := packfile.PatchDelta(base, delta)
	if err != nil {
		return nil, fmt.Errorf("delta at %d: %w", r.objects[at].offset, err)
	}
	r.objects[at].id = plumbing.ComputeHash(kind, target)
	r.left--
	return target, r.store(kind, target)
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
