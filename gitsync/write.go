package gitsync

import (
	"errors"
	"time"
)

// Edit makes a path of a tree what it is in another tree of the same repository; absent there, it is removed.
type Edit struct {
	Path string
	As   Tree
}

// Push moves one ref of a remote. New is the commit to move it to, which the remote has; or, where Content is set, a commit
// that is made of it with Old's commit, or Parent, before it.
type Push struct {
	Remote  Remote
	Ref     string // in full
	Old     string // what the ref must be at; empty: it must not exist
	New     string
	Parent  string // of the new commit; empty: Old
	Content Tree   // made by Edit
	Message string
	Author  Author
	Sign    func(payload []byte) (armoured string, err error) // nil: unsigned
	Timeout time.Duration
}

// Author is who commits, and when.
type Author struct {
	Name, Email string
	Time        time.Time
}

// ErrPushRefused says that a ref was not where a push expected it, or that the server does not let it be moved.
var ErrPushRefused = errors.New("the server refuses the push")
