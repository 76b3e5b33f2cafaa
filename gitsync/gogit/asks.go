package gogit

import (
	"context"
	"maps"
	"slices"
	"sync"
)

// asks are those who wait to hear where refs are. One listing answers all who came before it was asked for: they wait for one
// another's fetches, and each would ask for itself otherwise.
type asks struct {
	mu      sync.Mutex
	tickets int            // given out so far; guarded by mu
	waiting map[string]int // prefixes, by how many wait for them; guarded by mu

	// What follows belongs to who holds the handle.
	last    listing
	covers  map[string]bool // prefixes that it was asked for
	through int             // the newest ticket that it answers
}

// wish is what one caller waits for.
type wish struct {
	prefix string
	ticket int
}

// join notes what a caller is going to ask for; an empty prefix asks for nothing.
func (a *asks) join(prefix string) wish {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.waiting == nil {
		a.waiting = map[string]int{}
	}
	if prefix != "" {
		a.waiting[prefix]++
	}
	a.tickets++
	return wish{prefix, a.tickets}
}

// again makes a wish one that no listing of before can answer.
func (a *asks) again(w *wish) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.tickets++
	w.ticket = a.tickets
}

// leave ends a wish.
func (a *asks) leave(w wish) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.waiting[w.prefix]--; a.waiting[w.prefix] <= 0 {
		delete(a.waiting, w.prefix)
	}
}

// queue counts those who wait.
func (a *asks) queue() (n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, many := range a.waiting {
		n += many
	}
	return n
}

// gather gives all prefixes that somebody waits for, and the newest of their tickets.
func (a *asks) gather() ([]string, int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Sorted(maps.Keys(a.waiting)), a.tickets
}

// listFor gives a listing that was asked for after the wish came up. The handle is held.
func (h *handle) listFor(ctx context.Context, w wish) (listing, error) {
	a := &h.asks
	if a.covers[w.prefix] && w.ticket <= a.through {
		return a.last, nil
	}
	prefixes, through := a.gather()
	l, err := h.list(ctx, prefixes)
	if err != nil {
		return listing{}, err
	}
	a.last, a.through, a.covers = l, through, map[string]bool{}
	for _, p := range prefixes {
		a.covers[p] = true
	}
	return l, nil
}
