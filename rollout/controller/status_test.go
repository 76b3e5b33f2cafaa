package controller

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/rollout"
)

func someTime(t *rapid.T, label string) time.Time {
	return time.UnixMicro(rapid.Int64Range(1e15, 3e15).Draw(t, label)).UTC()
}

func someSpan(t *rapid.T, label string) time.Duration {
	return time.Duration(rapid.Int64Range(0, 1e6).Draw(t, label)) * time.Millisecond
}

func someVersion(t *rapid.T, label string) rollout.Version {
	text := rapid.StringMatching(`[a-z0-9]{1,12}`)
	return rollout.Version{Name: text.Draw(t, label+" name"), Digest: text.Draw(t, label+" digest"), Commit: text.Draw(t, label+" commit")}
}

func someMatches(t *rapid.T) []rollout.Match {
	c := []rollout.Condition{{Name: "x-beta", Kind: rapid.SampledFrom([]rollout.Comparison{rollout.Exact, rollout.Prefix, rollout.Regex}).Draw(t, "kind"), Value: "1"}}
	return rapid.SampledFrom([][]rollout.Match{nil, {{Headers: c}}, {{Cookies: c}, {Headers: c, Cookies: c}}}).Draw(t, "match")
}

func someMirror(t *rapid.T) rollout.Mirror {
	return rapid.SampledFrom([]rollout.Mirror{{}, {Percent: 10, Methods: []string{"GET"}}}).Draw(t, "mirror")
}

func someSteps(t *rapid.T) []rollout.StageSpec {
	pause := rapid.SampledFrom([]rollout.Pause{{}, {On: true}, {On: true, For: time.Minute}}).Draw(t, "pause")
	return []rollout.StageSpec{{Weight: 5, Parts: rollout.Parts{Metrics: []string{"errors"}, Pause: pause,
		Approvals: rapid.IntRange(0, 5).Draw(t, "approvals"), Match: someMatches(t), Mirror: someMirror(t)}}, {Weight: 100}}
}

func someExtra(t *rapid.T) rollout.Extra {
	cookie := rollout.Cookie{Name: "c", MaxAge: time.Hour, Path: "/", SameSite: "lax", Secure: rapid.Bool().Draw(t, "secure")}
	return rollout.Extra{Match: someMatches(t), Mirror: someMirror(t), Preview: rapid.SampledFrom([]string{"", "next"}).Draw(t, "preview"),
		Affinity: rapid.SampledFrom([]*rollout.Affinity{nil, {Header: "x-user"}, {Cookie: cookie}}).Draw(t, "affinity")}
}

func someState(t *rapid.T) rollout.State {
	st := rollout.State{
		Mark: rollout.Mark{Seq: rapid.Uint64Range(1, 1e12).Draw(t, "seq"), Attempt: rapid.Int64Range(0, 1e9).Draw(t, "attempt"),
			Phase: rapid.SampledFrom(rollout.Phases()).Draw(t, "phase"), Outcome: rollout.OutcomeOpen,
			Reason: rapid.SampledFrom(rollout.Edges()).Draw(t, "edge").Reason, Since: someTime(t, "since")},
		Traffic: rollout.Traffic{Step: rapid.IntRange(0, 16).Draw(t, "step"), Weight: rapid.IntRange(0, 100).Draw(t, "weight"),
			Seq: rapid.Uint64Range(0, 1e12).Draw(t, "traffic"), Settled: rapid.Uint64Range(0, 1e12).Draw(t, "settled")},
		Stable: someVersion(t, "stable"),
		Memory: rollout.Memory{Attempted: "d", Managed: rapid.SliceOfN(rapid.StringMatching(`v[0-9]`), 1, 10).Draw(t, "managed")},
		Kind:   rollout.Kind{Observe: rapid.Bool().Draw(t, "observe"), Proven: rapid.Bool().Draw(t, "proven"), Undo: rapid.Bool().Draw(t, "undo")},
	}
	if rapid.Bool().Draw(t, "open") {
		st.Canary = someVersion(t, "canary")
		st.Previous = rollout.Previous{Version: someVersion(t, "previous"), Until: someTime(t, "until")}
		st.Plan = rollout.Resolve(someSteps(t), someSpan(t, "bake"), someSpan(t, "longest"))
		st.Traffic.Extra = someExtra(t)
		st.Approved = []rollout.Approval{{Step: 2, Actor: "ana", At: someTime(t, "approved")}}
		st.Gates = []rollout.Gate{{Step: 1, Result: rollout.PassAnyway, Seq: 9, At: someTime(t, "gate"), Actor: "ben"}}
		st.Progress = rollout.Progress{StartedAt: someTime(t, "started"), SettledAt: someTime(t, "settledAt"), Base: 3,
			Hold: rollout.PausedInGit, Told: []rollout.Reason{rollout.Blind, rollout.Suspicious},
			Clocks: rollout.Clocks{Phase: someSpan(t, "phase clock"), Step: someSpan(t, "step clock"), Blind: someSpan(t, "blind"), Empty: someSpan(t, "empty"), Few: someSpan(t, "few"), Gate: someSpan(t, "gate clock")},
			Wishes: rollout.Wishes{Paused: rapid.Bool().Draw(t, "paused"), Override: 2, OverrideWindow: rapid.Bool().Draw(t, "window"), Full: rapid.Bool().Draw(t, "full")}}
	}
	for i := range rapid.IntRange(0, 3).Draw(t, "past") {
		st.Consumed = append(st.Consumed, rollout.Consumed{UID: fmt.Sprint("uid", i), Verb: rapid.SampledFrom(rollout.Verbs()).Draw(t, "verb"),
			Answer: rollout.Refused, Code: rollout.StaleSeq, Attempt: 3, Seq: 7, At: someTime(t, "consumed")})
		st.Rejected = append(st.Rejected, rollout.Rejection{Version: someVersion(t, "rejected"), Attempt: 2, Reason: rollout.DataPlaneRejected, At: someTime(t, "at")})
		st.History = append(st.History, rollout.Past{Attempt: 1, Version: someVersion(t, "was"), StartedAt: someTime(t, "from"), EndedAt: someTime(t, "to"),
			Outcome: rollout.OutcomeRolledBack, Reason: rollout.DataPlaneRejected, Step: 2, Text: "why"})
	}
	return st
}

// TestState_survivesStatus says that a restart loses nothing: a state is the same after it went through the API server's JSON.
func TestState_survivesStatus(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		st := someState(t)
		status := &v1alpha1.RolloutStatus{}
		store(st, status)
		text, err := json.Marshal(status)
		if err != nil {
			t.Fatal(err)
		}
		read := &v1alpha1.RolloutStatus{}
		if err := json.Unmarshal(text, read); err != nil {
			t.Fatal(err)
		}
		got, err := stateOf(read)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(st, got); diff != "" {
			t.Fatalf("state after a round trip (-was +is):\n%s\n%s", diff, text)
		}
	})
}

func TestStateOf_unknownPhase(t *testing.T) {
	if _, err := stateOf(&v1alpha1.RolloutStatus{Phase: "Dreaming"}); err == nil {
		t.Error("a phase of another build was read without an error")
	}
	if st, err := stateOf(nil); err != nil || st.Seq != 0 || st.Phase != rollout.Idle {
		t.Errorf("no status: %+v, %v", st, err)
	}
}

func TestSpecOf_defaultsAndMistakes(t *testing.T) {
	spec, err := specOf(&v1alpha1.Rollout{Spec: v1alpha1.RolloutSpec{Host: "reviews", Subset: "v2"}})
	if err != nil || len(spec.Plan) != 3 || spec.Capacity != (rollout.Capacity{MinReady: 1, Ratio: 50}) ||
		spec.Convergence != (rollout.Convergence{MinProxies: 1, Timeout: time.Minute}) || spec.OnDeadline != rollout.PolicyRollback ||
		spec.MaxDuration != 168*time.Hour || spec.Back.WarmDown != 10*time.Minute || spec.HistoryLimit != 10 {
		t.Errorf("defaults: %+v, %v", spec, err)
	}
	bad := []v1alpha1.Step{{Weight: 50}, {Weight: 15, Name: "step-1"}, {Weight: 200}}
	if _, err := specOf(&v1alpha1.Rollout{Spec: v1alpha1.RolloutSpec{Host: "reviews", Subset: "v2", Steps: bad}}); err == nil {
		t.Error("falling weights were accepted")
	}
}
