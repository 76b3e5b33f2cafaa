package replicas

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/test/invariant"
	"github.com/sluice-dev/sluice/test/poll"
	"github.com/sluice-dev/sluice/test/receiver"
	"github.com/sluice-dev/sluice/xds/bootstrap"
)

func containsAll(text string, parts []string) bool {
	for _, p := range parts {
		if !strings.Contains(text, p) {
			return false
		}
	}
	return true
}

// eventually polls within patience.
func eventually(t *testing.T, what string, cond func() error) {
	t.Helper()
	if err := poll.Until(patience, cond); err != nil {
		t.Fatalf("waiting for %s: %v", what, err)
	}
}

// notes lets a webhook receiver hear of the shop's Rollouts.
func (s *site) notes() *receiver.Receiver {
	s.t.Helper()
	const secret = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
	r, err := receiver.Start(s.t.Context(), receiver.Config{Secret: secret})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = r.Close() })
	held := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: s.shop, Name: "hook"}, StringData: map[string]string{"key": secret}}
	if err := s.client.Create(s.t.Context(), held); err != nil {
		s.t.Fatal(err)
	}
	s.apply(fmt.Sprintf(`
apiVersion: sluice.dev/v1alpha1
kind: Notifier
metadata: {name: hook}
spec: {webhook: {url: %q, insecure: true, signingSecretRef: {name: hook, key: key}}}
`, r.URL()))
	return r
}

// told waits for a note of a kind that contains all parts, and says when it came.
func told(t *testing.T, r *receiver.Receiver, kind string, parts ...string) time.Time {
	t.Helper()
	var at time.Time
	eventually(t, "the note "+kind, func() error {
		for _, n := range r.Notes() {
			if n.Verified() && strings.EqualFold(n.Kind, kind) && containsAll(string(n.Body), parts) {
				at = n.At
				return nil
			}
		}
		return fmt.Errorf("%d notes, none of them it", len(r.Notes()))
	})
	return at
}

// TestStory_killedStoppedAndRefusing tells of one release through three Envoys under load. While the weight goes from 15
// to 50 one of them does not move, and another dies and comes back; then one refuses what it is given.
func TestStory_killedStoppedAndRefusing(t *testing.T) {
	s := open(t, 3)
	r := s.replica("sluice-0")
	hook, h := s.notes(), s.follow()
	killed, stopped, refusing := s.edge(0, r.xds, bootstrap.TLS{}), s.edge(1, r.xds, bootstrap.TLS{}), s.edge(2, r.xds, bootstrap.TLS{}, strict)
	s.apply(s.rollout(stays, stays))
	h.adopted()
	began := time.Now()
	for _, e := range []*edge{killed, stopped, refusing} {
		e.serves(0)
		e.visit(100)
	}
	s.want("v2")
	h.settled(15)

	stop := stopOne(t, h, stopped, []*edge{killed, refusing})
	killOne(t, h, killed)
	stop.goOn()
	h.settled(50)

	refuse(t, h, refusing, hook)
	for _, e := range []*edge{killed, stopped, refusing} {
		e.serves(0)
	}
	h.first(began, "the way back to be confirmed", func(st *v1alpha1.RolloutStatus) bool { return st.Phase == v1alpha1.PhaseRolledBack })
	for _, e := range []*edge{stopped, refusing} {
		if n := e.failed(began); n != 0 {
			t.Errorf("%d requests through %s failed", n, e.node)
		}
	}
	if n := r.metric("sluice_xds_nacks_total", ""); n != 1 {
		t.Errorf("%v responses were rejected, want 1", n)
	}
	h.keeps(t, hook, []*edge{killed, stopped, refusing}, invariant.Sum, invariant.Capacity, invariant.GateFirst, invariant.Attempt,
		invariant.Absorbed, invariant.Writer, invariant.Sequence, invariant.Notes)
}

// stall is an Envoy that does not move.
type stall struct {
	t      *testing.T
	edge   *edge
	tables int // that it had been given before
}

// stopOne stops an Envoy before the weight becomes 50. The others do not wait for it, and it is named.
func stopOne(t *testing.T, h *history, e *edge, others []*edge) stall {
	t.Helper()
	out := stall{t: t, edge: e, tables: e.tables()}
	e.signal(syscall.SIGSTOP)
	t.Cleanup(func() { _ = syscall.Kill(e.envoy.Pid(), syscall.SIGCONT) })
	h.site.ask(v1alpha1.ActionPromote)
	asked := h.asked(50)
	for _, other := range others {
		took := other.serves(50).Sub(asked.at)
		t.Logf("%s serves 50 %v after it is stored, while %s is stopped", other.node, took.Round(time.Millisecond), e.node)
		if took > patience { // who waited for the stopped one would wait for minutes
			t.Errorf("%s serves 50 only after %v", other.node, took)
		}
	}
	h.reported("2 of 3 and who is missing", func(sp v1alpha1.FleetSplit) bool {
		return sp.Weight == 50 && sp.Connected == 3 && sp.Acked == 2 && slices.Equal(sp.Pending, []string{e.node})
	})
	t.Logf("the report names %s %v after the weight is stored", e.node, time.Since(asked.at).Round(time.Millisecond))
	named := h.says(asked.at, "Unknown", "2/3 proxies run weight 50", "waiting for "+e.node)
	t.Logf("Programmed names it %v after", named.at.Sub(asked.at).Round(time.Millisecond))
	return out
}

// reported waits until a replica says of the split what is described.
func (h *history) reported(what string, ok func(v1alpha1.FleetSplit) bool) {
	h.site.t.Helper()
	eventually(h.site.t, "a report of "+what, func() error {
		all := h.site.reports()
		for _, st := range all {
			if slices.ContainsFunc(st.Splits, ok) {
				return nil
			}
		}
		return fmt.Errorf("%+v", all)
	})
}

// goOn lets the Envoy move again: it gets the newest table at once, and nothing in between.
func (st stall) goOn() {
	st.t.Helper()
	began := time.Now()
	st.edge.signal(syscall.SIGCONT)
	st.t.Logf("%s serves 50 %v after it goes on", st.edge.node, st.edge.serves(50).Sub(began).Round(time.Millisecond))
	if tables := st.edge.tables(); tables != st.tables+1 {
		st.t.Errorf("%s was given %d tables, want 1", st.edge.node, tables-st.tables)
	}
}

// killOne ends an Envoy in the middle of the step. It comes back with the newest weight, had no other, and counts.
func killOne(t *testing.T, h *history, e *edge) {
	t.Helper()
	began := time.Now()
	e.envoy.Kill(t)
	e.start()
	e.serves(50)
	if tables := e.tables(); tables != 1 {
		t.Errorf("%s was given %d tables after it came back, want 1", e.node, tables)
	}
	live := time.Now()
	t.Logf("%s serves 50 again %v after it was killed", e.node, live.Sub(began).Round(time.Millisecond))
	h.reported("2 of 3, with the one that came back", func(sp v1alpha1.FleetSplit) bool {
		return sp.Weight == 50 && sp.Connected == 3 && sp.Acked == 2 && !slices.Contains(sp.Pending, e.node)
	})
	const n = 200
	eventually(t, "users of "+e.node, func() error {
		if got := e.users.Record().Tally(live, time.Time{}).Total; got < n {
			return fmt.Errorf("%d requests since it came back", got)
		}
		return nil
	})
	tally := e.users.Record().Tally(live, time.Time{})
	if share := tally.Share("v2"); share < 0.3 || share > 0.7 || tally.FailedBut("nobody") > 0 {
		t.Errorf("since it came back %.2f of the requests went to v2, %d failed", share, tally.FailedBut("nobody"))
	}
}

// refuse gives an Envoy a host that it does not take: its operator lets expressions be small, which the compiler cannot know.
// The host sends to the canary, so the release fails; everybody hears why within two seconds.
func refuse(t *testing.T, h *history, e *edge, hook *receiver.Receiver) {
	t.Helper()
	s := h.site
	const within = 2*time.Second + busy
	s.apply(fmt.Sprintf(`
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: odd}
spec:
  hosts: [odd.example]
  gateways: [%[1]s]
  http:
  - match: [{uri: {regex: '/.{200}'}}]
    route: [{destination: {host: %[2]s, subset: v2}}]
`, e.node, s.host()))
	eventually(t, e.node+" to refuse", func() error {
		if n := e.counter(`\.rds\..*update_rejected$`); n != 1 {
			return fmt.Errorf("%d tables were rejected", n)
		}
		return nil
	})
	refused := time.Now()
	words := []string{e.node, "RE2 program size"}
	seen := h.says(time.Time{}, "False", words...)
	_, reason, message := programmed(&seen.status)
	t.Logf("Programmed says %s %v after the rejection was seen at Envoy: %s", reason, seen.at.Sub(refused).Round(time.Millisecond), message)
	noted := told(t, hook, string(v1alpha1.NoteRolledBack), words...)
	t.Logf("the note came %v after it", noted.Sub(refused).Round(time.Millisecond))
	eventually(t, "the event", func() error {
		list := &eventsv1.EventList{}
		if err := s.client.List(t.Context(), list, client.InNamespace(s.shop)); err != nil {
			return err
		}
		for _, one := range list.Items {
			if one.Reason == v1alpha1.ReasonDataPlaneRejected && containsAll(one.Note, words) {
				return nil
			}
		}
		var heard []string
		for _, one := range list.Items {
			heard = append(heard, one.Reason+": "+one.Note)
		}
		return fmt.Errorf("none of these is it:\n%s", strings.Join(heard, "\n"))
	})
	if reason != v1alpha1.ReasonDataPlaneRejected || seen.at.Sub(refused) > within || noted.Sub(refused) > within || time.Since(refused) > within {
		t.Errorf("Programmed says %s after %v, the note came after %v, the event after %v at most; want %s within %v", reason,
			seen.at.Sub(refused), noted.Sub(refused), time.Since(refused), v1alpha1.ReasonDataPlaneRejected, within)
	}
	eventually(t, "every report to name "+e.node, func() error { // one may tell of the way back before all have answered
		for _, st := range s.reports() {
			if st.Proxies.Rejected != 1 || len(st.Exceptions) != 1 || st.Exceptions[0].Node != e.node || !strings.Contains(st.Exceptions[0].Message, words[1]) {
				return fmt.Errorf("the report says %+v", st)
			}
		}
		return nil
	})
}
