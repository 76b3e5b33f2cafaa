package load_test

import (
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/test/load"
	"github.com/sluice-dev/sluice/test/poll"
)

func TestArrivals_comeAtTheRateAndByTheSeed(t *testing.T) {
	t.Parallel()
	const n, rps = 100_000, 600.0
	a, same, other := load.NewArrivals(7, rps), load.NewArrivals(7, rps), load.NewArrivals(8, rps)
	var last time.Duration
	var squares float64
	differ := false
	for range n {
		at := a.Next()
		if got := same.Next(); got != at {
			t.Fatalf("the same seed gives %v and %v", at, got)
		}
		differ = differ || other.Next() != at
		gap := (at - last).Seconds() * rps
		squares += (gap - 1) * (gap - 1)
		last = at
	}
	if !differ {
		t.Error("another seed gives the same instants")
	}
	// The n-th arrival is at n/rps within 1/sqrt(n) of it (one deviation); gaps of a Poisson process have variance 1.
	if got, want := last.Seconds(), n/rps; math.Abs(got-want) > 4*want/math.Sqrt(n) {
		t.Errorf("%d arrivals at %v a second take %.3fs, want about %.3fs", n, rps, got, want)
	}
	if got := squares / n; math.Abs(got-1) > 0.05 {
		t.Errorf("variance of the gaps: got %.3f, want about 1", got)
	}
}

func TestGenerator_countsWhatTheServerAnswered(t *testing.T) {
	t.Parallel()
	var served [3]atomic.Int64 // v1, v2 failed, no version
	var n atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Host != "reviews.example" {
			t.Errorf("Host: got %q, want reviews.example", r.Host)
		}
		switch k := n.Add(1) % 4; k {
		case 0, 1:
			served[0].Add(1)
			w.Header().Set(load.VersionHeader, "v1")
			fmt.Fprint(w, "ok")
		case 2:
			served[1].Add(1)
			w.Header().Set(load.VersionHeader, "v2")
			w.WriteHeader(http.StatusInternalServerError)
		case 3:
			served[2].Add(1)
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer server.Close()
	before := time.Now()
	g, err := load.Start(t.Context(), load.Config{URL: server.URL, Host: "reviews.example", RPS: 2000, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { return n.Load() >= 400 })
	g.Stop()
	tally := g.Record().Tally(before, time.Time{})
	v1, v2, none := int(served[0].Load()), int(served[1].Load()), int(served[2].Load())
	want := load.Tally{Total: v1 + v2 + none, Versions: map[string]load.Count{
		"v1": {Requests: v1, Status: map[int]int{200: v1}},
		"v2": {Requests: v2, Failed: v2, Status: map[int]int{500: v2}},
		"":   {Requests: none, Failed: none, Status: map[int]int{503: none}},
	}}
	if diff := cmp.Diff(want, tally); diff != "" {
		t.Errorf("tally against what the server served (-want +got):\n%s", diff)
	}
	if got := tally.FailedBut("v2"); got != none {
		t.Errorf("FailedBut(v2): got %d, want %d", got, none)
	}
	if got := g.Shed(); got != 0 {
		t.Errorf("shed: got %d, want 0", got)
	}
	if got := g.InFlight(); got != 0 {
		t.Errorf("in flight after Stop: got %d, want 0", got)
	}
	if got := g.Record().Latency(0.5, before, time.Time{}); got <= 0 || got > 5*time.Second {
		t.Errorf("median latency: got %v", got)
	}
}

func TestGenerator_shedsBeyondItsLimit(t *testing.T) {
	t.Parallel()
	hold := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hold }))
	defer server.Close()
	g, err := load.Start(t.Context(), load.Config{URL: server.URL, RPS: 2000, Seed: 1, Connections: 4, MaxInFlight: 20})
	if err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { return g.Shed() >= 50 })
	if got := g.InFlight(); got != 20 {
		t.Errorf("in flight while nothing is answered: got %d, want 20", got)
	}
	close(hold)
	waitFor(t, func() bool { return g.Record().Tally(time.Time{}, time.Time{}).Total >= 20 })
	g.Stop()
	if late := g.Record().Latency(0, time.Time{}, time.Time{}); late <= 0 {
		t.Errorf("shortest latency: got %v", late)
	}
	if got := g.Record().Latency(1, time.Time{}, time.Time{}); got < 20*time.Millisecond {
		t.Errorf("longest latency, from the instant it was due: got %v, want the stall in it", got)
	}
}

func TestGenerator_callsAServerThatIsGoneBroken(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	g, err := load.Start(t.Context(), load.Config{URL: server.URL, RPS: 1000, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { return g.Record().Tally(time.Time{}, time.Time{}).Total >= 20 })
	g.Stop()
	tally := g.Record().Tally(time.Time{}, time.Time{})
	if got := tally.Versions[""].Status[load.Broken]; got != tally.Total || tally.Failed("") != tally.Total {
		t.Errorf("got %+v, want all broken", tally)
	}
}

func TestStart_refusesNonsense(t *testing.T) {
	t.Parallel()
	for _, cfg := range []load.Config{{URL: "http://x", RPS: 0}, {URL: "http://x", RPS: math.NaN()}, {URL: "http://x", RPS: math.Inf(1)}, {URL: ":", RPS: 1}} {
		if _, err := load.Start(t.Context(), cfg); err == nil {
			t.Errorf("%+v was accepted", cfg)
		}
	}
}

func TestRecord_answersByTimeOfSending(t *testing.T) {
	t.Parallel()
	r := load.NewRecord()
	base := time.Now()
	at := func(ms int) time.Time { return base.Add(time.Duration(ms) * time.Millisecond) }
	// In the order of their ends, not of their starts.
	for _, a := range []load.Answer{
		{Due: at(1), Start: at(30), End: at(32), Version: "v2", Status: 200},
		{Due: at(10), Start: at(10), End: at(35), Version: "v2", Status: 500},
		{Due: at(12), Start: at(20), End: at(40), Version: "v1", Status: 200},
		{Due: at(40), Start: at(40), End: at(41), Status: 404},
	} {
		r.Add(a)
	}
	if got := r.Tally(at(10), at(30)); got.Total != 2 || got.Share("v2") != 0.5 || got.Failed("v2") != 1 {
		t.Errorf("sent in [10, 30): got %+v, want one of v1 and a failed one of v2", got)
	}
	if got, ok := r.First(at(0), at(100), load.Of("v2")); !ok || !got.Start.Equal(at(10)) {
		t.Errorf("first of v2: got %v, %t, want the one sent at 10", got.Start.Sub(base), ok)
	}
	if got, ok := r.Last(at(0), at(100), load.Of("v2")); !ok || !got.Start.Equal(at(30)) {
		t.Errorf("last of v2: got %v, %t, want the one sent at 30", got.Start.Sub(base), ok)
	}
	if got, ok := r.First(at(0), time.Time{}, load.FailedOf("v2")); !ok || got.Status != 500 {
		t.Errorf("first failure of v2: got %+v, %t", got, ok)
	}
	if _, ok := r.First(at(0), time.Time{}, load.Of("v3")); ok {
		t.Error("a request of v3 was found, there is none")
	}
	if got := r.Latency(1, at(0), at(100)); got != 31*time.Millisecond {
		t.Errorf("longest latency: got %v, want 31ms, from due to end", got)
	}
	if got := r.Latency(0.5, at(200), at(300)); got != 0 {
		t.Errorf("latency of nothing: got %v, want 0", got)
	}
}

func waitFor(t *testing.T, done func() bool) {
	t.Helper()
	if err := poll.Until(20*time.Second, func() error {
		if done() {
			return nil
		}
		return fmt.Errorf("not yet")
	}); err != nil {
		t.Fatal(err)
	}
}
