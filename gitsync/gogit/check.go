package gogit

import (
	"encoding/binary"
	"fmt"
	"io"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"

	"github.com/sluice-dev/sluice/gitsync"
)

// inspection is what one look at a pack has found.
type inspection struct {
	scanner *packfile.Scanner
	objects []packed      // in the order of the pack
	thin    bool          // a base is outside the pack
	deepest int           // chain of deltas that is allowed, those upon named objects included
	sum     plumbing.Hash // of the pack; set by end
}

// packed is one object of a pack.
type packed struct {
	offset int64
	crc    uint32
	kind   plumbing.ObjectType
	base   int32         // of a delta upon an object before it: its index
	id     plumbing.Hash // of an object that is no delta; of one upon an object that is named by its id: that id
}

// checkPack reads a pack once without building any object: number and sizes, declared and of deltas' targets, depth of chains,
// and which bases are known outside of it. What it has seen is enough to index every object that is no delta.
func checkPack(r io.Reader, l Limits, known func(id string) bool) (*inspection, error) {
	s := packfile.NewScanner(r)
	_, count, err := s.Header()
	if err != nil {
		return nil, broken("pack header", err)
	}
	if int64(count) > l.Objects {
		return nil, exceeded("%d objects in a pack, %d are allowed", count, l.Objects)
	}
	c := &checking{inspection: &inspection{scanner: s, deepest: l.DeltaDepth}, limits: l, known: known}
	for range count {
		if err := c.next(); err != nil {
			return nil, err
		}
	}
	return c.inspection, nil
}

func broken(what string, err error) error {
	return gitsync.Fail(gitsync.StorageFailed, fmt.Errorf("%s: %w", what, err))
}

// checking is a look at a pack under way.
type checking struct {
	*inspection
	limits Limits
	known  func(id string) bool
	depths []int32 // of the objects so far, in chains of deltas that lie within the pack
	total  int64   // bytes inflated so far
}

// next looks at one object.
func (c *checking) next() error {
	header, err := c.scanner.NextObjectHeader()
	if err != nil {
		return broken("pack object", err)
	}
	if header.Length > c.limits.ObjectBytes {
		return exceeded("an object of %d bytes, %d are allowed", header.Length, c.limits.ObjectBytes)
	}
	o, depth := packed{offset: header.Offset, kind: header.Type, base: -1}, int32(0)
	head, size := &prefix{}, header.Length
	if header.Type.IsDelta() {
		_, o.crc, err = c.scanner.NextObject(head)
		size += head.target()
	} else {
		hasher := plumbing.NewHasher(header.Type, header.Length)
		var n int64
		n, o.crc, err = c.scanner.NextObject(hasher)
		if err == nil && n != header.Length {
			err = fmt.Errorf("%d bytes, its header says %d", n, header.Length)
		}
		o.id = hasher.Sum()
	}
	if err != nil {
		return broken("pack object", err)
	}
	switch header.Type {
	case plumbing.REFDeltaObject:
		c.thin = c.thin || c.known(header.Reference.String())
		o.id, depth = header.Reference, 1
	case plumbing.OFSDeltaObject:
		at, ok := slices.BinarySearchFunc(c.objects, header.OffsetReference, func(o packed, offset int64) int { return int(o.offset - offset) })
		if !ok {
			return broken("pack object", fmt.Errorf("a delta upon what is no object"))
		}
		o.base, depth = int32(at), c.depths[at]+1
	default: // a whole object is as large as its header says
	}
	c.total += size
	switch {
	case header.Type.IsDelta() && head.target() > c.limits.ObjectBytes:
		return exceeded("an object of %d bytes, %d are allowed", head.target(), c.limits.ObjectBytes)
	case c.total > c.limits.InflatedBytes:
		return exceeded("more than %d bytes of objects in a pack", c.limits.InflatedBytes)
	case int(depth) > c.limits.DeltaDepth:
		return exceeded("a delta chain deeper than %d", c.limits.DeltaDepth)
	}
	c.objects, c.depths = append(c.objects, o), append(c.depths, depth)
	return nil
}

// end reads what stands after the last object: the hash of the pack, which has to be right.
func (i *inspection) end(in io.Reader) error {
	sum, err := i.scanner.Checksum()
	if err != nil {
		return broken("pack trailer", err)
	}
	if _, err := io.Copy(io.Discard, in); err != nil {
		return broken("pack trailer", err)
	}
	i.sum = sum
	return nil
}

func exceeded(format string, args ...any) error {
	return gitsync.Fail(gitsync.LimitExceeded, fmt.Errorf(format, args...))
}

// prefix keeps the first bytes of an object: where a delta says the sizes of its base and its target.
type prefix struct {
	b []byte
}

// Write implements io.Writer.
func (p *prefix) Write(b []byte) (int, error) {
	if room := 2*binary.MaxVarintLen64 - len(p.b); room > 0 {
		p.b = append(p.b, b[:min(room, len(b))]...)
	}
	return len(b), nil
}

// target gives the size of a delta's target; one that cannot be read is as large as can be.
func (p *prefix) target() int64 {
	_, n := binary.Uvarint(p.b)
	if n <= 0 {
		return 1 << 40
	}
	size, n := binary.Uvarint(p.b[n:])
	if n <= 0 || size > 1<<40 {
		return 1 << 40
	}
	return int64(size)
}
