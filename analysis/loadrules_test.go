package analysis

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// lookAt is a look at loads, sec after base.
func lookAt(sec int64, loads ...Window) Batch { return Batch{Moment: moment(sec), Loads: loads} }

func steady(from, to int64, nc, xc, ns, xs uint64) []Window {
	var out []Window
	for sec := from; sec <= to; sec++ {
		out = append(out, loaded(sec, nc, xc, ns, xs))
	}
	return out
}

func TestHardFail_ofLoadReports(t *testing.T) {
	spread := func(windows []Window, endpoints ...Endpoint) []Window {
		for i := range windows {
			windows[i].Endpoints = endpoints
		}
		return windows
	}
	for _, c := range []struct {
		name  string
		loads []Window
		want  Reason
	}{
		{"half of the requests, at each endpoint", steady(1, 2, 15, 8, 85, 0), HardFail},
		{"one second is too short at this rate", steady(1, 1, 15, 8, 85, 0), ""},
		{"one endpoint is lost", spread(steady(1, 2, 15, 6, 85, 0), Endpoint{0, 6, 6}, Endpoint{1, 5, 0}, Endpoint{2, 4, 0}), ""},
		{"two of three endpoints are lost", spread(steady(1, 2, 15, 10, 85, 0), Endpoint{0, 5, 5}, Endpoint{1, 5, 5}, Endpoint{2, 5, 0}), ""},
		{"nobody tells endpoints apart", spread(steady(1, 4, 15, 8, 85, 0)), ""},
		{"nobody tells endpoints apart, five seconds", spread(steady(1, 5, 15, 8, 85, 0)), HardFail},
		{"both versions fail", steady(1, 8, 15, 8, 85, 43), ""},
		{"stable fails one in ten", steady(1, 8, 15, 6, 85, 9), ""},
		{"three in ten fail", steady(1, 8, 20, 6, 85, 0), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := withAttempts()
			cfg.Criteria[0].DryRun, cfg.Criteria[1].DryRun = true, true // the rules alone
			m := moment(9)
			m.Settled = time.Time{} // they look at shifting too
			ev, r := Judge(cfg, Evidence{}, Batch{Moment: m, Loads: c.loads})
			reason, _, _ := ev.RolledBack()
			if reason != c.want {
				t.Fatalf("%s (%s), want %q", r.Reason, r.Message, c.want)
			}
			if c.want == HardFail && r.Message != fmt.Sprintf("attempts %s against %s", RateOf(r.Progress.Loads.Hard.Canary), RateOf(r.Progress.Loads.Hard.Stable)) {
				t.Errorf("message %q", r.Message)
			}
		})
	}
}

func TestStalled_isACanaryThatDoesNotFinish(t *testing.T) {
	flow := func(from, to int64, sent, done uint64, stableDone, open uint64) []Window {
		var out []Window
		for sec := from; sec <= to; sec++ {
			w := loaded(sec, done, 0, stableDone, 0)
			w.Canary.Started, w.Stable.Started, w.Open = sent, 85, open
			out = append(out, w)
		}
		return out
	}
	for _, c := range []struct {
		name  string
		loads []Window
		want  Reason
	}{
		{"less than half is finished", flow(1, 70, 15, 7, 85, 3), Stalled},
		{"nothing is", flow(1, 70, 1, 0, 85, 3), Stalled},
		{"half is", flow(1, 70, 14, 7, 85, 3), ""},
		{"a minute is not over", flow(1, 60, 15, 0, 85, 3), ""},
		{"too few", flow(1, 69, 0, 0, 85, 3), ""},
		{"stable does not finish either", flow(1, 70, 15, 0, 70, 3), ""},
		{"requests last long by nature", flow(1, 70, 15, 5, 85, 85*20), ""},
		{"it recovered", slices.Concat(flow(1, 30, 15, 5, 85, 3), flow(31, 200, 15, 15, 85, 3)), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			ev, r := Judge(withAttempts(), Evidence{}, lookAt(70, c.loads...))
			reason, _, _ := ev.RolledBack()
			if reason != c.want {
				t.Fatalf("%s (%s), want %q", r.Reason, r.Message, c.want)
			}
			if c.name == "nothing is" && r.Message != "finished 0 of 60 requests in 1m, stable 5100 of 5100" {
				t.Errorf("message %q", r.Message)
			}
		})
	}
}

func TestTraffic_mismatchHoldsAndEnds(t *testing.T) {
	cfg := withAttempts()
	cfg.Criteria[1].Required = true
	ev, _ := Judge(cfg, Evidence{}, lookAt(12, steady(1, 10, 1, 0, 99, 0)...))
	if ev.share != nil {
		t.Fatalf("the check began before the weight was in force for %s", trafficDelay)
	}
	ev, r := Judge(cfg, ev, lookAt(30, steady(11, 30, 1, 0, 99, 0)...))
	if r.Reason != TrafficMismatch || r.Verdict != Inconclusive || !r.Progress.Loads.Mismatch {
		t.Fatalf("%s %s: %s; want a mismatch", r.Verdict, r.Reason, r.Message)
	}
	alarm := instant(ev.share.Alarm)
	right := steady(31, 400, 15, 0, 85, 0)
	ended := time.Time{}
	for i, w := range right {
		ev, r = Judge(cfg, ev, Batch{Moment: moment(31 + int64(i)), Loads: []Window{w}})
		if r.Reason != TrafficMismatch {
			ended = w.End
			break
		}
	}
	if got := ended.Sub(alarm); got != trafficHold {
		t.Errorf("the hold ended after %s, want %s", got, trafficHold)
	}
	next := moment(500)
	next.Step, next.Weight = 2, 50
	ev, _ = Judge(cfg, ev, Batch{Moment: next})
	if ev.share != nil {
		t.Error("the check is not fresh at a step")
	}
}

func TestTraffic_whatIsNotLookedAt(t *testing.T) {
	alarms := func(change func(*Moment), loads ...Window) bool {
		m := moment(60)
		change(&m)
		ev, _ := Judge(withAttempts(), Evidence{}, Batch{Moment: m, Loads: loads})
		return ev.share != nil && ev.share.Alarm != 0
	}
	low, high := steady(11, 60, 1, 0, 99, 0), steady(11, 60, 60, 0, 40, 0)
	for _, c := range []struct {
		name   string
		change func(*Moment)
		loads  []Window
		want   bool
	}{
		{"too little", func(*Moment) {}, low, true},
		{"too much", func(*Moment) {}, high, true},
		{"too much where testers are pinned", func(m *Moment) { m.Traffic = CheckLow }, high, false},
		{"too little where testers are pinned", func(m *Moment) { m.Traffic = CheckLow }, low, true},
		{"too little where stable is reached besides", func(m *Moment) { m.Traffic = CheckNone }, low, false},
		{"at 100 %", func(m *Moment) { m.Weight = 100 }, low, false},
		{"before the weight is in force", func(m *Moment) { m.Settled = time.Time{} }, low, false},
		{"while the canary fails", func(*Moment) {}, steady(11, 60, 60, 7, 40, 0), false},
		{"while stable fails", func(*Moment) {}, steady(11, 60, 60, 0, 40, 5), false},
		{"as asked", func(*Moment) {}, steady(11, 60, 15, 0, 85, 0), false},
	} {
		if got := alarms(c.change, c.loads...); got != c.want {
			t.Errorf("%s: alarm %v, want %v", c.name, got, c.want)
		}
	}
}

func TestAttempts_windowsCloseByTraffic(t *testing.T) {
	cfg := withAttempts()
	loads := slices.Concat(steady(11, 13, 3, 1, 17, 0), steady(14, 20, 0, 0, 17, 0), steady(22, 30, 2, 0, 10, 1))
	ev, r := Judge(cfg, Evidence{}, lookAt(30, loads...))
	m := r.Metrics[0]
	// 10 to 15 with 9 requests; 15 to 25 with the next of the canary; 25 to 30.
	want := Pair{Canary: Counts{N: 27, Bad: 3}, Stable: Counts{N: 3*17 + 7*17 + 90, Bad: 9}}
	if m.Name != Attempts || m.Windows != 3 || !cmp.Equal(m.Attempt, want) {
		t.Errorf("%+v, want 3 windows of %+v", m.Tally, want)
	}
	if m.Observed != 19*time.Second {
		t.Errorf("observed %s, want 19s: nothing was reported for one second", m.Observed)
	}
	if got := ev.LoadsSince(moment(30)); !got.Equal(instant(base + 30_000)) {
		t.Errorf("loads go on at %s", got.Sub(instant(base)))
	}
}

// What proxies reported before the weight had settled, and while the canary warmed up, is no evidence on this step.
func TestAttempts_noWindowBeginsBeforeTheWarmUpIsOver(t *testing.T) {
	cfg := withAttempts()
	warm := steady(11, 30, 3, 0, 17, 0)
	_, want := Judge(cfg, Evidence{}, lookAt(30, warm...))
	_, got := Judge(cfg, Evidence{}, lookAt(30, slices.Concat(steady(1, 10, 4, 1, 17, 0), warm)...))
	if want.Metrics[0].Windows == 0 || !cmp.Equal(got.Metrics[0].Tally, want.Metrics[0].Tally) {
		t.Errorf("with failures in the warm-up %+v, without %+v", got.Metrics[0].Tally, want.Metrics[0].Tally)
	}
}

func TestAttempts_silence(t *testing.T) {
	cfg := withAttempts()
	cfg.Criteria = cfg.Criteria[:1]
	cfg.Criteria[0].Required = true
	ev, _ := Judge(cfg, Evidence{}, lookAt(30, steady(1, 30, 15, 0, 85, 0)...))
	_, r := Judge(cfg, ev, lookAt(89))
	assertVerdict(t, r, Inconclusive, NeedsRequests)
	_, r = Judge(cfg, ev, lookAt(91))
	assertVerdict(t, r, Blind, Stale)
	b := lookAt(100, steady(31, 100, 0, 0, 85, 0)...)
	_, r = Judge(cfg, ev, b)
	assertVerdict(t, r, Inconclusive, TrafficMismatch) // it knows better
	b.Traffic = CheckNone
	_, r = Judge(cfg, ev, b)
	assertVerdict(t, r, Blind, NoCanaryTraffic)
}

// TestLoads_evidenceIsTheSameHoweverTheyAreCut cuts reports of a stormy attempt into batches, repeats some, shuffles them,
// and goes on from text after each batch.
func TestLoads_evidenceIsTheSameHoweverTheyAreCut(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 9))
	world := outages{perHour: 200, pods: 3, bad: 0.02, from: 30}
	var pods [2][][]span
	for arm := range pods {
		for range world.pods {
			pods[arm] = append(pods[arm], world.draw(r))
		}
	}
	var all []Window
	for number := range 4 * 150 {
		if number%147 != 21 { // nobody reported
			all = append(all, world.part(r, number, pods))
		}
	}
	cfg := withAttempts()
	_ = cfg.Validate()
	whole, wantReport := Judge(cfg, Evidence{}, lookAt(200, all...))
	want, err := whole.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 1))
		ev, report := Judge(cfg, Evidence{}, lookAt(200))
		rest := slices.Clone(all)
		for len(rest) > 0 {
			n := min(len(rest), 1+r.IntN(20))
			batch := slices.Clone(rest[:n])
			if done := len(all) - len(rest); done > 0 {
				batch = append(batch, all[r.IntN(done)]) // it came before
			}
			r.Shuffle(len(batch), func(i, j int) { batch[i], batch[j] = batch[j], batch[i] })
			ev, report = Judge(cfg, ev, lookAt(200, batch...))
			text, err := ev.MarshalText()
			if err != nil {
				t.Fatal(err)
			}
			ev = Evidence{}
			if err := ev.UnmarshalText(text); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		got, err := ev.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Fatalf("seed %d: evidence (-whole +cut):\n%s", seed, diff)
		}
		if diff := cmp.Diff(wantReport, report); diff != "" {
			t.Fatalf("seed %d: report (-whole +cut):\n%s", seed, diff)
		}
	}
}

func TestLoads_evidenceStaysSmall(t *testing.T) {
	var windows []Window
	const seconds = 7200
	for sec := range int64(seconds) {
		w := loaded(sec+1, 1<<40, 1<<20, 1<<50, 1<<30)
		w.Endpoints = nil
		if sec < seconds-120 {
			windows = append(windows, w)
			continue
		}
		for i := range uint32(5000) {
			w.Endpoints = append(w.Endpoints, Endpoint{ID: 4e9 - i*7919, N: 1 << 40, Bad: 1 << 39})
		}
		windows = append(windows, w)
	}
	ev, _ := Judge(withAttempts(), Evidence{}, lookAt(seconds, windows...))
	text, err := ev.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	bare, _ := Judge(withAttempts(), Evidence{}, lookAt(seconds))
	base, err := bare.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	if grown := len(text) - len(base); grown > 6<<10 {
		t.Errorf("load reports take %d bytes of evidence", grown)
	}
}

func TestEvidence_loadsThatNoJudgeWrote(t *testing.T) {
	ev, _ := Judge(withAttempts(), Evidence{}, lookAt(60, steady(1, 60, 15, 1, 85, 0)...))
	text, err := ev.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	var fine Evidence
	if err := fine.UnmarshalText(text); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*Evidence){
		"more bad than there are":    func(e *Evidence) { e.loads.Newest[0].Counts[1] = 1 << 40 },
		"an endpoint likewise":       func(e *Evidence) { e.loads.Newest[0].Endpoints[0][2] = 1 << 40 },
		"too many seconds":           func(e *Evidence) { e.loads.Newest = make([]second, 10) },
		"too many slots":             func(e *Evidence) { e.loads.Sent = make([]sent, 8) },
		"an open window that cannot": func(e *Evidence) { e.loads.Window = &openWindow{Counts: [4]uint64{1, 2, 0, 0}} },
		"a hit that cannot":          func(e *Evidence) { e.loads.Hit = &[4]uint64{1, 2, 0, 0} },
		"half a traffic check":       func(e *Evidence) { e.share.Wealth = e.share.Wealth[:4] },
		"too much wealth":            func(e *Evidence) { e.share.Wealth[0] = 1e6 },
	} {
		bad := ev.clone()
		spoil(&bad)
		text, err := bad.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		if err := new(Evidence).UnmarshalText(text); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}
