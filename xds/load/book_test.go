package load

import (
	"fmt"
	"testing"
	"time"

	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/durationpb"
	"pgregory.net/rapid"

	"github.com/sluice-dev/sluice/xds/ir"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 250e6, time.UTC)

// on is an instant, in seconds after the whole second before start.
func on(seconds float64) time.Time {
	return start.Truncate(time.Second).Add(time.Duration(seconds * float64(time.Second)))
}

func one(cluster string, interval time.Duration, n uint64) Stats {
	return Stats{Cluster: cluster, Interval: interval, Issued: n, OK: n, InProgress: 3}
}

// brief is a load in short: second, issued, in progress, proxies.
func brief(loads []ir.Load) []string {
	out := []string{}
	for _, l := range loads {
		out = append(out, fmt.Sprintf("%d: %d/%d of %d", int(l.From.Sub(on(0)).Seconds()), l.Issued, l.InProgress, l.Proxies))
	}
	return out
}

func TestBook_spreadsAReportOverItsOwnInterval(t *testing.T) {
	b, a, c := NewBook(start), &Reporter{}, &Reporter{}
	b.Add(a, one("x", 2*time.Second, 100), on(10.5)) // 8.5 to 10.5
	want := []string{"8: 25/3 of 1", "9: 50/3 of 1", "10: 25/3 of 1"}
	if diff := cmp.Diff(want, brief(b.Loads("x", start, on(20)))); diff != "" {
		t.Errorf("one report (-want +got):\n%s", diff)
	}
	b.Add(a, one("x", time.Second, 10), on(11.5)) // its second half of second 10 is the same proxy
	b.Add(c, one("x", 500*time.Millisecond, 7), on(11))
	want = []string{"8: 25/3 of 1", "9: 50/3 of 1", "10: 37/6 of 2", "11: 5/3 of 1"}
	if diff := cmp.Diff(want, brief(b.Loads("x", start, on(20)))); diff != "" {
		t.Errorf("three reports of two proxies (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want[1:3], brief(b.Loads("x", on(9), on(11)))); diff != "" {
		t.Errorf("from second 9 to 11 (-want +got):\n%s", diff)
	}
	if got := b.Loads("y", start, on(20)); got != nil {
		t.Errorf("of a cluster that nobody reports: %v, want nothing", got)
	}
}

func TestBook_reportOfNoRequestsIsData(t *testing.T) {
	b := NewBook(start)
	b.Add(&Reporter{}, Stats{Cluster: "x", Interval: time.Second}, on(11))
	want := []ir.Load{{Cluster: "x", From: on(10), To: on(11), Proxies: 1}}
	if diff := cmp.Diff(want, b.Loads("x", start, on(20))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestBook_losesAndMakesUpNothing adds reports of any length and compares sums.
func TestBook_losesAndMakesUpNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := NewBook(start)
		var want Stats
		at := on(100)
		for range rapid.IntRange(1, 20).Draw(t, "reports") {
			interval := time.Duration(rapid.Int64Range(1, int64(20*time.Second)).Draw(t, "interval"))
			s := Stats{Cluster: "x", Interval: interval}
			for _, pair := range [][2]*uint64{{&s.Issued, &want.Issued}, {&s.OK, &want.OK}, {&s.Failed, &want.Failed}, {&s.Dropped, &want.Dropped}} {
				*pair[0] = rapid.Uint64Range(0, 1000).Draw(t, "count")
				*pair[1] += *pair[0]
			}
			at = at.Add(time.Duration(rapid.Int64Range(0, int64(time.Second)).Draw(t, "later")))
			b.Add(&Reporter{}, s, at)
		}
		var got Stats
		for i, l := range b.Loads("x", time.Time{}, on(1000)) {
			if l.To.Sub(l.From) != time.Second || i > 0 && l.Proxies == 0 {
				t.Fatalf("bucket %+v", l)
			}
			got.Issued, got.OK, got.Failed, got.Dropped = got.Issued+l.Issued, got.OK+l.OK, got.Failed+l.Failed, got.Dropped+l.Dropped
		}
		if !cmp.Equal(got, Stats{Issued: want.Issued, OK: want.OK, Failed: want.Failed, Dropped: want.Dropped}) {
			t.Fatalf("buckets hold %+v, the reports %+v", got, want)
		}
	})
}

func TestBook_keepsSplitClustersForLong(t *testing.T) {
	b, r := NewBook(start), &Reporter{}
	b.Follow([]string{"split"})
	for i := range 2000 {
		for _, name := range []string{"split", "other"} {
			b.Add(r, one(name, time.Second, 1), on(float64(i+1)))
		}
	}
	for name, want := range map[string]int{"split": 900, "other": 60} {
		got := seconds(b.Loads(name, time.Time{}, on(9999)))
		if len(got) != want || !got[len(got)-1].To.Equal(on(2000)) {
			t.Errorf("%s: %d buckets, want %d up to second 2000", name, len(got), want)
		}
	}
	long := one("split", 24*time.Hour, 86400*2)
	b = NewBook(start)
	b.Follow([]string{"split"})
	b.Add(r, long, on(90000))
	if got := seconds(b.Loads("split", time.Time{}, on(99999))); len(got) != 900 || got[0].Issued != 2 {
		t.Errorf("of a report over a day %d buckets of %d are kept, want 900 of 2", len(got), got[0].Issued)
	}
}

func TestBook_keepsWhatACanaryDidAfterItHasLostItsWeight(t *testing.T) {
	b, r := NewBook(start), &Reporter{}
	add := func(from, to int) {
		for at := from; at < to; at++ {
			b.Add(r, one("canary", time.Second, 1), on(float64(at+1)))
		}
	}
	oldest := func() int { return int(b.Loads("canary", time.Time{}, on(9999))[0].From.Sub(on(0)).Seconds()) }
	b.Follow([]string{"canary"})
	add(0, 1000)
	b.Follow(nil)
	now := 1000
	for _, tt := range []struct{ until, want int }{{1001, 101}, {1500, 600}, {1839, 939}, {1841, 1781}, {2000, 1940}} {
		add(now, tt.until)
		now = tt.until
		if got := oldest(); got != tt.want {
			t.Errorf("at second %d the oldest is %d, want %d", tt.until, got, tt.want)
		}
	}
	if len(b.left) > 0 {
		t.Errorf("it is remembered for ever: %v", b.left)
	}
	b.Follow([]string{"canary"})
	b.Follow(nil)
	b.Follow([]string{"canary"})
	if len(b.left) > 0 {
		t.Errorf("it has its weight again: %v", b.left)
	}
}

func TestBook_boundOfClusters(t *testing.T) {
	b, r := NewBook(start), &Reporter{}
	for i := range maxClusters {
		b.Add(r, one(fmt.Sprintf("c%04d", i), time.Second, 1), on(10))
	}
	add := func(name string, at float64) bool { return b.Add(r, one(name, time.Second, 1), on(at)) }
	if add("late", 11) {
		t.Error("there was room for one more")
	}
	b.Follow([]string{"canary"})
	if !add("canary", 11) || b.Loads("c0000", start, on(99)) != nil {
		t.Error("a split's cluster does not take the place of another")
	}
	if add("late", 11) || !add("late", 75) || len(b.series) != 2 {
		t.Errorf("clusters without reports for a minute keep their place: %d", len(b.series))
	}
}

func TestRead_sumsLocalitiesAndRefusesNonsense(t *testing.T) {
	in := &endpointv3.ClusterStats{
		ClusterName: "x", LoadReportInterval: durationpb.New(time.Second), TotalDroppedRequests: 5,
		UpstreamLocalityStats: []*endpointv3.UpstreamLocalityStats{
			{TotalIssuedRequests: 10, TotalSuccessfulRequests: 7, TotalErrorRequests: 2, TotalRequestsInProgress: 1},
			{Priority: 1, TotalIssuedRequests: 20, TotalSuccessfulRequests: 20},
		},
	}
	got, err := Read(in)
	want := Stats{Cluster: "x", Interval: time.Second, Issued: 30, OK: 27, Failed: 2, Dropped: 5, InProgress: 1}
	if err != nil || !cmp.Equal(got, want) {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
	in.UpstreamLocalityStats = nil
	if got, err := Read(in); err != nil || !cmp.Equal(got, Stats{Cluster: "x", Interval: time.Second, Dropped: 5}) {
		t.Errorf("without localities: got %+v, %v", got, err)
	}
	for name, bad := range map[string]*endpointv3.ClusterStats{
		"no interval":   {ClusterName: "x"},
		"below zero":    {ClusterName: "x", LoadReportInterval: durationpb.New(-1)},
		"beyond bounds": {ClusterName: "x", LoadReportInterval: durationpb.New(1), TotalDroppedRequests: 1 << 63},
		"overflow": {ClusterName: "x", LoadReportInterval: durationpb.New(1), UpstreamLocalityStats: []*endpointv3.UpstreamLocalityStats{
			{TotalErrorRequests: 1 << 63}, {TotalErrorRequests: 1 << 63},
		}},
	} {
		if got, err := Read(bad); err == nil {
			t.Errorf("%s: got %+v, want an error", name, got)
		}
	}
}
