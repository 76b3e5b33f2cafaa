package gitsync

import (
	"context"
	"errors"

	"github.com/sluice-dev/sluice/api/problem"
)

// Outcome is what became of a Set. Confirmed holds the entries of objects that are as Git wants them; a unit with a
// refusal has none of its objects applied unless the refusal came after its dry run.
type Outcome struct {
	Confirmed []Entry
	Changed   []ID // created or changed by this run
	Refused   []Refusal
	Troubled  []Trouble
	Drifted   []Drift // among Changed: Git wanted nothing new, somebody else had changed them
}

// Refusal is the server's answer to one object that must not be retried as it is.
type Refusal struct {
	ID      ID
	Unit    int // index into Set.Units
	Problem problem.Problem
}

// Trouble is an object, and with it its unit, that is worth a retry. Other units are not touched by it.
type Trouble struct {
	ID   ID
	Unit int // index into Set.Units
	Err  error
}

// ErrPreempted is the cause of a context that ends because there is something newer to apply: what is under way is
// finished, nothing more is begun.
var ErrPreempted = errors.New("a newer commit came")

// Applier brings objects into the cluster as one identity. Its errors are trouble with the cluster as a whole that is
// worth a retry, or a *Failure.
type Applier interface {
	// Look gives what exists. What may not be read is refused and not among the live: nothing is known of it.
	Look(ctx context.Context, entries []Entry) (map[ID]Live, []Refusal, error)
	Apply(ctx context.Context, set Set) (Outcome, error)
	// Prune deletes in order and gives what is gone, an error or not.
	Prune(ctx context.Context, removals []Removal) (gone []ID, err error)
}
