package controller

import (
	"testing"
	"time"

	"github.com/sluice-dev/sluice/xds/ir"
)

// reporting is a fleet of which only the reports matter.
type reporting struct {
	Fleet
	failed map[string]uint64 // by cluster
}

func (r reporting) LoadsOf(clusters []string, since time.Time) []ir.Load {
	var out []ir.Load
	for _, name := range clusters {
		out = append(out, ir.Load{Cluster: name, From: since, To: since.Add(time.Second / 4), OK: 9, Failed: r.failed[name]})
	}
	return out
}

// TestPulse_looksAtAllOnceInASecond: reports come more often, and in between concern those alone whose canary fails.
func TestPulse_looksAtAllOnceInASecond(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	c := &Controller{start: now, config: Config{Now: func() time.Time { return now }, Fleet: reporting{failed: map[string]uint64{"bad": 3, "fair": 2}}}}
	matters := c.pulse()
	for _, tt := range []struct {
		after time.Duration
		want  string
	}{{0, "bad fair "}, {500 * time.Millisecond, "bad "}, {800 * time.Millisecond, "bad "}, {990 * time.Millisecond, "bad fair "}, {1490 * time.Millisecond, "bad "}, {1990 * time.Millisecond, "bad fair "}} {
		now = c.start.Add(tt.after)
		got := ""
		f := matters()
		for _, name := range []string{"bad", "fair", "idle"} {
			if f(concern{loads: name != "idle", facts: ir.SplitFacts{CanaryClusters: []string{name}}}) {
				got += name + " "
			}
		}
		if got != tt.want {
			t.Errorf("after %s: %q are looked at, want %q", tt.after, got, tt.want)
		}
	}
}
