package scenario

import (
	"fmt"
	"time"

	"github.com/sluice-dev/sluice/analysis"
	"github.com/sluice-dev/sluice/analysis/sim"
	"github.com/sluice-dev/sluice/rollout"
)

// How simulated proxies and looks behave.
const (
	ackAfter  = 50 * time.Millisecond // a new weight
	lookAfter = time.Second           // a scrape: by then its sample is stored
	unended   = 7 * 24 * time.Hour    // no attempt is played for longer
)

// Simulation is a whole rollout of a canary in a world of traffic: every step with its bake and warm-up, judged by the
// real analysis, moved by the real engine.
type Simulation struct {
	Spec  rollout.Spec
	World sim.World
	// Config is what a stage is judged by.
	Config func(rollout.Stage) analysis.Config
	// Ready endpoints of both versions; the zero value means 10 each.
	Stable, Canary int
}

// Result is what came of one attempt. Times count from its start, those of harm from the fault.
type Result struct {
	Outcome  rollout.Outcome // open: it waits for a person
	Reason   rollout.Reason  // of the last transition, or of the hold
	Ended    time.Duration
	Detected time.Duration // the rollback, from the fault; sim.Never
	Bad      uint64        // bad requests that the canary served
	Lines    []Line
}

// Line is a transition and when it came.
type Line struct {
	At   time.Duration
	Text string
}

// run is a simulation under way.
type run struct {
	*World
	sim     Simulation
	traffic *sim.Traffic
	start   time.Duration // of the attempt
	serving int           // percent that proxies send the canary
	ack     time.Duration // when proxies have what they were asked; 0: they have it
	settle  time.Duration // when they have had it for a second; 0: no need to look
	look    time.Duration // when the next one is due
	result  Result
}

// Run plays the attempt in the world of that seed until it ends or waits for a person.
func (s Simulation) Run(seed uint64) (Result, error) {
	if s.Stable == 0 && s.Canary == 0 {
		s.Stable, s.Canary = 10, 10
	}
	r := &run{World: NewWorld(), sim: s}
	r.spec.take(s.Spec)
	for _, line := range []string{fmt.Sprintf("proxies %d", max(1, s.Spec.Convergence.MinProxies)),
		fmt.Sprintf("ready stable=%d canary=%d", s.Stable, s.Canary), "want v1", "settle"} {
		if err := r.Do(line); err != nil {
			return Result{}, err
		}
	}
	r.Take()
	r.start = r.mono
	r.traffic = sim.New(s.World, seed, r.wall, float64(s.Canary)/float64(s.Canary+s.Stable))
	every := s.World.Scrape.Every
	if every == 0 {
		every = 5 * time.Second
	}
	r.look = r.mono + s.World.Scrape.Phase + lookAfter
	if err := r.Do("want v2"); err != nil {
		return Result{}, err
	}
	for r.note(); !r.over(); r.note() {
		if err := r.forward(every); err != nil {
			return Result{}, fmt.Errorf("seed %d: %w", seed, err)
		}
	}
	return r.conclude(), nil
}

// note keeps what happened, and asks the proxies for what changed.
func (r *run) note() {
	for _, text := range r.Take() {
		r.result.Lines = append(r.result.Lines, Line{At: r.mono - r.start, Text: text})
	}
	if r.ack == 0 && r.fleet.acked < r.fleet.proxies {
		r.ack = r.mono + ackAfter
	}
}

// over reports that nothing more will happen without a person.
func (r *run) over() bool {
	st := r.State()
	if st.Phase.Rest() {
		return r.ack == 0
	}
	switch st.Progress.Hold {
	case rollout.InconclusiveTimeout, rollout.DeadlineExceeded, rollout.PauseStep, rollout.ApprovalNeeded, rollout.InsufficientCapacity:
		return st.Phase == rollout.Holding
	default:
		return r.mono-r.start > unended
	}
}

// forward goes to whatever comes first: an acknowledgement, a look, or what the engine waits for.
func (r *run) forward(every time.Duration) error {
	to := r.look
	for _, due := range []time.Duration{r.ack, r.settle} {
		if due != 0 {
			to = min(to, due)
		}
	}
	if wake := r.wake.Sub(r.wall); !r.wake.IsZero() && wake > 0 {
		to = min(to, r.mono+wake)
	}
	r.traffic.Advance(r.wall.Add(to-r.mono), r.serving)
	r.wall, r.mono = r.wall.Add(to-r.mono), to
	if r.settle == r.mono {
		r.settle = 0
	}
	if r.ack == r.mono {
		r.ack, r.settle = 0, r.mono+time.Second
		r.fleet.ack(r.fleet.proxies, r.mono)
		r.serving = sent(r.State())
	}
	if r.look == r.mono {
		r.look += every
		r.judgeNow()
	}
	return r.run()
}

// sent is the part of the traffic that goes to v2.
func sent(st rollout.State) int {
	if st.Stable.Name == "v2" {
		return 100
	}
	return st.Traffic.Weight
}

// judgeNow reads and judges as a controller does.
func (r *run) judgeNow() {
	st := r.State()
	if !st.Phase.Open() || st.Phase == rollout.Preparing || st.Traffic.Weight == 0 {
		r.traffic.Loads(0) // reports of which nothing is asked
		return
	}
	m := analysis.Moment{At: r.wall, Seq: st.Traffic.Seq, Step: st.Traffic.Step, Weight: st.Traffic.Weight, Endpoints: r.sim.Canary,
		Since: st.Since, Settled: st.Progress.SettledAt}
	if !m.Settled.IsZero() {
		m.Since = m.Settled
	}
	r.judge.evidence, r.judge.given = sim.Look(r.traffic, r.sim.Config(st.Stage()), r.judge.evidence, m, false)
	r.judge.given.Message = analysis.Clause(r.judge.given, st.Canary.Name)
}

// conclude says what came of it.
func (r *run) conclude() Result {
	out, st := r.result, r.State()
	out.Outcome, out.Reason, out.Detected, out.Ended = st.Outcome, st.Reason, sim.Never, r.mono-r.start
	if st.Phase == rollout.Holding {
		out.Reason = st.Progress.Hold
	}
	for i := len(r.store) - 1; i > 0; i-- {
		if now, was := r.store[i], r.store[i-1]; now.Phase == rollout.RollingBack && was.Phase != rollout.RollingBack {
			out.Reason = now.Reason
			out.Detected = now.Since.Sub(r.wall.Add(r.start-r.mono)) - r.sim.World.Fault
			break
		}
	}
	served, _ := r.traffic.Served()
	out.Bad = served.Bad
	return out
}
