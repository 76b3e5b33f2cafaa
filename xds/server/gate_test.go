package server

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/xds/envoy"
)

// blank is a memory that knows nothing.
type blank struct{}

func (blank) refused(kind, string) (string, string) { return "", "" }
func (blank) doubted(kind) []string                 { return nil }
func (blank) good(kind, string, string) *item       { return nil }

// table is a conversation on virtual time with a client that does as it is told.
type bench struct {
	t    *testing.T
	talk *conversation
	now  time.Time
	last map[kind]response
	set  *set
}

func newBench(t *testing.T, sotw bool) *bench {
	return &bench{t: t, now: time.Unix(1e9, 0), last: map[kind]response{}, talk: &conversation{sotw: sotw, timing: Timing{}.withDefaults(), memory: blank{}}}
}

func (b *bench) publish(r envoy.Resources) *bench {
	b.t.Helper()
	next, err := newSet(b.set, r)
	if err != nil {
		b.t.Fatal(err)
	}
	b.set = next
	b.talk.use(next)
	return b
}

func (b *bench) say(r request) *bench {
	b.t.Helper()
	if err := b.talk.receive(r); err != nil {
		b.t.Fatal(err)
	}
	return b
}

func (b *bench) ack(k kind, names ...string) *bench {
	return b.say(request{typeURL: k.typeURL(), nonce: b.last[k].nonce, names: names})
}

// expect checks everything that is sent now.
func (b *bench) expect(want ...string) *bench {
	b.t.Helper()
	out, _ := b.talk.plan(b.now)
	var got []string
	for _, r := range out {
		k, _ := kindOf(r.typeURL)
		b.last[k] = r
		parts := []string{k.String()}
		for _, i := range r.items {
			parts = append(parts, i.name+"="+i.version)
		}
		for _, n := range r.removed {
			parts = append(parts, "-"+n)
		}
		got = append(got, strings.Join(parts, " "))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		b.t.Fatalf("responses (-want +got):\n%s", diff)
	}
	return b
}

// after lets time pass.
func (b *bench) after(d time.Duration) *bench {
	b.now = b.now.Add(d)
	return b
}

// running is a delta client that has applied two("t1") with table http.80.
func running(t *testing.T) *bench {
	b := newBench(t, false).publish(two("t1")).
		say(request{typeURL: clusters.typeURL()}).expect("cds a=c1 b=c1").ack(clusters).
		say(request{typeURL: endpoints.typeURL(), subscribe: []string{"a", "b"}}).expect("eds a=e1 b=e1").ack(endpoints).
		say(request{typeURL: listeners.typeURL()}).expect("lds 0.0.0.0_80=l1").ack(listeners).
		say(request{typeURL: routes.typeURL(), subscribe: []string{"http.80"}}).expect("rds http.80=t1").ack(routes)
	return b.expect()
}

// withCanary is two() with a cluster v2 that takes weight percent of a split in http.80.
func withCanary(seq uint64, weight int, version string) envoy.Resources {
	r := mesh(seq, weight, version, "a", "b", "v2")
	r.Splits[0].Clusters = []string{"a"}
	if weight > 0 {
		r.Splits[0].Clusters = []string{"a", "v2"}
	}
	return r
}

func TestMake_routeWaitsForItsClusters(t *testing.T) {
	running(t).publish(mesh(1, 0, "t2", "a", "b", "v2")).expect("cds v2=c1").
		say(request{typeURL: endpoints.typeURL(), subscribe: []string{"v2"}}).expect("eds v2=e1").
		ack(endpoints).expect().
		ack(clusters).expect("rds http.80=t2")
}

func TestMake_acknowledgedClusterWithoutEndpointsIsNotEnough(t *testing.T) {
	running(t).publish(mesh(1, 0, "t2", "a", "b", "v2")).expect("cds v2=c1").
		ack(clusters).expect().
		say(request{typeURL: endpoints.typeURL(), subscribe: []string{"v2"}}).expect("eds v2=e1").
		ack(endpoints).expect("rds http.80=t2")
}

func TestMake_routeGoesOutAfterTheTimeout(t *testing.T) {
	b := running(t).publish(mesh(1, 0, "t2", "a", "b", "v2")).expect("cds v2=c1").after(14 * time.Second).expect().
		after(time.Second).expect("rds http.80=t2")
	if b.talk.timeouts != 1 {
		t.Errorf("timeouts = %d, want 1", b.talk.timeouts)
	}
}

func TestMake_routeWhoseSplitNeedsTheClusterStaysHeld(t *testing.T) {
	b := running(t).publish(withCanary(2, 15, "w15")).expect("cds v2=c1").after(time.Hour).expect()
	b.publish(withCanary(3, 0, "w0")).expect().after(15 * time.Second).expect("rds http.80=w0")
}

func TestMake_onlyClustersThatASplitFeedsHoldForEver(t *testing.T) {
	r := withCanary(2, 15, "w15")
	r.Clusters = append(r.Clusters, res(clusters, "other", "c1"))
	r.Endpoints = append(r.Endpoints, res(endpoints, "other", "e1"))
	r.Routes[0].Refs = []string{"a", "other", "v2"}
	running(t).publish(r).expect("cds other=c1 v2=c1").
		say(request{typeURL: endpoints.typeURL(), subscribe: []string{"v2"}}).expect("eds v2=e1").ack(endpoints).ack(clusters).
		expect().after(14 * time.Second).expect().after(time.Second).expect("rds http.80=w15")
}

func TestMake_loweredWeightIsNeverHeld(t *testing.T) {
	b := running(t).publish(withCanary(2, 50, "w50")).expect("cds v2=c1").
		say(request{typeURL: endpoints.typeURL(), subscribe: []string{"v2"}}).expect("eds v2=e1").ack(endpoints).ack(clusters).
		expect("rds http.80=w50").ack(routes)
	lower := withCanary(3, 15, "w15")
	lower.Clusters = append(lower.Clusters, res(clusters, "other", "c1"))
	lower.Endpoints = append(lower.Endpoints, res(endpoints, "other", "e1"))
	lower.Routes[0].Refs = []string{"a", "other", "v2"}
	b.publish(lower).expect("cds other=c1", "rds http.80=w15")
}

func TestMake_changedClusterHoldsNothing(t *testing.T) {
	r := two("t2")
	r.Clusters = changed(r.Clusters, clusters, "a", "c2")
	running(t).publish(r).expect("cds a=c2", "eds a=e1", "rds http.80=t2")
}

func TestMake_clientThatAsksForClustersByRouteIsNotHeld(t *testing.T) {
	newBench(t, true).publish(two("t1")).
		say(request{typeURL: routes.typeURL(), names: []string{"http.80"}}).expect("rds http.80=t1").ack(routes, "http.80").
		say(request{typeURL: clusters.typeURL(), names: []string{"a"}}).expect("cds a=c1").ack(clusters, "a").
		say(request{typeURL: endpoints.typeURL(), names: []string{"a"}}).expect("eds a=e1").ack(endpoints, "a").
		publish(mesh(1, 0, "t2", "a", "b", "v2")).expect("rds http.80=t2")
}

func TestBreak_clusterLeavesAfterTheRoutes(t *testing.T) {
	less := mesh(1, 0, "t2", "a")
	running(t).publish(less).expect("rds http.80=t2").after(30*time.Second).expect(). // not acknowledged yet
												ack(routes).expect().after(14*time.Second).expect().
												after(time.Second).expect("cds -b", "eds -b")
}

func TestBreak_deadline(t *testing.T) {
	running(t).publish(mesh(1, 0, "t2", "a")).expect("rds http.80=t2").after(59*time.Second).expect().
		after(time.Second).expect("cds -b", "eds -b")
}

func TestBreak_clusterThatReturnsStays(t *testing.T) {
	running(t).publish(mesh(1, 0, "t2", "a")).expect("rds http.80=t2").ack(routes).after(10 * time.Second).expect().
		publish(two("t1")).expect("rds http.80=t1").ack(routes).after(time.Hour).expect()
}

func TestBreak_stateOfTheWorldKeepsTheClusterUntilThen(t *testing.T) {
	b := newBench(t, true).publish(two("t1")).
		say(request{typeURL: clusters.typeURL()}).expect("cds a=c1 b=c1").ack(clusters).
		say(request{typeURL: routes.typeURL(), names: []string{"http.80"}}).
		say(request{typeURL: endpoints.typeURL(), names: []string{"a", "b"}}).expect("eds a=e1 b=e1")
	b.ack(endpoints, "a", "b").expect("rds http.80=t1").ack(routes, "http.80")
	less := mesh(1, 0, "t2", "a")
	less.Clusters = changed(less.Clusters, clusters, "a", "c2")
	b.publish(less).expect("cds a=c2 b=c1", "eds a=e1", "rds http.80=t2").
		ack(clusters).ack(endpoints, "a", "b").ack(routes, "http.80").expect().
		after(15 * time.Second).expect("cds a=c2")
}

func TestReconnect_reportedVersionsOpenAndCloseTheGates(t *testing.T) {
	b := newBench(t, false).publish(mesh(1, 15, "t2", "a", "v2")).
		say(request{typeURL: clusters.typeURL(), versions: map[string]string{"a": "c1", "b": "c1"}}).
		say(request{typeURL: endpoints.typeURL(), subscribe: []string{"a", "b"}, versions: map[string]string{"a": "e1", "b": "e1"}}).
		say(request{typeURL: routes.typeURL(), subscribe: []string{"http.80"}, versions: map[string]string{"http.80": "t1"}})
	b.expect("cds v2=c1").
		say(request{typeURL: endpoints.typeURL(), subscribe: []string{"v2"}}).expect("eds v2=e1").
		ack(endpoints).ack(clusters).expect("rds http.80=t2").ack(routes).expect().
		after(15*time.Second).expect("cds -b", "eds -b")
}

func TestReconnect_tableWithoutCanaryWeightIsNotHeld(t *testing.T) {
	newBench(t, false).publish(mesh(1, 0, "t2", "a", "v2")).
		say(request{typeURL: clusters.typeURL(), versions: map[string]string{"a": "c1"}}).
		say(request{typeURL: routes.typeURL(), subscribe: []string{"http.80"}, versions: map[string]string{"http.80": "t1"}}).
		expect("cds v2=c1", "rds http.80=t2")
}

func TestCulprits(t *testing.T) {
	items := []*item{{name: "outbound|80|v1|a.b"}, {name: "outbound|80|v1|a.b.c"}, {name: "x"}}
	tests := []struct {
		message string
		want    []int
	}{
		{"outbound|80|v1|a.b: bad", []int{0}},
		{"Error adding/updating cluster(s) outbound|80|v1|a.b.c: bad, x: worse", []int{1, 2}},
		{"outbound|80|v1|a.b.", []int{0}},
		{"something is wrong", []int{0, 1, 2}},
	}
	for _, tt := range tests {
		c := &conversation{}
		var got []int
		for _, i := range c.culprits(clusters, &flight{items: items}, tt.message) {
			got = append(got, slices.Index(items, i))
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%q: got %v, want %v", tt.message, got, tt.want)
		}
	}
}
