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
