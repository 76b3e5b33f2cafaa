package replicas

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/test/poll"
)

// history is every status that the Rollout of a site has had, with when it was seen.
type history struct {
	site *site

	mu   sync.Mutex // guards all
	seen []entry
}

type entry struct {
	at     time.Time
	status v1alpha1.RolloutStatus
	gap    bool // others may have come before it that nobody saw
}

// follow keeps the history until the end of the test.
func (s *site) follow() *history {
	s.t.Helper()
	w, err := s.client.Watch(s.t.Context(), &v1alpha1.RolloutList{}, client.InNamespace(s.shop))
	if err != nil {
		s.t.Fatal(err)
	}
	h, done := &history{site: s}, make(chan struct{})
	go func() {
		defer close(done)
		for event := range w.ResultChan() {
			if ro, ok := event.Object.(*v1alpha1.Rollout); ok && ro.Status != nil {
				h.mu.Lock()
				h.seen = append(h.seen, entry{at: time.Now(), status: *ro.Status})
				h.mu.Unlock()
			}
		}
	}()
	s.t.Cleanup(func() { w.Stop(); <-done })
	return h
}

// all is the history so far.
func (h *history) all() []entry {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.seen)
}

// last is the newest status.
func (h *history) last() v1alpha1.RolloutStatus {
	h.site.t.Helper()
	all := h.all()
	if len(all) == 0 {
		h.site.t.Fatal("there is no status yet")
	}
	return all[len(all)-1].status
}

// first waits for the first status since an instant that is as described, even if it has passed already.
func (h *history) first(since time.Time, what string, ok func(*v1alpha1.RolloutStatus) bool) entry {
	h.site.t.Helper()
	var found entry
	err := poll.Until(patience, func() error {
		all := h.all()
		for _, e := range all {
			if !e.at.Before(since) && ok(&e.status) {
				found = e
				return nil
			}
		}
		if len(all) == 0 {
			return errors.New("no status yet")
		}
		return errors.New(brief(&all[len(all)-1].status))
	})
	if err != nil {
		h.site.t.Fatalf("waiting for %s: %v", what, err)
	}
	return found
}

// adopted waits until v1 is stable, and everybody runs it.
func (h *history) adopted() entry {
	h.site.t.Helper()
	return h.first(time.Time{}, "v1 adopted", func(st *v1alpha1.RolloutStatus) bool {
		return st.Phase == v1alpha1.PhaseIdle && st.Stable.Name == "v1" && st.Seq > 0 && st.SettledSeq == st.Traffic.Seq
	})
}

// asked waits until a weight is stored.
func (h *history) asked(weight int32) entry {
	h.site.t.Helper()
	return h.first(time.Time{}, fmt.Sprintf("weight %d", weight), func(st *v1alpha1.RolloutStatus) bool { return st.Weight == weight })
}

// settled waits until everybody runs a weight.
func (h *history) settled(weight int32) entry {
	h.site.t.Helper()
	return h.first(time.Time{}, fmt.Sprintf("weight %d everywhere", weight), func(st *v1alpha1.RolloutStatus) bool {
		return st.Weight == weight && st.SettledSeq == st.Traffic.Seq
	})
}

// says waits until the condition Programmed has a status, and a message with all the parts.
func (h *history) says(since time.Time, status string, parts ...string) entry {
	h.site.t.Helper()
	return h.first(since, fmt.Sprintf("Programmed %s with %q", status, parts), func(st *v1alpha1.RolloutStatus) bool {
		got, _, message := programmed(st)
		return got == status && containsAll(message, parts)
	})
}

// inSync waits until the process of a replica that runs now reports n proxies, all in sync.
func (s *site) inSync(replica string, n int32) {
	s.t.Helper()
	eventually(s.t, "the proxies of "+replica, func() error {
		lease := &coordinationv1.Lease{}
		if err := s.client.Get(s.t.Context(), client.ObjectKey{Namespace: s.system, Name: "sluice-replica-" + replica}, lease); err != nil {
			return err
		}
		st, holder := s.reports()[replica], ""
		if id := lease.Spec.HolderIdentity; id != nil {
			holder = *id
		}
		if st.Incarnation != holder || st.Proxies.Connected != n || st.Proxies.Synced != n {
			return fmt.Errorf("the report of %s says %+v, its Lease is held by %s", replica, st, holder)
		}
		return nil
	})
}
