package controller

import (
	"testing"
	"time"
)

func TestPace(t *testing.T) {
	const ms = time.Millisecond
	start := time.Unix(1e9, 0)
	type change struct {
		at time.Duration
		u  urgency
	}
	tests := []struct {
		name    string
		last    time.Duration // before the first change; 0: never compiled
		changes []change
		want    time.Duration // when it is due
		nothing bool
	}{
		{"nothing to do", 0, nil, 0, true},
		{"a change that changes nothing", 0, []change{{5 * ms, unchanged}}, 0, true},
		{"the first after a quiet time", -time.Second, []change{{0, gathered}}, 0, false},
		{"one soon after", -10 * ms, []change{{0, gathered}}, 50 * ms, false},
		{"several soon after", -10 * ms, []change{{0, gathered}, {30 * ms, gathered}, {70 * ms, gathered}}, 120 * ms, false},
		{"a stream of them", -10 * ms, []change{{0, gathered}, {480 * ms, gathered}}, 500 * ms, false},
		{"a weight among them", -10 * ms, []change{{0, gathered}, {30 * ms, atOnce}}, 0, false},
		{"a weight alone", -10 * ms, []change{{7 * ms, weighed}}, 7 * ms, false},
		{"a weight after others", -10 * ms, []change{{0, gathered}, {1 * ms, moved}, {3 * ms, weighed}}, 3 * ms, false},
		{"endpoints after a quiet time", -time.Second, []change{{0, moved}}, 0, false},
		{"endpoints soon after", -10 * ms, []change{{0, moved}, {9 * ms, moved}, {90 * ms, moved}}, 10 * ms, false},
	}
	for _, tt := range tests {
		var p pace
		if tt.last != 0 {
			p.weights.last, p.endpoints.last, p.rest.last = start.Add(tt.last), start.Add(tt.last), start.Add(tt.last)
		}
		for _, c := range tt.changes {
			p.note(c.u, start.Add(c.at))
		}
		got := p.due()
		if tt.nothing != got.IsZero() || !tt.nothing && !got.Equal(start.Add(tt.want)) {
			t.Errorf("%s: due %v after the start, want %v (nothing: %v)", tt.name, got.Sub(start), tt.want, tt.nothing)
		}
		if p.take(start, true).any() == tt.nothing {
			t.Errorf("%s: something was taken: %v", tt.name, tt.nothing)
		}
		if !p.due().IsZero() {
			t.Errorf("%s: still due after it was done", tt.name)
		}
	}
}

func TestPace_lanesDoNotWaitForEachOther(t *testing.T) {
	const ms = time.Millisecond
	start := time.Unix(1e9, 0)
	var p pace
	p.note(gathered, start)
	if got := p.take(start, false); got != (lanes{rest: true}) {
		t.Fatalf("the first change: %+v", got)
	}
	p.note(gathered, start.Add(5*ms))
	p.note(weighed, start.Add(6*ms))
	p.note(moved, start.Add(6*ms))
	if got := p.take(start.Add(6*ms), false); got != (lanes{weights: true, endpoints: true}) {
		t.Errorf("a weight and endpoints while others gather: %+v", got)
	}
	p.note(moved, start.Add(7*ms))
	p.note(weighed, start.Add(8*ms))
	if got := p.take(start.Add(8*ms), false); got != (lanes{weights: true}) {
		t.Errorf("endpoints within 20 ms: %+v", got)
	}
	if got, want := p.due(), start.Add(26*ms); !got.Equal(want) {
		t.Errorf("endpoints are due %v after the start, want %v", got.Sub(start), want.Sub(start))
	}
	if got := p.take(start.Add(55*ms), false); got != (lanes{rest: true, endpoints: true}) {
		t.Errorf("all that has gathered: %+v", got)
	}
}
