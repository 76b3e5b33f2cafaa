package analysis

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// silent is the coverage of a metric of which neither arm has a series, at the given second.
func silent(metric string) Coverage { return Coverage{Metric: metric} }

// read is the coverage of a metric that was read whole up to the given second.
func read(metric string, sec int64) Coverage {
	at := instant(base + sec*1000)
	return Coverage{Metric: metric, Length: 5 * time.Second, Interval: 5 * time.Second, Total: true, Expected: 1, Newest: at, LastCanary: at, LastStable: at}
}

// played judges healthy errors for that many seconds, a look each 5 s; more says what else a look brings.
func played(cfg Config, seconds int64, more func(sec int64, b *Batch)) (ev Evidence, r Report) {
	for sec := int64(0); sec <= seconds; sec += 5 {
		b := Batch{Moment: moment(sec), Coverage: []Coverage{read("errors", sec)}}
		if sec > 0 {
			b.Windows = []Window{window(sec, 75, 0, 425, uint64(sec/5%4/3))}
		}
		more(sec, &b)
		ev, r = Judge(cfg, ev, b)
	}
	return ev, r
}

// reported is five seconds of load reports up to then, of a healthy canary.
func reported(sec int64) []Window {
	var out []Window
	for s := sec - 4; s <= sec && s > 0; s++ {
		out = append(out, loaded(s, 15, 0, 85, 0))
	}
	return out
}

func TestAbsent_withoutBucketsErrorsPromoteAndItIsSaid(t *testing.T) {
	t.Parallel()
	for name, lacks := range map[string]func(b *Batch){
		"no series": func(b *Batch) { b.Coverage = append(b.Coverage, silent("latency")) },
		"native histograms": func(b *Batch) {
			b.Gaps = append(b.Gaps, Gap{Metric: "latency", Reason: WrongType, Detail: "the answer has native histograms"})
		},
		"too many bounds": func(b *Batch) {
			cov := read("latency", (millis(b.At)-base)/1000)
			for i := range MaxBounds + 1 {
				cov.Bounds = append(cov.Bounds, float64(i))
			}
			b.Coverage = append(b.Coverage, cov)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			more := func(sec int64, b *Batch) { lacks(b); b.Loads = reported(sec) }
			_, r := played(Standard(), 55, more)
			if r.Verdict != Inconclusive || r.Metric != "latency" || len(r.Progress.Without) != 0 {
				t.Errorf("within the minute: %s (%s) of %q, without %v", r.Verdict, r.Reason, r.Metric, r.Progress.Without)
			}
			ev, r := played(Standard(), 120, more)
			assertVerdict(t, r, Promote, NonInferior)
			if len(r.Progress.Without) != 1 || r.Progress.Without[0].Metric != "latency" || !strings.Contains(r.Message, "; not judged: latency (") {
				t.Errorf("without %v, message %q", r.Progress.Without, r.Message)
			}
			shares := map[string]float64{}
			for _, m := range r.Metrics {
				shares[m.Name] = m.Harm.Share
			}
			if want := map[string]float64{"errors": 4.0 / 6, "attempts": 2.0 / 6, "latency": 0}; !cmp.Equal(shares, want) {
				t.Errorf("shares %v, want %v", shares, want)
			}
			for _, q := range Queries(Standard(), ev, moment(125), Arms{}) {
				if q.Metric == "latency" {
					t.Error("what is not judged is still asked for")
				}
			}
		})
	}
}

func TestAbsent_isNotWhatCannotBeReadOrWasAskedFor(t *testing.T) {
	t.Parallel()
	asked := Standard()
	for i := range asked.Criteria {
		asked.Criteria[i].Optional = false
	}
	for name, row := range map[string]struct {
		cfg    Config
		more   func(sec int64, b *Batch)
		reason Reason
		metric string
	}{
		"listed":          {asked, func(_ int64, b *Batch) { b.Coverage = append(b.Coverage, silent("latency")) }, NoSeries, "latency"},
		"failing":         {Standard(), func(_ int64, b *Batch) { b.Gaps = append(b.Gaps, Gap{Metric: "latency", Reason: Timeout}) }, Timeout, "latency"},
		"too large":       {Standard(), unread(TooLarge), TooLarge, "latency"},
		"too many series": {Standard(), unread(TooManySeries), TooManySeries, "latency"},
		"errors too": {Standard(), func(_ int64, b *Batch) {
			b.Windows, b.Coverage = nil, []Coverage{silent("errors"), silent("latency")}
		}, NoSeries, "errors"},
		"spoke once": {Standard(), func(sec int64, b *Batch) {
			if sec == 5 {
				b.Bases = stableHour()
				b.Windows = append(b.Windows, timed(5, [4]uint64{23, 73, 75, 75}, [4]uint64{128, 412, 425, 425}))
			}
			b.Coverage = append(b.Coverage, silent("latency"))
		}, NoSeries, "latency"},
	} {
		_, r := played(row.cfg, 600, func(sec int64, b *Batch) { b.Loads = reported(sec); row.more(sec, b) })
		if r.Verdict != Blind || r.Reason != row.reason || r.Metric != row.metric || len(r.Progress.Without) != 0 {
			t.Errorf("%s: %s (%s) of %q, without %v; want Blind (%s) of %s", name, r.Verdict, r.Reason, r.Metric, r.Progress.Without, row.reason, row.metric)
		}
	}
}

// unread is a look that could not read latency.
func unread(reason Reason) func(int64, *Batch) {
	return func(_ int64, b *Batch) { b.Gaps = append(b.Gaps, Gap{Metric: "latency", Reason: reason}) }
}

// A metric whose samples were read, though no window of it closed, is there: that nobody finds it later is no news of it.
func TestAbsent_isNotWhatWasHeardBefore(t *testing.T) {
	t.Parallel()
	samples := func(sec int64, b *Batch) { b.Coverage = append(b.Coverage, read("latency", sec)) }
	hour := func(sec int64, b *Batch) {
		unread(Timeout)(sec, b)
		b.Bases = stableHour()
	}
	for name, row := range map[string]struct {
		hear   func(sec int64, b *Batch)
		silent int64 // the last second at which nobody holds it
		want   Verdict
	}{
		"samples, one silent look":       {samples, 95, Inconclusive},
		"samples, silent for good":       {samples, 300, Blind},
		"stable's hour, silent for good": {hour, 300, Blind},
	} {
		_, r := played(Standard(), 300, func(sec int64, b *Batch) {
			b.Loads = reported(sec)
			switch {
			case sec <= 20:
				row.hear(sec, b)
			case sec <= 90:
				unread(Timeout)(sec, b)
			case sec <= row.silent:
				b.Coverage = append(b.Coverage, silent("latency"))
			default:
				samples(sec, b)
			}
		})
		if len(r.Progress.Without) != 0 || r.Verdict != row.want || r.Metric != "latency" {
			t.Errorf("%s: %s (%s) of %q, without %v; want %s", name, r.Verdict, r.Reason, r.Metric, r.Progress.Without, row.want)
		}
	}
}

// The minute is one of looks that all found nothing: a failed read begins it anew, and so does a restart. Load reports are no look.
func TestAbsent_takesAMinuteOfLooks(t *testing.T) {
	t.Parallel()
	dark := func(sec int64, b *Batch) {
		b.Loads = reported(sec)
		if sec > 0 && sec <= 90 {
			unread(Timeout)(sec, b)
			return
		}
		b.Coverage = append(b.Coverage, silent("latency"))
	}
	for seconds, left := range map[int64]bool{95: false, 150: false, 155: true} {
		if _, r := played(Standard(), seconds, dark); (len(r.Progress.Without) == 1) != left {
			t.Errorf("at %d s: without %v", seconds, r.Progress.Without)
		}
	}
	ev, _ := played(Standard(), 30, func(sec int64, b *Batch) { b.Coverage = append(b.Coverage, silent("latency")) })
	var back Evidence
	if err := back.UnmarshalText(texts(t, ev)); err != nil {
		t.Fatal(err)
	}
	loads := Batch{Moment: moment(120), Loads: reported(120)}
	stands := loads
	stands.Stands, stands.Coverage = true, []Coverage{read("errors", 30), silent("latency")}
	first := loads
	first.Coverage = stands.Coverage
	for name, row := range map[string]struct {
		ev Evidence
		b  Batch
	}{"load reports": {ev, loads}, "an old look": {ev, stands}, "load reports after a restart": {back, loads}, "first look after a restart": {back, first}} {
		if _, r := Judge(Standard(), row.ev, row.b); len(r.Progress.Without) != 0 {
			t.Errorf("%s: without %v", name, r.Progress.Without)
		}
	}
	if _, r := Judge(Standard(), ev, first); len(r.Progress.Without) != 1 {
		t.Errorf("a look after a minute and a half of silence: without %v", r.Progress.Without)
	}
}

// noServer is a look where no Prometheus is configured.
func noServer(sec int64, b *Batch) {
	b.Windows, b.Coverage, b.Loads = nil, nil, reported(sec)
	for _, metric := range []string{"errors", "latency"} {
		b.Gaps = append(b.Gaps, Gap{Metric: metric, Reason: NotConfigured})
	}
}

func TestAbsent_withoutServerAttemptsStandInForErrors(t *testing.T) {
	t.Parallel()
	_, r := played(Standard(), 120, noServer)
	assertVerdict(t, r, Promote, NonInferior)
	want := []Absence{{"errors", NotConfigured}, {"latency", NotConfigured}}
	if diff := cmp.Diff(want, r.Progress.Without); diff != "" || !r.Metrics[0].Required || r.Metrics[0].Harm.Share != 1 {
		t.Errorf("attempts %+v, without (-want +got):\n%s", r.Metrics[0], diff)
	}
	if want := "no worse after 1m50s; not judged: errors (NotConfigured), latency (NotConfigured)"; r.Message != want {
		t.Errorf("message %q, want %q", r.Message, want)
	}
	ignored := Standard()
	ignored.Criteria[0].Optional = false // as promotion: ignored makes it
	_, r = played(ignored, 120, noServer)
	assertVerdict(t, r, Inconclusive, NoPromotionSource)
	gated := Standard()
	gated.Criteria[1].Required, gated.Criteria[2].Required = false, false // the step names metrics, and these are not among them
	_, r = played(gated, 120, noServer)
	assertVerdict(t, r, Inconclusive, NoPromotionSource)
	_, r = played(Standard(), 120, func(sec int64, b *Batch) { noServer(sec, b); b.Loads = nil })
	assertVerdict(t, r, Blind, Stale) // neither a server nor a report
}

func TestAbsent_withoutServerHarmIsFoundAndTheGuardWatchesAttempts(t *testing.T) {
	t.Parallel()
	_, r := played(Standard(), 60, func(sec int64, b *Batch) {
		noServer(sec, b)
		for i := range b.Loads {
			b.Loads[i].Canary.Bad = 2 // one in eight: no hard rule
		}
	})
	assertVerdict(t, r, Rollback, RegressionDetected)
	ev, _ := played(Standard(), 120, noServer)
	all := moment(125)
	all.Step, all.Weight = 2, 100
	_, r = Judge(Standard(), ev, Batch{Moment: all})
	if r.Guard == nil || r.Guard.Metric != Attempts {
		t.Errorf("guard %+v", r.Guard)
	}
}

// A metric that a step names is needed there, though the attempt goes on without it elsewhere; its share stays gone.
func TestAbsent_whatAStepNamesIsNeeded(t *testing.T) {
	t.Parallel()
	ev, _ := played(Standard(), 120, func(sec int64, b *Batch) {
		b.Coverage = append(b.Coverage, silent("latency"))
		b.Loads = reported(sec)
	})
	named := Standard()
	named.Criteria[1].Required = false
	named.Criteria[2].Optional = false
	next := moment(180)
	next.Step = 2
	_, r := Judge(named, ev, Batch{Moment: next, Coverage: []Coverage{silent("latency"), read("errors", 180)}, Loads: reported(180)})
	assertVerdict(t, r, Blind, NoSeries)
	if m := r.Metrics[2]; m.Harm.Share != 0 || !m.Required || r.Reset {
		t.Errorf("latency %+v, reset %v", m, r.Reset)
	}
}

// Whenever the others get the share of a metric that never spoke, the evidence over them has reached 1/alpha in all cases
// in which the evidence over all had: no rollback comes on top of those that a judge without the metric would make.
func TestAbsent_sharesMoveWithinThePromise(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var ev, never Evidence
		without := Standard()
		without.Criteria = without.Criteria[:2]
		for i := int64(1); i <= 30; i++ {
			w := window(5*i, 75, rapid.Uint64Range(0, 6).Draw(t, "canary"), 425, rapid.Uint64Range(0, 6).Draw(t, "stable"))
			b := Batch{Moment: moment(5 * i), Windows: []Window{w}, Loads: reported(5 * i), Coverage: []Coverage{read("errors", 5*i)}}
			var r, other Report
			never, other = Judge(without, never, b)
			b.Coverage = append(b.Coverage, silent("latency"))
			ev, r = Judge(Standard(), ev, b)
			if r.LogE > math.Log(2) && r.LogE > other.LogE+1e-9 {
				t.Fatalf("window %d: ln E %v, of a judge that never knew of latency %v", i, r.LogE, other.LogE)
			}
			if r.Verdict == Rollback && other.Verdict != Rollback {
				t.Fatalf("window %d: rolled back on top", i)
			}
		}
		if !ev.metrics["latency"].Left {
			t.Fatal("latency was not let go of")
		}
	})
}

func TestAbsent_isRemembered(t *testing.T) {
	t.Parallel()
	ev, r := played(Standard(), 120, noServer)
	text, err := ev.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	var back Evidence
	if err := back.UnmarshalText(text); err != nil {
		t.Fatal(err)
	}
	_, again := Judge(Standard(), back, Batch{Moment: moment(120)})
	if diff := cmp.Diff(r, again); diff != "" {
		t.Errorf("after a restart (-before +after):\n%s", diff)
	}
}
