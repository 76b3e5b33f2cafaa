package model

import (
	"time"

	"github.com/sluice-dev/sluice/rollout"
)

// The bounds of what is told apart.
const (
	maxReplicas = 2
	maxProxies  = 2
	versions    = 4 // stored states that a replica may still be at
	oldest      = 4 // ticks after which nothing gets older: the longest limit by the wall clock
	longest     = 2 // ticks after which all limits of observed time have passed
	tick        = time.Minute
	seqNow      = 1000 // the newest seq and attempt, after each move
	attemptNow  = 100
)

// Bounds says how much may happen in one behaviour, beside time passing and the engine's own steps.
type Bounds struct {
	Replicas  int // 1 or 2
	Proxies   int // 1 or 2
	Commits   int // Git wants another of three versions
	Actions   int // a person asks for something
	Rejects   int // a proxy rejects what it is sent
	Crashes   int // a replica dies, at rest or right after a write
	Takeovers int // another replica becomes leader, or a proxy goes to another replica
	Outages   int // the API server goes away, until it is back
	Empties   int // stable loses its endpoints, until it has them again
	Verbs     []rollout.Verb
	Paused    bool // the spec says so
	Late      bool // what people ask for is about the attempt before the newest
}

// world is one moment: what is stored, who runs, what the proxies have, and what may still happen. It is a value: a move
// makes a new one, and equal ones are the same.
type world struct {
	stored   [versions]id // newest first; 0: there were not so many
	epoch    int8         // of the newest stored state
	lease    int8         // newest epoch that was handed out
	replicas [maxReplicas]replica
	proxies  [maxProxies]proxy
	want     int8 // version that Git asks for
	down     bool // the API server
	empty    bool // stable has no endpoint
	action   ask
	left     budget
	memory   memory
}

// replica is a process.
type replica struct {
	up      bool
	leader  bool // as it believes
	epoch   int8
	lag     int8 // how many stored states it has not seen
	elapsed int8 // ticks it has watched since it saw the state it sees
	brake   int8 // how many attempts ago the one that it brakes was, plus 1; 0: none
	reason  int8 // of the brake, among rollout.FailReasons
}

// proxy is a data plane.
type proxy struct {
	replica  int8 // that it is connected to
	behind   int8 // how many seqs ago what it has was asked for
	share    share
	rejected int8 // how many seqs ago what it rejected was asked for, plus 1; 0: nothing
}

// share is how a proxy divides requests.
type share struct {
	stable, canary int8 // versions; 0: none
	weight         int8
}

// ask is the action that a person has made; at most one waits.
type ask struct {
	id      int8 // 0: there is none
	verb    int8 // among rollout.Verbs
	attempt int8 // how many attempts ago the one that it names was
	said    bool // it has its result
}

// budget is what may still happen.
type budget struct {
	commits, actions, rejects, crashes, takeovers, outages, empties int8
}

// memory is the search's own view of the past, which no rule of the engine looks at.
type memory struct {
	rejected [4]bool           // versions that failed and were not asked for again since
	consumed [4]int8           // how often each action had an effect
	found    [maxReplicas]bool // the replica has found the newest attempt harmful
	watched  int8              // ticks that a leader saw since the phase, or what it waits for, began
	decided  bool              // the newest attempt
	paused   bool              // a person has paused it
}

func (b Bounds) begin(s *states) world {
	w := world{want: 2, epoch: 1, lease: 1}
	w.left = budget{int8(b.Commits), int8(b.Actions), int8(b.Rejects), int8(b.Crashes), int8(b.Takeovers), int8(b.Outages), int8(b.Empties)}
	st := rollout.State{Stable: version(1), Memory: rollout.Memory{Attempted: digest(1)}}
	st.Seq, st.Attempt, st.Phase, st.Since = seqNow, attemptNow, rollout.Idle, start()
	st.Traffic.Seq, st.Traffic.Settled = seqNow, seqNow
	w.stored[0] = s.of(st)
	for i := range b.Replicas {
		w.replicas[i] = replica{up: true, leader: i == 0, epoch: 1}
	}
	for i := range b.Proxies {
		w.proxies[i] = proxy{replica: int8(i % b.Replicas), share: share{stable: 1}}
	}
	return w
}

func start() time.Time { return time.Date(2026, 1, 5, 9, 0, 0, 0, time.UTC) }

func version(n int8) rollout.Version { return rollout.Version{Name: name(n), Digest: digest(n)} }

func name(n int8) string { return [...]string{"", "v1", "v2", "v3"}[n] }

func digest(n int8) string { return [...]string{"", "d1", "d2", "d3"}[n] }

func number(v rollout.Version) int8 {
	switch v.Name {
	case "v1":
		return 1
	case "v2":
		return 2
	case "v3":
		return 3
	}
	return 0
}

// asked is what a state asks of proxies.
func asked(st *rollout.State) share {
	return share{stable: number(st.Stable), canary: number(st.Canary), weight: int8(st.Traffic.Weight)}
}

func (r replica) brakes(st *rollout.State) bool {
	return r.brake > 0 && st.Phase.Open() && st.Attempt == attemptNow-int64(r.brake-1)
}

// spec is what the Rollout says: two steps, and limits of two ticks.
func spec(paused bool) rollout.Spec {
	return rollout.Spec{
		Plan: []rollout.Stage{
			{Name: "half", Weight: 50, Min: tick, Max: 2 * tick, Promotion: rollout.ByEvidence},
			{Name: "all", Weight: 100, Min: tick, Max: 2 * tick, Promotion: rollout.ByEvidence},
		},
		Paused:           paused,
		Analysis:         rollout.AnalysisPolicy{BlindAfter: 2 * tick},
		Capacity:         rollout.Capacity{MinReady: 1, Ratio: 50},
		Convergence:      rollout.Convergence{MinProxies: 1, Timeout: 2 * tick},
		ProgressDeadline: 2 * tick, MaxDuration: oldest * tick, OnDeadline: rollout.PolicyPause,
		Back: rollout.Back{WarmDown: tick},
	}
}
