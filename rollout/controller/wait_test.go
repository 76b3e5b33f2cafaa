package controller

import (
	"testing"
	"time"

	"github.com/sluice-dev/sluice/analysis"
	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/rollout"
)

// bakingPass is a pass over a canary that is judged each second, at a time.
func bakingPass(mono time.Duration) *pass {
	return &pass{
		given: &given{mono: mono, object: &v1alpha1.Rollout{}, analysis: analysis.Config{Criteria: []analysis.Criterion{{Window: time.Second}}}},
		state: rollout.State{Mark: rollout.Mark{Phase: rollout.Baking}, Traffic: rollout.Traffic{Weight: 15}, Stable: rollout.Version{Name: "v1"}},
		memory: &memory{
			judged: judged{known: true, at: time.Second},
		},
	}
}

func TestWait_forALookUnderWayIsNoHurry(t *testing.T) {
	p := bakingPass(4 * time.Second) // the look began three windows ago
	if !p.memory.begin() {
		t.Fatal("no look can begin")
	}
	if got := p.wait(rollout.Actions{}); got != openTick {
		t.Errorf("the next pass is after %s while a look is under way, want %s", got, openTick)
	}
	p.memory.end(answer{})
	if got := p.wait(rollout.Actions{}); got != time.Millisecond {
		t.Errorf("the next pass is after %s although a look is due, want at once", got)
	}
}

func TestTrusted_isNoReportThatGrewOld(t *testing.T) {
	p := bakingPass(time.Minute)
	p.now = time.Unix(1_000_000, 0)
	for _, tt := range []struct {
		name    string
		verdict analysis.Verdict
		age     time.Duration
		want    analysis.Verdict
	}{
		{"of the last look", analysis.Promote, 2 * time.Second, analysis.Promote},
		{"while a slow look is under way", analysis.Promote, 10 * time.Second, analysis.Promote},
		{"from before a look that never ends", analysis.Promote, 30 * time.Second, analysis.Blind},
		{"of harm", analysis.Rollback, time.Hour, analysis.Rollback},
	} {
		got := p.trusted(analysis.Report{Verdict: tt.verdict, At: p.now.Add(-tt.age)})
		if got.Verdict != tt.want {
			t.Errorf("%s: verdict %s, want %s", tt.name, got.Verdict, tt.want)
		}
		if got.Verdict == analysis.Blind && (got.Reason != analysis.Timeout || got.Message == "") {
			t.Errorf("%s: %+v", tt.name, got)
		}
	}
}

func TestUntilLook_isWhenASampleIsDue(t *testing.T) {
	at := func(s float64) time.Time { return time.Unix(1_000_000, 0).Add(time.Duration(s * float64(time.Second))) }
	for _, tt := range []struct {
		name         string
		newest, look float64 // seconds: the newest sample then, and when that was
		interval     time.Duration
		now          float64
		want         time.Duration
	}{
		{"nothing is known", 0, 10, 0, 12, 3 * time.Second},
		{"the sample comes before the tick", 6, 10, 5 * time.Second, 11, 1100 * time.Millisecond},
		{"it is due", 6, 10, 5 * time.Second, 12.1, 0},
		{"in step with the samples", 6, 7.1, 5 * time.Second, 8, 4100 * time.Millisecond},
		{"it comes much later", 6, 7.1, 30 * time.Second, 8, 4100 * time.Millisecond},
		{"it is late", 6, 13, 5 * time.Second, 13.5, 500 * time.Millisecond},
		{"it does not come", 6, 17.5, 5 * time.Second, 18.5, 4 * time.Second},
		{"a look was a moment ago", 6, 12, 5 * time.Second, 12.1, 900 * time.Millisecond},
	} {
		p := bakingPass(time.Duration(tt.now * float64(time.Second)))
		p.now, p.analysis.Criteria[0].Window = at(tt.now), 5*time.Second
		j := &p.memory.judged
		j.at = time.Duration(tt.look * float64(time.Second))
		j.looked.coverage = []analysis.Coverage{{Interval: tt.interval, Newest: at(tt.newest)}}
		if got := p.untilLook(j).Round(time.Millisecond); got != tt.want {
			t.Errorf("%s: the next look is after %s, want %s", tt.name, got, tt.want)
		}
	}
}
