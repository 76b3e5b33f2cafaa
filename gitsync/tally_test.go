package gitsync

import (
	"testing"
	"time"
)

func TestTally_addsUpTheRunsOfOneCommit(t *testing.T) {
	t.Parallel()
	at := func(ms int) time.Time { return time.Unix(0, 0).Add(time.Duration(ms) * time.Millisecond) }
	tally := Tally{}.Add("a", at(0), 0, 0)
	if !tally.Empty() || tally.Took(at(9)) != 0 {
		t.Errorf("%+v after a run that changed nothing, want it empty", tally)
	}
	tally = tally.Add("a", at(1), 2, 0).Add("a", at(5), 0, 1)
	if got, want := tally.Sentence(3, at(8)), "2 of 3 objects changed, 1 pruned in 7ms"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	tally = tally.Add("b", at(10), 1, 0)
	if got, want := tally.Sentence(1, at(12)), "1 of 1 object changed, 0 pruned in 2ms"; got != want || tally.Commit != "b" {
		t.Errorf("%q of %s, want %q of b: what the commit before changed is not its own", got, tally.Commit, want)
	}
}
