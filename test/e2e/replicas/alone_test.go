package replicas

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/xds/bootstrap"
)

// given is what an Envoy has been given so far, and what it runs.
type given struct {
	Digest  string
	Updates map[string]int
}

func givenTo(edges []*edge) []given {
	var out []given
	for _, e := range edges {
		out = append(out, given{e.digest(), e.updates()})
	}
	return out
}

// TestAlone_theDataPlaneNeedsNobody kills the only controller under load, in the middle of a release. Envoy serves what it
// has; the controller that comes back is silent until it knows everything, and gives nothing, since nothing is new.
func TestAlone_theDataPlaneNeedsNobody(t *testing.T) {
	s := open(t, 2)
	r := s.replica("sluice-0")
	h := s.follow()
	edges := []*edge{s.edge(0, r.xds, bootstrap.TLS{}), s.edge(1, r.xds, bootstrap.TLS{})}
	s.apply(s.rollout(stays, stays))
	h.adopted()
	began := time.Now()
	for _, e := range edges {
		e.visit(150)
	}
	s.want("v2")
	h.settled(15)
	before := givenTo(edges)

	r.kill()
	dead := time.Now()
	eventually(t, "Envoy to be alone, and used", func() error {
		for _, e := range edges {
			if n := e.counter(`^control_plane\.connected_state$`); n != 0 {
				return fmt.Errorf("%s is connected", e.node)
			}
			if n := e.users.Record().Tally(dead, time.Time{}).Total; n < 300 {
				return fmt.Errorf("%d requests through %s", n, e.node)
			}
		}
		return nil
	})
	if diff := cmp.Diff(before, givenTo(edges)); diff != "" {
		t.Errorf("without a controller (-before +now)\n%s", diff)
	}

	r.start()
	up := time.Now()
	s.inSync(r.name, 2)
	t.Logf("both are back and in sync %v after the start", time.Since(up).Round(time.Millisecond))
	if diff := cmp.Diff(before, givenTo(edges)); diff != "" {
		t.Errorf("after the return (-before +now)\n%s", diff)
	}
	if n := r.metric("sluice_xds_responses_total", ""); n != 0 {
		t.Errorf("the controller that came back has sent %v responses of %v bytes", n, r.metric("sluice_xds_response_bytes_total", ""))
	}
	for _, e := range edges {
		if n := e.failed(began); n != 0 {
			t.Errorf("%d requests through %s failed", n, e.node)
		}
		e.serves(15)
	}
}
