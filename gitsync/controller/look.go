package controller

import (
	"context"
	"fmt"
	"path"

	"github.com/sluice-dev/sluice/gitsync"
	"github.com/sluice-dev/sluice/gitsync/decode"
)

// await looks again soon when the commit that a webhook has announced is not there yet.
func (p *pass) await(id string) {
	m := p.memory
	if m.awaited.commit == "" || m.awaited.commit == id {
		m.awaited = awaited{}
		return
	}
	m.awaited.looks++
	wait, again := announced(m.awaited.looks)
	if !again {
		m.awaited = awaited{}
		return
	}
	if soon := p.started.Add(wait); soon.Before(m.next) {
		m.next = soon
	}
}

// render builds the tree, unless everything that a build before has read is the same: then it is kept.
func (p *pass) render(ctx context.Context, tree gitsync.Tree, options gitsync.Options) (kept bool, err error) {
	m := p.memory
	next := &revision{commit: tree.Commit(), key: p.key(options), listedAt: p.started, values: options.Variables}
	if last := m.revision; last != nil && last.key == next.key && !last.open && len(last.build.Reads) > 0 && rereads(tree, last.build.Reads) {
		next.build = last.build
		m.revision = next
		return true, nil
	}
	if next.build, next.open, err = p.build(ctx, tree, options); err != nil {
		return false, fmt.Errorf("rendering %s: %w", next.commit.Revision(), err)
	}
	m.revision, m.settled = next, false
	return false, nil
}

// untouched reports whether a commit that changes nothing which the Source reads follows one that is wholly applied, and
// nothing else is due: then it is applied as it is.
func (p *pass) untouched(before *revision) bool {
	m, s := p.memory, p.src.Status
	return before != nil && m.settled && !m.waits.Load() && m.preemption.left == nil && p.boots() == nil && p.started.Before(m.resync) &&
		m.revision.build.Reason == "" && len(s.Held) == 0 && s.Commit != nil && s.Commit.ID == before.commit.ID
}

// scope is what the Source lets itself do of what the operator allows.
func (p *pass) scope() decode.Scope {
	return decode.Scope{Namespace: p.src.Namespace, Kinds: p.src.Spec.Kinds, Namespaces: p.src.Spec.Namespaces}
}

// key names what a build of this Source depends on besides the tree.
func (p *pass) key(options gitsync.Options) string {
	return fmt.Sprintf("%s %q", options.Key(), p.scope())
}

// build gives what a tree renders to, checked.
// open is true where it may be checked otherwise another time.
func (p *pass) build(ctx context.Context, tree gitsync.Tree, options gitsync.Options) (build gitsync.Build, open bool, err error) {
	c, key := p.controller, p.key(options)
	if known, ok := c.builds.find(p.src.UID, key, tree); ok {
		return known, false, nil
	}
	if build, err = c.config.Renderer.Render(ctx, tree, options); err != nil {
		return build, false, err
	}
	if build.Reason == "" {
		build, open = p.fitted(ctx, build)
	}
	if !open {
		c.builds.store(p.src.UID, key, build)
	}
	return build, open, nil
}

// rereads reports whether a tree has the same content at every path that a build has read. What lies in a directory that is the
// same is not looked at.
func rereads(tree gitsync.Tree, reads map[string]string) bool {
	known := map[string]bool{} // directories, whether they are the same
	var same func(name string) bool
	same = func(name string) bool {
		if is, ok := known[name]; ok {
			return is
		}
		hash, read := reads[name]
		is := name != "." && same(path.Dir(name)) || read && hash != "" && tree.Hash(name) == hash
		known[name] = is
		return is
	}
	for name, hash := range reads {
		if name != "." && same(path.Dir(name)) {
			continue
		}
		if tree.Hash(name) != hash {
			return false
		}
	}
	return true
}
