package gitsync

import (
	"context"

	"github.com/sluice-dev/sluice/api/problem"
)

// Outcome is what became of a Set. Confirmed holds the entries of objects that are as Git wants them; a unit with a
// refusal has none of its objects applied unless the refusal came after its dry run.
type Outcome struct {
	Confirmed []Entry
	Changed   []ID // created or changed by this run
	Refused   []Refusal
}

// Refusal is the server's answer to one object that must not be retried as it is.
type Refusal struct {
	ID      ID
	Unit    int // index into Set.Units
	Problem problem.Problem
}

// Applier brings objects into the cluster as one identity. Its errors are trouble with the cluster that is worth a
// retry, or a *Failure.
type Applier interface {
	Look(ctx context.Context, entries []Entry) (map[ID]Live, error)
	Apply(ctx context.Context, set Set) (Outcome, error)
	Prune(ctx context.Context, removals []Removal) (gone []ID, err error)
}
