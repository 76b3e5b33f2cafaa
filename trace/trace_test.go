package trace_test

import (
	"encoding/hex"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/trace"
)

func TestAttempt_idsAreThoseOfTheVector(t *testing.T) {
	t.Parallel()
	a := trace.Attempt{UID: "0b7f3c1e-5a52-4f0b-9a44-2f6c1d3e8a90", Number: 3}
	root := a.Root()
	if a.TraceText() != "d753614f83399d6ecce332879f93186d" || hex.EncodeToString(root[:]) != "2eedd6d49444b398" {
		t.Errorf("trace %s, root %x", a.TraceText(), root)
	}
}

func TestSpan_idsDifferAndParentsAreKnown(t *testing.T) {
	t.Parallel()
	a, now := trace.Attempt{UID: "u", Number: 1}, time.Unix(100, 0)
	seen := map[trace.ID]string{}
	for name, s := range map[string]trace.Span{
		"attempt": {Attempt: a, Name: trace.NameAttempt}, "step 1": {Attempt: a, Name: trace.StepName(1), Step: 1}, "step 2": {Attempt: a, Name: trace.StepName(2), Step: 2},
		"push": {Attempt: a, Name: trace.NamePush, From: now}, "decide": {Attempt: a, Name: trace.NameDecide, From: now},
		"later push": {Attempt: a, Name: trace.NamePush, From: now.Add(1)}, "one notify": {Attempt: a, Name: trace.NameNotify, From: now, One: "a"},
		"other notify": {Attempt: a, Name: trace.NameNotify, From: now, One: "b"},
	} {
		if other, twice := seen[s.ID()]; twice || s.ID() == (trace.ID{}) {
			t.Errorf("%s has the id of %s", name, other)
		}
		seen[s.ID()] = name
		want := a.Root()
		if name == "attempt" {
			want = trace.ID{}
		}
		if s.Above() != want {
			t.Errorf("%s is below %x, want %x", name, s.Above(), want)
		}
	}
	if s := (trace.Span{Attempt: a, Name: trace.NamePush, Parent: a.Step(1)}); s.Above() != a.Step(1) {
		t.Errorf("a push of step 1 is below %x", s.Above())
	}
}
