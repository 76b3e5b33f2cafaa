package gogit

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/storage/filesystem"
)

// Git object modes, as trees write them.
const (
	modeDir        = 0o040000
	modeFile       = 0o100644
	modeOldFile    = 0o100664
	modeExecutable = 0o100755
	modeSymlink    = 0o120000
)

// commitObject is what we read of a commit.
type commitObject struct {
	tree           plumbing.Hash
	author         string
	email          string // of the author
	committed      time.Time
	message        string
	parents        []string
	lacksCommitter bool
}

// treeEntry is one line of a directory.
type treeEntry struct {
	name string
	mode uint32
	id   plumbing.Hash
}

// rawObject reads an object of the wanted type, at most limit bytes of it.
func rawObject(s *filesystem.Storage, kind plumbing.ObjectType, id plumbing.Hash, limit int64) ([]byte, error) {
	o, err := s.EncodedObject(kind, id)
	if err != nil {
		return nil, err
	}
	if o.Size() > limit {
		return nil, exceeded("an object of %d bytes, %d are allowed", o.Size(), limit)
	}
	r, err := o.Reader()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, o.Size()+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) != o.Size() {
		return nil, fmt.Errorf("object %s has %d bytes, its header says %d", id, len(b), o.Size())
	}
	return b, checkHash(kind, id, b)
}

func readCommit(s *filesystem.Storage, id string, limit int64) (commitObject, error) {
	raw, err := rawObject(s, plumbing.CommitObject, plumbing.NewHash(id), limit)
	if err != nil {
		return commitObject{}, err
	}
	return parseCommit(raw)
}

// parseCommit reads the header lines up to the empty one; continuation lines begin with a space.
func parseCommit(raw []byte) (commitObject, error) {
	head, message, _ := strings.Cut(string(raw), "\n\n")
	c := commitObject{message: message, lacksCommitter: true}
	for line := range strings.SplitSeq(head, "\n") {
		key, rest, _ := strings.Cut(line, " ")
		switch key {
		case "tree":
			if isID(rest) && c.tree.IsZero() {
				c.tree = plumbing.NewHash(rest)
			}
		case "parent":
			if isID(rest) {
				c.parents = append(c.parents, rest)
			}
		case "author":
			c.author, rest, _ = strings.Cut(rest, " <")
			c.email, _, _ = strings.Cut(rest, ">")
		case "committer":
			c.committed, c.lacksCommitter = signedAt(rest), false
		}
	}
	if c.tree.IsZero() || c.lacksCommitter {
		return commitObject{}, errors.New("a commit without tree or committer")
	}
	return c, nil
}

// signedAt reads the time of "Name <address> 1700000000 +0100"; zero if there is none.
func signedAt(line string) time.Time {
	fields := strings.Fields(line[strings.LastIndexByte(line, '>')+1:])
	if len(fields) == 0 {
		return time.Time{}
	}
	seconds, err := strconv.ParseInt(fields[0], 10, 64)
	if err != nil {
		return time.Time{}
	}
	return time.Unix(seconds, 0).UTC()
}

// parseTree reads "<octal mode> <name>\0<20 bytes>" until the end.
func parseTree(raw []byte, limit int) ([]treeEntry, error) {
	var out []treeEntry
	for len(raw) > 0 {
		space, zero := bytes.IndexByte(raw, ' '), bytes.IndexByte(raw, 0)
		if space < 0 || zero < space || len(raw) < zero+21 {
			return nil, errors.New("a malformed directory")
		}
		mode, err := strconv.ParseUint(string(raw[:space]), 8, 32)
		if err != nil {
			return nil, errors.New("a malformed mode in a directory")
		}
		e := treeEntry{name: string(raw[space+1 : zero]), mode: uint32(mode)}
		copy(e.id[:], raw[zero+1:zero+21])
		if out = append(out, e); len(out) > limit {
			return nil, exceeded("a directory of more than %d entries", limit)
		}
		raw = raw[zero+21:]
	}
	return out, nil
}
