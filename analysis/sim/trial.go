package sim

import (
	"time"

	"github.com/sluice-dev/sluice/analysis"
)

// settle is how long a sample may take to be stored: a look at a scrape comes that much later.
const settle = time.Second

// Trial is one step at a fixed weight, looked at after every scrape until the horizon or the first Rollback.
type Trial struct {
	World     World
	Config    analysis.Config
	Weight    int           // percent
	Horizon   time.Duration // 0: 30 min
	Endpoints int           // ready canary endpoints, for the hard rules; 0: 3
	Soft      bool          // hard rules off: evidence alone
}

// Outcome is what came of one step, in times since the fault. Never is no time.
type Outcome struct {
	RolledBack time.Duration // end of the window that decided
	Reason     analysis.Reason
	Promotable time.Duration   // first moment before any Rollback at which the verdict was Promote
	Bad        uint64          // bad requests that the canary served until the Rollback or the horizon
	Verdict    analysis.Report // at the end, its numbers for people
}

// Never is the time of what did not happen.
const Never = time.Duration(-1)

// Begin is when every simulated step begins: a fixed time, so that nothing depends on the day.
func Begin() time.Time { return time.Date(2026, 1, 5, 9, 0, 0, 0, time.UTC) }

func (t Trial) withDefaults() Trial {
	or(&t.Horizon, 30*time.Minute)
	or(&t.Endpoints, 3)
	t.World = t.World.withDefaults()
	return t
}

func (t Trial) traffic(seed uint64) *Traffic {
	return New(t.World, seed, Begin(), float64(t.Weight)/100)
}

// Run plays the trial in the world of that seed.
func (t Trial) Run(seed uint64) Outcome {
	t = t.withDefaults()
	traffic := t.traffic(seed)
	out := Outcome{RolledBack: Never, Promotable: Never}
	m := analysis.Moment{Seq: 1, Step: 1, Weight: t.Weight, Endpoints: t.Endpoints, Since: Begin(), Settled: Begin()}
	var ev analysis.Evidence
	for at := Begin(); out.RolledBack == Never && at.Before(Begin().Add(t.Horizon)); {
		at = at.Add(t.World.Scrape.Every)
		traffic.Advance(at, t.Weight)
		m.At = at.Add(settle)
		ev, out.Verdict = Look(traffic, t.Config, ev, m, t.Soft)
		if reason, when, ok := ev.RolledBack(); ok {
			out.RolledBack, out.Reason = when.Sub(Begin())-t.World.Fault, reason
		} else if out.Verdict.Verdict == analysis.Promote && out.Promotable == Never {
			out.Promotable = at.Sub(Begin()) - t.World.Fault
		}
	}
	served, _ := traffic.Served()
	out.Bad = served.Bad
	return out
}

// Look reads what the analysis asks for and judges it, as a controller does.
func Look(t *Traffic, cfg analysis.Config, ev analysis.Evidence, m analysis.Moment, soft bool) (analysis.Evidence, analysis.Report) {
	queries := analysis.Queries(cfg, ev, m, analysis.Arms{})
	reads := make([]analysis.Read, 0, len(queries))
	for _, q := range queries {
		reads = append(reads, t.Read(q))
	}
	batch := analysis.Collect(cfg, ev, m, reads)
	batch.Loads, batch.Soft = t.Loads(m.Seq), soft
	return analysis.Judge(cfg, ev, batch)
}
