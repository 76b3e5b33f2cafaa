package replicas

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/test/fault"
	"github.com/sluice-dev/sluice/test/load"
	"github.com/sluice-dev/sluice/xds/bootstrap"
)

const (
	zeroWithin = 2 * time.Second  // from the decision to the canary's last request
	busy       = 8 * time.Second  // what a machine that does much else may take on top
	aLook      = time.Second      // by which a limit may come early: time counts from the look before
	seenWithin = 45 * time.Second // from the first failure to the decision, on such a machine
)

// pods are the servers of each version: enough of v2 for a fault of all of them to be one of the version.
type pods map[string][]string

// crowd starts two servers of v1 and four of v2, and makes them the service's endpoints.
func (s *site) crowd() pods {
	s.t.Helper()
	out := pods{"v1": {s.serve("v1"), s.serve("v1")}, "v2": {s.serve("v2"), s.serve("v2"), s.serve("v2"), s.serve("v2")}}
	s.endpoints(out)
	return out
}

// endpoints makes the servers the endpoints of the service.
func (s *site) endpoints(of pods) {
	s.t.Helper()
	var list []map[string]any
	for _, version := range []string{"v1", "v2"} {
		for _, addr := range of[version] {
			ip, port, err := net.SplitHostPort(addr)
			if err != nil {
				s.t.Fatal(err)
			}
			list = append(list, map[string]any{"address": ip, "ports": map[string]any{"http": json.Number(port)}, "labels": map[string]any{"version": version}})
		}
	}
	patch, err := json.Marshal(map[string]any{"spec": map[string]any{"endpoints": list}})
	if err != nil {
		s.t.Fatal(err)
	}
	o := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry"}}
	o.SetNamespace(s.shop)
	o.SetName("reviews")
	if err := s.client.Patch(s.t.Context(), o, client.RawPatch("application/merge-patch+json", patch)); err != nil {
		s.t.Fatal(err)
	}
}

// door opens a way to the API server on which things go wrong, and makes the file by which a process goes it.
func (s *site) door(p *fault.Proxy, name string) (door *fault.Door, kubeconfig string) {
	s.t.Helper()
	door = p.Open(s.t, name)
	kubeconfig = filepath.Join(s.t.TempDir(), name)
	writeKubeconfig(s.t, door.Config(), kubeconfig)
	return door, kubeconfig
}

// canary is a release under load, through one Envoy.
type canary struct {
	*site
	replica *replica
	history *history
	edge    *edge
	pods    pods
	began   time.Time
}

// canary starts everything, with v1 stable and nothing under way. The arguments are the controller's.
func (s *site) canary(rollout string, args ...string) *canary {
	s.t.Helper()
	c := &canary{site: s, pods: s.crowd(), replica: s.replica("sluice-0", args...), history: s.follow()}
	c.edge = s.edge(0, c.replica.xds, bootstrap.TLS{})
	s.apply(rollout)
	c.history.adopted()
	c.edge.serves(0)
	c.began = time.Now()
	c.edge.visit(200)
	return c
}

// enjoyed waits until v2 has answered requests since an instant, all of them well.
func (c *canary) enjoyed() {
	c.t.Helper()
	since := time.Now()
	eventually(c.t, "users of v2", func() error {
		if n := c.edge.users.Record().Tally(since, time.Time{}).Requests("v2"); n < 50 {
			return fmt.Errorf("%d requests", n)
		}
		return nil
	})
}

// turnBad makes every request to v2 fail.
func (c *canary) turnBad() time.Time {
	c.broken.Store(true)
	return time.Now()
}

// safe waits until no user has met v2 for half a second and Envoy serves 0, and gives when the last one was sent there.
func (c *canary) safe() time.Time {
	c.t.Helper()
	return c.quiet(load.Of("v2"))
}

// quiet waits until there was no request of a kind for half a second, and Envoy serves 0; it gives when the last was sent.
func (c *canary) quiet(kind func(load.Answer) bool) time.Time {
	c.t.Helper()
	var last time.Time
	eventually(c.t, "no user to meet the canary", func() error {
		got, err := c.edge.weight()
		if err != nil || got != 0 {
			return errors.Join(err, fmt.Errorf("Envoy serves weight %d", got))
		}
		met, found := c.edge.users.Record().Last(c.began, time.Time{}, kind)
		if !found {
			return errors.New("nobody has met it")
		}
		if last = met.Start; time.Since(last) < 500*time.Millisecond {
			return fmt.Errorf("the last one %v ago", time.Since(last))
		}
		return nil
	})
	return last
}

// stableFine checks that nobody who was not sent to v2 got an error.
func (c *canary) stableFine() {
	c.t.Helper()
	if n := c.edge.users.Record().Tally(c.began, time.Time{}).FailedBut("v2"); n != 0 {
		c.t.Errorf("%d requests failed that v2 did not answer", n)
	}
}

// measured logs, and bounds, how long a canary that failed was sent requests.
func (c *canary) measured(bad, decided, last time.Time) {
	c.t.Helper()
	seen, took := decided.Sub(bad), last.Sub(decided)
	c.t.Logf("decided %v after the canary turned bad; its last request was sent %v after the decision", seen.Round(time.Millisecond), took.Round(time.Millisecond))
	if took > zeroWithin+busy || seen > seenWithin || seen < -aLook {
		c.t.Errorf("decided after %v, the last request %v after it; want %v and %v", seen, took, seenWithin, zeroWithin)
	}
}

// over waits for the end of the attempt as it is to be remembered.
func (c *canary) over(reason string) {
	c.t.Helper()
	end := c.history.first(c.began, "the attempt to be over", func(st *v1alpha1.RolloutStatus) bool { return st.Phase == v1alpha1.PhaseRolledBack }).status
	if end.Attempt != 1 || end.Weight != 0 || len(end.Rejected) != 1 || end.Rejected[0].Digest != "v2" || end.History[0].Reason != reason {
		c.t.Errorf("rejected %+v, history %+v, want one attempt that ended by %s\n%s", end.Rejected, end.History, reason, brief(&end))
	}
}

// logged waits for a message of the controller, and reads its instant of that name.
func (r *replica) logged(message, instant string) time.Time {
	r.t.Helper()
	var out time.Time
	eventually(r.t, r.name+" to say: "+message, func() error {
		file, err := os.Open(r.log)
		if err != nil {
			return err
		}
		defer file.Close()
		lines := bufio.NewScanner(file)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			if !strings.Contains(lines.Text(), message) {
				continue
			}
			entry := map[string]any{}
			if err := json.Unmarshal(lines.Bytes(), &entry); err != nil {
				return err
			}
			text, _ := entry[instant].(string)
			out, err = time.Parse(time.RFC3339Nano, text)
			return err
		}
		return errors.Join(lines.Err(), errors.New("not yet"))
	})
	return out
}

// stays waits for more users and checks that the attempt that ended was not followed by another.
func (c *canary) stays(t *testing.T) {
	t.Helper()
	since := time.Now()
	eventually(t, "more users", func() error {
		if n := c.edge.users.Record().Tally(since, time.Time{}).Total; n < 400 {
			return fmt.Errorf("%d requests", n)
		}
		return nil
	})
	if n := c.edge.users.Record().Tally(since, time.Time{}).Requests("v2"); n != 0 {
		t.Errorf("%d users met v2 afterwards", n)
	}
	if st := c.history.last(); st.Phase != v1alpha1.PhaseRolledBack || st.Attempt != 1 {
		t.Errorf("afterwards: %s", brief(&st))
	}
}
