package gitsync

import (
	"fmt"
	"time"
)

// Tally is what a commit has changed in the cluster so far and no status tells yet: a run may be cut off, and the write that would
// tell of it may meet a conflict. The next run finds nothing left to change and tells of this. The zero value is of no commit.
type Tally struct {
	Commit          string
	Changed, Pruned int
	From            time.Time // begin of the first run that changed something
}

// Empty reports whether nothing was changed.
func (t Tally) Empty() bool { return t.Changed+t.Pruned == 0 }

// Add counts what a run that began at from has changed for a commit. What is left of another commit, which this one has overtaken,
// is told of nowhere.
func (t Tally) Add(commit string, from time.Time, changed, pruned int) Tally {
	if t.Commit != commit {
		t = Tally{Commit: commit}
	}
	if t.Empty() {
		t.From = from
	}
	t.Changed, t.Pruned = t.Changed+changed, t.Pruned+pruned
	return t
}

// Took is how long all of it took until now, in milliseconds; zero for nothing.
func (t Tally) Took(now time.Time) int64 {
	if t.Empty() {
		return 0
	}
	return now.Sub(t.From).Milliseconds()
}

// Sentence tells of it, with how many objects the Source has now.
func (t Tally) Sentence(objects int, now time.Time) string {
	what := "objects"
	if objects == 1 {
		what = "object"
	}
	return fmt.Sprintf("%d of %d %s changed, %d pruned in %dms", t.Changed, objects, what, t.Pruned, t.Took(now))
}
