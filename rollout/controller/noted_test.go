package controller

import (
	"strings"
	"testing"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/rollout"
)

func TestNoted_knowsTheNotesOfEachWrite(t *testing.T) {
	t.Parallel()
	started := &rollout.Transition{Seq: 2, From: rollout.Idle, To: rollout.Preparing, Reason: rollout.AttemptStarted}
	quiet := &rollout.Transition{Seq: 2, From: rollout.Preparing, To: rollout.Shifting, Reason: rollout.WeightRequested}
	next := rollout.State{Mark: rollout.Mark{Seq: 2, Attempt: 1}}
	note := func(seq int64, kind v1alpha1.NoteKind, to string) v1alpha1.PendingNote {
		return v1alpha1.PendingNote{Attempt: 1, Seq: seq, Kind: kind, Notifier: to}
	}
	old, fresh := note(1, v1alpha1.NoteCompleted, "team"), note(2, v1alpha1.NoteStarted, "team")
	for _, row := range []struct {
		name string
		is   []v1alpha1.PendingNote
		m    *rollout.Transition
		want string // in the error; empty: none
	}{
		{"one for who asked", []v1alpha1.PendingNote{old, fresh}, started, ""},
		{"none of a transition without a note", []v1alpha1.PendingNote{old}, quiet, ""},
		{"none without a transition", nil, nil, ""},
		{"forgotten", []v1alpha1.PendingNote{old}, started, "0 notes"},
		{"doubled", []v1alpha1.PendingNote{old, fresh, fresh}, started, "2 notes"},
		{"of a transition without a note", []v1alpha1.PendingNote{old, fresh}, quiet, "nobody asked"},
		{"without a transition", []v1alpha1.PendingNote{old, fresh}, nil, "nobody asked"},
		{"to somebody else", []v1alpha1.PendingNote{old, fresh, note(2, v1alpha1.NoteStarted, "others")}, started, "nobody asked"},
		{"of another kind", []v1alpha1.PendingNote{old, note(2, v1alpha1.NoteAborted, "team")}, started, "nobody asked"},
		{"of another transition", []v1alpha1.PendingNote{old, note(3, v1alpha1.NoteStarted, "team")}, started, "nobody asked"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			err := noted([]v1alpha1.PendingNote{old}, row.is, next, row.m, []string{"team"})
			if row.want == "" && err != nil || row.want != "" && (err == nil || !strings.Contains(err.Error(), row.want)) {
				t.Errorf("got %v, want %q", err, row.want)
			}
		})
	}
}
