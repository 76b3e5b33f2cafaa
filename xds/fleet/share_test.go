package fleet

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/test/kube"
	"github.com/sluice-dev/sluice/test/poll"
	"github.com/sluice-dev/sluice/xds/ir"
)

// mouth tells what the test says, of the newest process that it was asked for.
type mouth struct {
	mu   sync.Mutex // guards all
	text string
	last string
	to   []string
}

func (m *mouth) say(text string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.text = text
}

func (m *mouth) share(to string, _ int) (string, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if n := len(m.to); n == 0 || m.to[n-1] != to {
		m.to = append(m.to, to)
	}
	news := m.text != m.last
	m.last = m.text
	return m.text, news
}

// TestTell_leaseHoldsItAndOthersHearIt: what is told stands in the replica's Lease soon, goes to who decides, and is gone when
// there is nothing to tell, and when the replica has gone.
func TestTell_leaseHoldsItAndOthersHearIt(t *testing.T) {
	c, ns := server(t)
	var deciding atomic.Value
	deciding.Store("")
	m := &mouth{text: "one"}
	l := &ledger{report: ir.Report{}, changed: make(chan struct{})}
	w, err := New(Config{Client: c, Ledger: l, Namespace: ns, Replica: "sluice-1", Now: time.Now, Tells: Tells{
		Share: m.share, Leader: func() (string, bool) { id := deciding.Load().(string); return id, id != "" }}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Start(ctx) }()
	lease := func() (*coordinationv1.Lease, error) {
		out := &coordinationv1.Lease{}
		return out, c.Get(t.Context(), client.ObjectKey{Namespace: ns, Name: "sluice-replica-sluice-1"}, out)
	}
	says := func(want string) {
		t.Helper()
		kube.Eventually(t, 15*time.Second, func() error {
			have, err := lease()
			if got := have.Annotations[sharedAnnotation]; err == nil && got != want {
				err = fmt.Errorf("the Lease says %q, want %q", got, want)
			}
			return err
		})
	}
	kube.Eventually(t, 15*time.Second, func() error { _, err := lease(); return err })
	deciding.Store("leader")
	says("one")

	var mu sync.Mutex // guards words
	words := map[string]string{}
	shift := &atomic.Int64{}
	readTold(t, c, ns, shift, func(replica, process, text string) {
		mu.Lock()
		defer mu.Unlock()
		words[replica] = process + " " + text
	})
	hears := func(want string) {
		t.Helper()
		kube.Eventually(t, 15*time.Second, func() error {
			mu.Lock()
			defer mu.Unlock()
			if got := words["sluice-1"]; got != want {
				return fmt.Errorf("heard %q, want %q", got, want)
			}
			return nil
		})
	}
	hears(w.incarnation + " one")
	m.say("two")
	hears(w.incarnation + " two")
	m.say("")
	says("")
	hears(w.incarnation + " ")
	m.say("three")
	hears(w.incarnation + " three")
	cancel()
	if err := poll.End(20*time.Second, "the Writer", done); err != nil {
		t.Error(err)
	}
	hears(" ")
	if want := "[leader]"; fmt.Sprint(m.to) != want {
		t.Errorf("told %v, want %s", m.to, want)
	}
}

// TestLeader_isHeardWhileItRenewsItsLease: while it does not, what it is told might be lost.
func TestLeader_isHeardWhileItRenewsItsLease(t *testing.T) {
	c, ns := server(t)
	shift := &atomic.Int64{}
	r := readTold(t, c, ns, shift, func(string, string, string) {})
	is := func(id string, heard bool) {
		t.Helper()
		kube.Eventually(t, 15*time.Second, func() error {
			if gotID, got := r.Leader(); gotID != id || got != heard {
				return fmt.Errorf("%q %t, want %q %t", gotID, got, id, heard)
			}
			return nil
		})
	}
	is("", false)
	kube.Eventually(t, 15*time.Second, func() error {
		r.mu.Lock()
		defer r.mu.Unlock()
		if !r.known {
			return errors.New("not everything was seen")
		}
		return nil
	})
	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "sluice"}}
	lease.Spec.HolderIdentity, lease.Spec.LeaseDurationSeconds = new("one"), new(int32(1000))
	if err := c.Create(t.Context(), lease); err != nil {
		t.Fatal(err)
	}
	is("one", true)
	shift.Add(int64(300 * time.Second))
	is("one", false)
	lease.Spec.HolderIdentity = new("two")
	if err := c.Update(t.Context(), lease); err != nil {
		t.Fatal(err)
	}
	is("two", true)
	lease.Spec.HolderIdentity = nil
	if err := c.Update(t.Context(), lease); err != nil {
		t.Fatal(err)
	}
	is("", false)
	if err := c.Delete(t.Context(), lease); err != nil {
		t.Fatal(err)
	}
	is("", false)
}
