package server

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sluice-dev/sluice/test/poll"
)

// scrape gives the number of every series; of a histogram that of its observations.
func scrape(t *testing.T, s *Server) map[string]float64 {
	t.Helper()
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(s.Collectors()...)
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetName()+"="+l.GetValue())
			}
			name := strings.TrimPrefix(f.GetName(), "sluice_xds_") + "{" + strings.Join(labels, ",") + "}"
			out[name] = m.GetGauge().GetValue() + m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return out
}

// measured waits until the series have the numbers. Answers are counted when they are read.
func measured(t *testing.T, s *Server, want map[string]float64) {
	t.Helper()
	err := poll.Until(patience, func() error {
		all := scrape(t, s)
		got := map[string]float64{}
		for name := range want {
			if v, ok := all[name]; ok {
				got[name] = v
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			return fmt.Errorf("(-want +got):\n%s", diff)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestMetrics_ofAConversation(t *testing.T) {
	h := start(t, Timing{})
	h.publish(two("t1"))
	p := settled(t, h, "n1") // three responses, acknowledged; published before the stream was opened
	measured(t, h.Server, map[string]float64{
		"streams{kind=gateway,protocol=delta}": 1, "classes{}": 1, "resources{type=cds}": 1, "resources{type=rds}": 1, "resources{type=sds}": 0,
		"responses_total{type=cds}": 1, "responses_total{type=rds}": 1, "ack_seconds{type=rds}": 1, "ack_seconds{type=eds}": 1, "pending{}": 0, "stalled{}": 0,
	})
	if got := scrape(t, h.Server)["response_bytes_total{type=rds}"]; got < 50 || got > 500 {
		t.Errorf("a response of %v bytes", got)
	}

	h.publish(mesh(2, 15, "t2", "a", "b"))
	p.next()
	measured(t, h.Server, map[string]float64{"pending{}": 1, "responses_total{type=rds}": 2, "ack_seconds{type=rds}": 1})
	p.ack(routes)
	measured(t, h.Server, map[string]float64{"pending{}": 0, "ack_seconds{type=rds}": 2, "publish_to_ack_seconds{lane=weight}": 1})

	next := mesh(2, 15, "t2", "a", "b")
	next.Endpoints[0] = res(endpoints, "a", "e2")
	h.publish(next)
	p.next()
	p.ack(endpoints)
	measured(t, h.Server, map[string]float64{"publish_to_ack_seconds{lane=endpoints}": 1, "publish_to_ack_seconds{lane=weight}": 1})

	bad := next
	bad.Routes = changed(next.Routes, routes, "http.80", "bad")
	h.publish(bad)
	p.next()
	p.send(ask{kind: routes, nonce: "last", nack: "no"})
	measured(t, h.Server, map[string]float64{"nacks_total{type=rds}": 1, "quarantined{type=rds}": 1, "quarantined{type=cds}": 0, "ack_seconds{type=rds}": 2, "pending{}": 0})
	p.end()
	measured(t, h.Server, map[string]float64{"streams{kind=gateway,protocol=delta}": 0})
}

func TestMetrics_ofTheGates(t *testing.T) {
	h := start(t, Timing{Make: 20 * time.Millisecond})
	h.publish(mesh(1, 0, "t1", "a"))
	p := settled(t, h, "n1")
	next := mesh(1, 0, "t2", "a", "c")
	h.publish(next)
	p.next() // the cluster; its acknowledgement does not come
	p.next() // the table, after its time
	measured(t, h.Server, map[string]float64{"gate_wait_seconds{}": 1, "gate_timeouts_total{}": 1, "pending{}": 1})
}

func TestMetrics_ofRefusedStreams(t *testing.T) {
	h := start(t, Timing{FirstSet: 20 * time.Millisecond})
	p := connect(t, h.addr, "n1", false)
	p.send(ask{kind: clusters})
	measured(t, h.Server, map[string]float64{"streams_refused_total{reason=NothingKnown}": 1})
}

func TestMetrics_namesAndLabelsAreThoseOfThePage(t *testing.T) {
	h := start(t, Timing{})
	descs := make(chan *prometheus.Desc, 100)
	for _, c := range h.Collectors() {
		c.Describe(descs)
	}
	close(descs)
	got := map[string]bool{}
	for d := range descs {
		text := d.String()
		for _, forbidden := range []string{"node", "cluster", "commit"} {
			if _, labels, _ := strings.Cut(text, "variableLabels"); strings.Contains(labels, forbidden) {
				t.Errorf("%s has a label that grows with the mesh", text)
			}
		}
		_, name, _ := strings.Cut(text, `fqName: "sluice_`)
		name, _, _ = strings.Cut(name, `"`)
		got[strings.TrimPrefix(name, "xds_")] = true
	}
	want := []string{"ack_seconds", "barrier_seconds", "certificate_expiry_timestamp_seconds", "classes", "gate_timeouts_total", "gate_wait_seconds", "lrs_reports_total", "lrs_streams", "lrs_told_replicas", "nacks_total", "pending",
		"publish_to_ack_seconds", "quarantined", "resources", "response_bytes_total", "responses_total", "stalled", "streams", "streams_refused_total"}
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(got))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestLane_ofWhatChanges(t *testing.T) {
	first, err := newSet(nil, mesh(1, 0, "t1", "a"))
	if err != nil {
		t.Fatal(err)
	}
	weight := mesh(2, 5, "t2", "a")
	tables := mesh(1, 0, "t2", "a")
	endpoint := mesh(1, 0, "t1", "a")
	endpoint.Endpoints[0] = res(endpoints, "a", "e2")
	added := mesh(2, 5, "t2", "a", "b")
	for _, tt := range []struct {
		name string
		next func() (*set, error)
		want lane
	}{
		{"weight", func() (*set, error) { return newSet(first, weight) }, laneWeight},
		{"a route", func() (*set, error) { return newSet(first, tables) }, laneConfig},
		{"endpoints", func() (*set, error) { return newSet(first, endpoint) }, laneEndpoints},
		{"weight and a cluster", func() (*set, error) { return newSet(first, added) }, laneConfig},
	} {
		next, err := tt.next()
		if err != nil {
			t.Fatal(err)
		}
		if got := next.lane(first); got != tt.want {
			t.Errorf("%s: lane %q, want %q", tt.name, got, tt.want)
		}
	}
	if got := first.lane(nil); got != laneConfig {
		t.Errorf("the first set: lane %q", got)
	}
}
