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
	}
	for _, tt := range tests {
		var p pace
		if tt.last != 0 {
			p.done(start.Add(tt.last))
		}
		for _, c := range tt.changes {
			p.note(c.u, start.Add(c.at))
		}
		got := p.due()
		if tt.nothing != got.IsZero() || !tt.nothing && !got.Equal(start.Add(tt.want)) {
			t.Errorf("%s: due %v after the start, want %v (nothing: %v)", tt.name, got.Sub(start), tt.want, tt.nothing)
		}
		p.done(start)
		if !p.due().IsZero() {
			t.Errorf("%s: still due after it was done", tt.name)
		}
	}
}
