package controller

import (
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/gitsync"
)

const (
	defaultInterval = 30 * time.Second
	defaultTimeout  = 60 * time.Second
	afterConflict   = 10 * time.Millisecond
	betweenHints    = time.Second // two looks that webhooks and annotations ask for
	resync          = 10 * time.Minute
	listedFor       = 10 * time.Second // how long a listing proves that a commit is at its ref
	firstBackoff    = 5 * time.Second
	longestBackoff  = 5 * time.Minute
	firstRetry      = time.Second // of a unit
	longestRetry    = time.Minute
	spreadOver      = 10 * time.Second // first looks after a start
	tolerated       = 3                // failures in a row until Ready says so
	toleratedFor    = time.Minute
)

// memory is what a process knows of a Source besides its status. Losing it costs a comparison of everything.
type memory struct {
	timetable
	uid        types.UID
	generation int64
	fetching   streak
	retries    int // of applying, in a row
	remembered

	revision *revision                   // last rendered
	settled  bool                        // that revision is applied, nothing is held, waiting or withheld
	waits    atomic.Bool                 // a Rollout's status may let the revision go on; true while a pass reads Rollouts, so that no change is missed
	applied  map[gitsync.ID]gitsync.Item // what was applied last of each object
	units    retries
	drift    drift
}

// timetable is when a Source was looked at and will be.
type timetable struct {
	begun    bool // the first look is planned
	lastLook time.Time
	next     time.Time // look by the clock
	again    time.Time // when applying is tried again without a look; zero: nothing is to be tried again
	resync   time.Time // when everything is to be compared with the cluster again
	blocked  time.Time // since when it waits for a Source that it depends on; zero: it does not
	success  time.Time // when the remote was last reached and nothing was left to do; zero: nothing is known
	pushed   time.Time // when we heard of the push that is being looked for or applied; zero: of none
	awaited  awaited

	preemption preemption
}

// remembered is what it knows of the remote, and of what was written back to it.
type remembered struct {
	echo    echo
	history history
	tally   gitsync.Tally // of the commit at hand
	secrets secrets
}

// streak counts failures in a row.
type streak struct {
	failures int
	since    time.Time
}

// awaited is a commit that a webhook has announced, and the looks that did not show it.
type awaited struct {
	commit string
	looks  int
}

// revision is a rendered commit.
type revision struct {
	commit   gitsync.Commit
	key      string // of the options that it was rendered with
	build    gitsync.Build
	open     bool // it may be checked otherwise another time: custom kinds are defined in the cluster
	listedAt time.Time
	behind   bool              // the ref leads to a newer commit: nothing is pruned for this one
	values   gitsync.Variables // that were put into it
}

// interval spreads the next look over 0.9 to 1.1 of the wanted time.
func interval(wanted time.Duration, u float64) time.Duration {
	return time.Duration(float64(wanted) * (0.9 + 0.2*u))
}

// begin spreads the first looks of a process at Sources that were applied before over some seconds; a new Source, or one
// whose spec has changed, is looked at at once.
func (p *pass) begin() {
	m, src := p.memory, p.src
	if m.begun {
		return
	}
	m.begun = true
	if src.Status.LastAppliedRevision != "" && src.Status.ObservedGeneration == src.Generation {
		m.generation = src.Generation
		m.next = p.started.Add(time.Duration(float64(spreadOver) * p.controller.config.Random()))
	}
}

// full reports whether everything is to be compared with the cluster.
func (p *pass) full() bool { return !p.started.Before(p.memory.resync) }

// compared notes that everything was compared with the cluster, and when that is due again.
func (p *pass) compared() {
	c := p.controller.config
	p.memory.resync = p.started.Add(interval(c.Resync, c.Random()))
}

// backoff gives the wait after the n-th failure in a row: doubling, and what the server asked for if that is longer.
// Trouble that waiting does not mend is looked at rarely.
func backoff(n int, reason gitsync.Reason, asked time.Duration, u float64) time.Duration {
	wait := longestBackoff
	if !reason.Stalled() && reason != gitsync.AuthFailed {
		wait = doubled(firstBackoff, n, longestBackoff)
	}
	return max(time.Duration(float64(wait)*(0.8+0.4*u)), asked)
}

// doubled gives first·2^(n-1), at most longest.
func doubled(first time.Duration, n int, longest time.Duration) time.Duration {
	wait := first
	for i := 1; i < n && wait < longest; i++ {
		wait *= 2
	}
	return min(wait, longest)
}

// announced gives the wait until a commit that a webhook has named is looked for again; false when it was looked for
// often enough.
func announced(looks int) (time.Duration, bool) {
	if looks < 1 || looks > 3 {
		return 0, false
	}
	return time.Second << (looks - 1), true
}

// grave reports whether Ready must say that a failure is going on.
func (m *memory) grave(reason gitsync.Reason, now time.Time) bool {
	return reason.Stalled() || reason == gitsync.AuthFailed || m.fetching.failures >= tolerated || now.Sub(m.fetching.since) >= toleratedFor
}
