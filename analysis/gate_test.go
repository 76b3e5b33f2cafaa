package analysis

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// gated is errors, cleared by thirty healthy windows, and the gate queue.
func gated(l Limits, change ...func(*Criterion)) Config {
	cfg := Default()
	queue := Criterion{
		Name: "queue", Required: true, Limits: l,
		Source: Source{Condition: &Condition{Query: "sum(queue_depth)", Pass: "value < 100.0", Fail: "value > 500.0"}},
	}
	for _, c := range change {
		c(&queue)
	}
	cfg.Criteria = append(cfg.Criteria, queue)
	return cfg.WithDefaults()
}

// outcomes writes measurements as letters: Pass, Fail, Inconclusive, Error.
func outcomes(letters string, l Limits) []Measurement {
	l = l.withDefaults()
	var out []Measurement
	at := instant(base).Add(max(l.InitialDelay, 0))
	for _, letter := range letters {
		m := Measurement{Metric: "queue", At: at, Value: 1}
		switch letter {
		case 'P':
			m.Outcome = OutcomePass
		case 'F':
			m.Outcome = OutcomeFail
		case 'I':
			m.Outcome = OutcomeInconclusive
		case 'E':
			m.Outcome, m.Reason = OutcomeError, Timeout
		}
		out = append(out, m)
		at = at.Add(l.Interval)
	}
	return out
}

func TestGate_eachLimit(t *testing.T) {
	type row struct {
		name    string
		limits  Limits
		seen    string
		verdict Verdict
		reason  Reason
	}
	for _, r := range []row{
		{"no measurement is no pass", Limits{}, "", Inconclusive, GateRunning},
		{"two are not enough", Limits{}, "PP", Inconclusive, GateRunning},
		{"three pass", Limits{}, "PPP", Promote, NonInferior},
		{"the last must be a pass", Limits{Failures: 1}, "PPPF", Inconclusive, GateRunning},
		{"and be one again", Limits{Failures: 1}, "PPFP", Promote, NonInferior},

		{"count is reached", Limits{Count: 5}, "PPPPP", Promote, NonInferior},
		{"count is not reached", Limits{Count: 5}, "PPPP", Inconclusive, GateRunning},
		{"one is enough if one is wanted", Limits{Count: 1}, "P", Promote, NonInferior},
		{"errors use up no count", Limits{Count: 3}, "PEEPE", Inconclusive, GateRunning},
		{"errors use up no count, and it ends", Limits{Count: 3}, "PEEPP", Promote, NonInferior},
		{"what comes after the count does not matter", Limits{Count: 3}, "PPPFFF", Promote, NonInferior},
		{"count ends in a fail", Limits{Count: 3, Failures: 1}, "PPF", Inconclusive, GateInconclusive},

		{"no fail is allowed", Limits{}, "PPF", Rollback, GateFailed},
		{"one more fail than allowed", Limits{Failures: 2}, "FPFPF", Rollback, GateFailed},
		{"as many fails as allowed", Limits{Failures: 2}, "FPFPP", Promote, NonInferior},
		{"any number of fails", Limits{Failures: -1}, "FFFFFFP", Promote, NonInferior},
		{"fails hold", Limits{Hold: true}, "PPF", Inconclusive, GateInconclusive},
		{"for the rest of the step", Limits{Hold: true}, "PPFPPPPP", Inconclusive, GateInconclusive},

		{"no inconclusive one is allowed", Limits{}, "PPI", Inconclusive, GateInconclusive},
		{"for good", Limits{}, "IPPPP", Inconclusive, GateInconclusive},
		{"as many as allowed", Limits{Inconclusive: 1}, "IPPP", Promote, NonInferior},
		{"one more", Limits{Inconclusive: 1}, "IPIP", Inconclusive, GateInconclusive},

		{"four errors in a row", Limits{}, "PPPEEEE", Inconclusive, GateRunning},
		{"five are Blind", Limits{}, "PPPEEEEE", Blind, Timeout},
		{"until one succeeds", Limits{}, "EEEEEEPPP", Promote, NonInferior},
		{"not in a row", Limits{}, "EEEPEEEPEEP", Promote, NonInferior},
		{"no error is allowed", Limits{Errors: -1}, "PPPE", Blind, Timeout},
		{"an error never aborts", Limits{Failures: 0}, strings.Repeat("E", 50), Blind, Timeout},

		{"passes in a row end it early", Limits{Count: 10, Successes: 2}, "PP", Promote, NonInferior},
		{"not in a row", Limits{Count: 10, Successes: 2, Failures: 5}, "PFPFP", Inconclusive, GateRunning},
		{"an error is in between", Limits{Count: 10, Successes: 2}, "PEP", Inconclusive, GateRunning},
		{"not reached at count", Limits{Count: 4, Successes: 3, Failures: 5}, "PPFP", Inconclusive, GateInconclusive},
		{"not reached without a count", Limits{Successes: 4}, "PPP", Inconclusive, GateRunning},
		{"reached without a count", Limits{Successes: 4}, "PPPPFFF", Promote, NonInferior},
	} {
		cfg := gated(r.limits)
		ms := outcomes(r.seen, r.limits)
		at := moment(1000)
		if len(ms) > 0 {
			at.At = ms[len(ms)-1].At.Add(time.Second)
		}
		b := Batch{Moment: at, Windows: healthy(30), Measurements: ms}
		ev, got := Judge(cfg, Evidence{}, b)
		if got.Verdict != r.verdict || got.Reason != r.reason {
			t.Errorf("%s: %q gave %s (%s: %s), want %s (%s)", r.name, r.seen, got.Verdict, got.Reason, got.Message, r.verdict, r.reason)
		}
		again, after := Judge(cfg, ev, b)
		one := Evidence{}
		for _, m := range append(ms, Measurement{}) { // one by one, the last being none
			one, _ = Judge(cfg, one, Batch{Moment: at, Measurements: []Measurement{m}})
		}
		one, single := Judge(cfg, one, b)
		for what, other := range map[string]struct {
			ev Evidence
			r  Report
		}{"fed twice": {again, after}, "one by one": {one, single}} {
			was, _ := ev.MarshalText()
			is, _ := other.ev.MarshalText()
			if diff := cmp.Diff(string(was), string(is)) + cmp.Diff(got, other.r); diff != "" {
				t.Errorf("%s, %s (-want +got):\n%s", r.name, what, diff)
			}
		}
	}
}

func TestGate_partInTheVerdict(t *testing.T) {
	failing := Batch{Moment: moment(150), Windows: healthy(30), Measurements: outcomes("FF", Limits{})}
	for _, r := range []struct {
		name    string
		cfg     Config
		b       Batch
		verdict Verdict
		reason  Reason
	}{
		{"a dry run decides nothing", gated(Limits{}, func(c *Criterion) { c.DryRun = true }), failing, Promote, NonInferior},
		{"nor does one before its step", gated(Limits{}, func(c *Criterion) { c.FromStep = 2 }), failing, Promote, NonInferior},
		{"one that promotion ignores still fails", gated(Limits{}, func(c *Criterion) { c.Required = false }), failing, Rollback, GateFailed},
		{"but is not waited for", gated(Limits{}, func(c *Criterion) { c.Required = false }),
			Batch{Moment: moment(150), Windows: healthy(30)}, Promote, NonInferior},
		{"it alone promotes nothing", Config{Criteria: gated(Limits{}).Criteria[1:]},
			Batch{Moment: moment(150), Measurements: outcomes("PPP", Limits{})}, Inconclusive, NoPromotionSource},
		{"nothing counts while shifting", gated(Limits{}), Batch{Moment: func() Moment { m := moment(150); m.Settled = time.Time{}; return m }(),
			Measurements: outcomes("FFF", Limits{})}, Inconclusive, GateRunning},
	} {
		_, got := Judge(r.cfg, Evidence{}, r.b)
		if got.Verdict != r.verdict || got.Reason != r.reason {
			t.Errorf("%s: %s (%s: %s), want %s (%s)", r.name, got.Verdict, got.Reason, got.Message, r.verdict, r.reason)
		}
	}
	if got := gated(Limits{}); (&judge{cfg: got}).share(got.Criteria[0]) != 1 {
		t.Error("a condition has a share in the evidence of harm")
	}
}

func TestGate_startsAnewWithAStep(t *testing.T) {
	cfg := gated(Limits{Inconclusive: 0})
	ev, r := Judge(cfg, Evidence{}, Batch{Moment: moment(300), Windows: healthy(30), Measurements: outcomes("PI", Limits{})})
	assertVerdict(t, r, Inconclusive, GateInconclusive)
	next := moment(400)
	next.Step, next.Settled = 2, instant(base+350_000)
	_, r = Judge(cfg, ev, Batch{Moment: next})
	assertVerdict(t, r, Inconclusive, GateRunning)
	if g := r.Metrics[1].Gate; g.Pass != 0 || !g.Next.Equal(next.Settled.Add(10*time.Second)) {
		t.Errorf("gate %+v", g)
	}
}

func TestGate_goesStale(t *testing.T) {
	cfg := gated(Limits{})
	ev, r := Judge(cfg, Evidence{}, Batch{Moment: moment(310), Windows: healthy(62), Measurements: outcomes("PPP", Limits{})})
	assertVerdict(t, r, Promote, NonInferior) // the last at 130, three intervals later
	_, r = Judge(cfg, ev, Batch{Moment: moment(311)})
	assertVerdict(t, r, Inconclusive, GateRunning)
}

func TestQueries_measureWhenItIsTime(t *testing.T) {
	cfg := gated(Limits{Interval: 30 * time.Second, Count: 2})
	asks := func(ev Evidence, sec int64) bool {
		for _, q := range Queries(cfg, ev, moment(sec), Arms{}) {
			if q.Condition != nil {
				if q.Metric != "queue" || q.Condition.Query != "sum(queue_depth)" || !q.Until.Equal(instant(base+(sec-1)*1000)) {
					t.Errorf("asked %+v", q)
				}
				return true
			}
		}
		return false
	}
	collect := func(ev Evidence, sec int64, r Read) Evidence {
		r.Metric = "queue"
		ev, _ = Judge(cfg, ev, Collect(cfg, ev, moment(sec), []Read{r}))
		return ev
	}
	ev := Evidence{}
	if asks(ev, 10) || !asks(ev, 11) {
		t.Error("the first measurement is not 10 s after the weight")
	}
	ev = collect(ev, 11, Read{Measurement: &Measurement{Outcome: OutcomePass, Value: 7}})
	if asks(ev, 40) || !asks(ev, 41) {
		t.Error("the second is not an interval later")
	}
	ev = collect(ev, 41, Read{Err: errors.New("connection refused")})
	if asks(ev, 50) || !asks(ev, 51) {
		t.Error("an error is not measured again after 10 s")
	}
	ev = collect(ev, 51, Read{Measurement: &Measurement{Outcome: OutcomePass, Value: math.NaN()}})
	_, r := Judge(cfg, ev, Batch{Moment: moment(52)})
	want := &Gate{Pass: 1, Errors: 2, Wanted: 2, Outcome: OutcomeError, At: instant(base + 50_000), Next: instant(base + 60_000)}
	if diff := cmp.Diff(want, r.Metrics[1].Gate); diff != "" {
		t.Errorf("gate (-want +got):\n%s", diff)
	}
	ev = collect(ev, 61, Read{Measurement: &Measurement{Outcome: OutcomePass, Value: 7}})
	if asks(ev, 600) {
		t.Error("asked again after the last one")
	}
	if !asks(Evidence{}, 600) || asks(Evidence{}, 5) {
		t.Error("a new attempt does not begin anew")
	}
	shifting := moment(600)
	shifting.Settled = time.Time{}
	for _, q := range Queries(cfg, Evidence{}, shifting, Arms{}) {
		if q.Condition != nil {
			t.Error("measured before every proxy has the weight")
		}
	}
}

func TestGate_saysHowFarItIs(t *testing.T) {
	for _, r := range []struct {
		seen    string
		limits  Limits
		windows int64
		want    string
	}{
		{"PP", Limits{}, 30, "queue: 2 of 3 measurements, 2 passed, last 1"},
		{"", Limits{Count: 5}, 4, "queue: 0 of 5 measurements; needs about 1050 more requests on v2, 1m10s at this rate"},
		{"PPFF", Limits{Failures: 1}, 30, "queue: 4 of 4 measurements, 2 passed, 2 failed, last 1"},
		{"PE", Limits{}, 30, "queue: 1 of 3 measurements, 1 passed, 1 without an answer since"},
		{"EEEEE", Limits{}, 30, "queue: Timeout for 5m"},
	} {
		_, got := Judge(gated(r.limits), Evidence{}, Batch{Moment: moment(310), Windows: healthy(r.windows), Measurements: outcomes(r.seen, r.limits)})
		if text := Clause(got, "v2"); text != r.want {
			t.Errorf("%q: %s, want %s", r.seen, text, r.want)
		}
	}
}
