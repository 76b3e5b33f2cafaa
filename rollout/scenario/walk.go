package scenario

import (
	"fmt"
	"strings"

	"github.com/sluice-dev/sluice/rollout"
)

// fairMoves bounds how long a world without faults may take to come to rest.
const fairMoves = 300

// Walk makes a number of moves chosen by pick(n), which gives a number below n, then lets a fair world come to rest. It
// returns the moves as a script, so that what it finds can be kept as a scenario.
func Walk(pick func(n int) int, moves int) (script []string, w *World, err error) {
	return walk(pick, moves, func(*World) {})
}

// walk is Walk in a world that begin is shown first.
func walk(pick func(n int) int, moves int, begin func(*World)) (script []string, w *World, err error) {
	w = NewWorld()
	begin(w)
	do := func(line string) bool {
		script = append(script, line)
		if err = w.Do(line); err != nil {
			err = fmt.Errorf("move %d, %s: %w", len(script), line, err)
		}
		return err == nil
	}
	for _, line := range []string{"proxies 2", "ready stable=4 canary=4", "want v1", "want v2"} {
		if !do(line) {
			return script, w, err
		}
	}
	for range moves {
		if !do(move(pick)) {
			return script, w, err
		}
		w.Take()
	}
	last := "want v9"
	if pick(3) == 0 {
		last = "delete"
	}
	for _, line := range []string{"brake off", last, "problem", "window open", "ready stable=20 canary=20", "proxies 2", "spec paused=false onDeadline=rollback"} {
		if !do(line) {
			return script, w, err
		}
	}
	for range fairMoves {
		if w.resting() {
			return script, w, nil
		}
		if !do(w.fair(pick)) {
			return script, w, err
		}
		w.Take()
	}
	return script, w, fmt.Errorf("no rest after %d fair moves: %s, held for %q", fairMoves, w.State().Phase, w.State().Progress.Hold)
}

// resting reports that nothing more will happen by itself, but for the end of a former version's time.
func (w *World) resting() bool { return w.State().Phase.Rest() && w.final == w.want.Deleting }

// fair is a move of a world in which everybody does what is asked.
func (w *World) fair(pick func(n int) int) string {
	st := w.State()
	switch {
	case w.fleet.acked < w.fleet.proxies || w.fleet.nack != "":
		return "settle"
	case st.Progress.Wishes.Paused:
		return "act resume"
	case st.Progress.Hold == rollout.ApprovalNeeded:
		return fmt.Sprintf("act approve by=p%d if-attempt=%d", pick(5), st.Attempt)
	case st.Progress.Hold == rollout.PauseStep || st.Progress.Hold == rollout.InconclusiveTimeout && pick(2) == 0:
		return fmt.Sprintf("act promote if-attempt=%d", st.Attempt)
	case (st.Phase == rollout.Baking || st.Phase == rollout.Holding) && pick(2) == 0:
		return []string{"verdict Promote reason=NonInferior", "verdict Promote reason=NonInferior", "verdict Rollback reason=RegressionDetected"}[pick(3)]
	}
	return "tick 3m"
}

// move is a random command.
func move(pick func(n int) int) string {
	groups := [][]string{
		{"settle", "settle", "settle", "ack 1", "ack 2"},
		{"tick 1s", "tick 20s", "tick 1m", "tick 5m", "tick 11m", "tick 31m"},
		{"verdict Promote reason=NonInferior", "verdict Promote", "verdict Inconclusive reason=Collecting", "verdict Inconclusive reason=Suspicious",
			"verdict Inconclusive reason=NeedsRequests", "verdict Inconclusive reason=TrafficMismatch", "verdict Inconclusive reason=Incident",
			"verdict Inconclusive reason=GateInconclusive", "verdict Blind reason=Unreachable", "verdict Blind reason=NoTraffic",
			"verdict Rollback reason=RegressionDetected", "verdict Rollback reason=HardFail", "verdict Rollback reason=SLOBreach",
			"verdict Rollback reason=Stalled", "verdict Rollback reason=GateFailed"},
		{"want v1", "want v2", "want v3", "want v2 digest=d-v2b", "want v1 digest=d-v1b", "want unknown"},
		{"write lost", "write applied", "write conflict", "write refused", "lag 1", "lag 3", "stale"},
		{"crash", "crash down=20s", "crash down=2h"},
		{"jump 1h", "jump -1h", "jump -24h"},
		{"proxies 0", "proxies 1", "proxies 2", "proxies 3", "drop", `nack gw-1 "no cluster"`},
		{"ready stable=4 canary=4", "ready canary=0", "ready canary=1", "ready stable=0", "ready stable=20", "ready unknown"},
		{"problem", "problem", "problem RefsNotResolved", "problem SourceApplying"},
		{"spec paused=true", "spec paused=false", "spec steps=15,50,100", "spec steps=0,30", "spec steps=100", "spec onInconclusive=promote",
			"spec onInconclusive=rollback", "spec onInconclusive=pause", "spec onBlind=rollback", "spec onBlind=hold",
			"spec maxDuration=30m", "spec maxDuration=168h", "spec onDeadline=pause", "spec onDeadline=rollback", "spec warmDown=0s", "spec bake.min=2m",
			"spec historyLimit=2", "spec convergence.minProxies=2", "spec convergence.minProxies=1"},
		{"act promote if-attempt=1", "act promote if-attempt=2", "act promote if-attempt=3 override-window=true", "act promoteFull if-attempt=1",
			"act promoteFull if-attempt=2", "act skip step=3 if-attempt=1", "act skip step=2 if-attempt=2", "act skip step=9 if-attempt=1",
			"act promote id=same", "act promote if-seq=3", "act promote if-revision=d-v2"},
		{"act pause", "act pause", "act resume", "act resume", "act approve by=ana", "act approve by=ben", "act approve by=cas step=1", "act approve step=2"},
		{"act abort", "act rollback", "act rollback reason=slow", "act retry", "act retry", "act abort if-attempt=1", "act rollback id=same", "act retry if-revision=d-v2"},
		{"window closed", "window frozen", "window closed until=20m", "window open", "window open", "window open"},
		{"brake", "brake off", "brake off", "takeover"},
		{"spec steps.1.pause=open", "spec steps.1.pause=2m", "spec steps.1.pause=none", "spec steps.1.approvals=2", "spec steps.1.approvals=1",
			"spec steps.1.approvals=0", "spec steps.1.match=x-beta:1", "spec steps.1.match=none", "spec steps.1.mirror=10", "spec steps.1.mirror=0",
			"spec dryRun=true", "spec dryRun=false", "spec dryRun=false", "spec previewHost=next", "spec previewHost=", "spec affinity=cookie", "spec affinity=none",
			"spec rollbackWindow.versions=0", "spec rollbackWindow.versions=2"},
	}
	weights := []int{0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 3, 3, 4, 4, 5, 6, 7, 8, 9, 10, 11, 11, 12, 12, 13, 14, 15, 16, 16}
	group := groups[weights[pick(len(weights))]]
	return group[pick(len(group))]
}

// Edges are the edges taken so far, as "from > to reason".
func (w *World) Edges() []string {
	var out []string
	for _, e := range rollout.Edges() {
		if line := fmt.Sprintf("%s > %s %s", e.From, e.To, e.Reason); w.audit.seen[line] {
			out = append(out, line)
		}
	}
	return out
}

// Script joins the moves of a walk to the input of a scenario file.
func Script(moves []string) string { return strings.Join(moves, "\n") + "\n----\n" }
