package analysis

import (
	"fmt"
	"time"
)

// A rule window closes once it is ruleSpan long and holds ruleRequests of the canary's requests, and is thrown away
// when it has not after ruleLimit.
const (
	ruleSpan     = 5 * time.Second
	ruleLimit    = 60 * time.Second
	ruleRequests = 30
)

// rulesState is the memory of the hard rules.
type rulesState struct {
	Cursor int64     `json:"cur"`            // end of the last increments read, Unix ms
	Start  int64     `json:"from,omitempty"` // of the open rule window, Unix ms; 0: none is open
	Open   [4]uint64 `json:"open"`           // its counts: canary n and bad, stable n and bad
	Hard   int       `json:"hard,omitempty"` // hard windows in a row
	Pool   pool      `json:"pool,omitempty"` // of Prometheus' counters
}

// scraped takes in what a scrape showed, as fold does, and looks at the newest ones together.
func (r *rulesState) scraped(w Window, endpoints int, rho0 float64) bool {
	if millis(w.Start) < r.Cursor {
		return false
	}
	r.Pool = r.Pool.add(w)
	return r.fold(w, endpoints) || r.Pool.broken(endpoints, rho0)
}

func (r rulesState) check() error {
	if r.Hard < 0 || r.Open[1] > r.Open[0] || r.Open[3] > r.Open[2] {
		return fmt.Errorf("rule window %v, %d hard", r.Open, r.Hard)
	}
	return r.Pool.check()
}

// fold takes increments in and reports whether the canary fails beyond doubt: half of its requests, while stable's
// fail at most one in ten. With fewer than three endpoints that may be one lost pod, so three windows must agree.
func (r *rulesState) fold(w Window, endpoints int) bool {
	if millis(w.Start) < r.Cursor {
		return false
	}
	r.Cursor = millis(w.End)
	if r.Start == 0 {
		if w.Canary.N == 0 {
			return false
		}
		r.Start = millis(w.Start)
	}
	for i, n := range [4]uint64{w.Canary.N, w.Canary.Bad, w.Stable.N, w.Stable.Bad} {
		r.Open[i] += n
	}
	open := instant(r.Cursor).Sub(instant(r.Start))
	if open < ruleSpan || r.Open[0] < ruleRequests {
		if open >= ruleLimit {
			r.Start, r.Open = 0, [4]uint64{}
		}
		return false
	}
	if hardFail(pair(r.Open)) {
		r.Hard++
	} else {
		r.Hard = 0
	}
	r.Start, r.Open = 0, [4]uint64{}
	return r.Hard >= 3 || (r.Hard >= 1 && endpoints >= 3)
}

func hardFail(p Pair) bool {
	return p.Canary.N >= ruleRequests &&
		2*p.Canary.Bad >= p.Canary.N &&
		10*p.Stable.Bad < max(p.Stable.N, 1)
}
