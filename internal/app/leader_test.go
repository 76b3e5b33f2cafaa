package app

import (
	"context"
	"errors"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// lease is one in memory, that can be out of reach.
type lease struct {
	resourcelock.Interface
	record resourcelock.LeaderElectionRecord
	err    error
}

func (l *lease) Identity() string { return "us" }

func (l *lease) Get(context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	record := l.record
	return &record, []byte(record.HolderIdentity), l.err
}

func (l *lease) Update(_ context.Context, record resourcelock.LeaderElectionRecord) error {
	if l.err == nil {
		l.record = record
	}
	return l.err
}

func TestLeadership_outlivesASilentServerWithoutWriting(t *testing.T) {
	now, told := time.Unix(0, 0), 0
	under := &lease{}
	l := &leadership{Interface: under, now: func() time.Time { return now }, limit: 10 * time.Second, answer: time.Second}
	l.whenReplaced(func() { told++ })
	ours := resourcelock.LeaderElectionRecord{HolderIdentity: "us"}
	step := func(what string, err error, confirmed bool) {
		t.Helper()
		if err != nil || l.confirmed() != confirmed {
			t.Errorf("%s: %v, confirmed %v, want %v", what, err, l.confirmed(), confirmed)
		}
	}
	step("before", nil, false)
	step("taken", l.Update(t.Context(), ours), true)

	under.err = errors.New("connection refused")
	now = now.Add(9 * time.Second)
	step("out of reach for a while", l.Update(t.Context(), ours), true)
	now = now.Add(2 * time.Second)
	record, _, err := l.Get(t.Context())
	step("for longer", err, false)
	if record.HolderIdentity != "us" {
		t.Errorf("the lease is said to be held by %q", record.HolderIdentity)
	}

	under.err = nil
	step("back", l.Update(t.Context(), ours), true)
	under.err = errors.New("connection refused")
	now = now.Add(time.Minute)
	step("gone again", l.Update(t.Context(), ours), false)

	under.record.HolderIdentity = "they"
	under.err = apierrors.NewConflict(schema.GroupResource{Resource: "leases"}, "sluice", errors.New("it changed"))
	if err := l.Update(t.Context(), ours); !apierrors.IsConflict(err) {
		t.Errorf("a conflict gives %v", err)
	}
	under.err = nil
	if record, _, err := l.Get(t.Context()); err != nil || record.HolderIdentity != "they" || told != 1 || l.confirmed() {
		t.Errorf("held by %v, %v, told %d times, confirmed %v", record, err, told, l.confirmed())
	}
}

func TestLeadership_isNotClaimedWithoutTheServer(t *testing.T) {
	l := &leadership{Interface: &lease{err: errors.New("connection refused")}, now: Now, limit: time.Minute, answer: time.Second}
	if err := l.Update(t.Context(), resourcelock.LeaderElectionRecord{HolderIdentity: "us"}); err == nil || l.confirmed() {
		t.Errorf("got %v, confirmed %v", err, l.confirmed())
	}
}

func TestLeadership_releasesOnlyItsOwnLease(t *testing.T) {
	under := &lease{}
	l := &leadership{Interface: under, now: Now, limit: time.Minute, answer: time.Second}
	ours, released := resourcelock.LeaderElectionRecord{HolderIdentity: "us"}, resourcelock.LeaderElectionRecord{}
	for _, held := range []string{"they", "us"} {
		if err := l.Update(t.Context(), ours); err != nil {
			t.Fatal(err)
		}
		under.record.HolderIdentity = held // while this process was stopped
		if _, _, err := l.Get(t.Context()); err != nil {
			t.Fatal(err)
		}
		err := l.Update(t.Context(), released)
		if want := map[string]string{"they": "they", "us": ""}[held]; err != nil || under.record.HolderIdentity != want {
			t.Errorf("held by %s, released by us: held by %q, want %q, %v", held, under.record.HolderIdentity, want, err)
		}
	}
}
