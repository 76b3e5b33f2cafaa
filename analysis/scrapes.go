package analysis

import (
	"errors"
	"math"

	"gonum.org/v1/gonum/mathext"
)

// The rule of scrapes sees a broken canary in the counters of Prometheus, which do not tell endpoints apart. Over poolSpan,
// and two scrapes at least, it wants ruleRequests of the canary, two in five of them failed, stable's not one in ten; a
// chance of at most sharpChance that versions which are equally good differ so; and more failures than one lost endpoint
// explains, by poolSigmas. An outage of a few seconds is too short for so long a time. With fewer than three endpoints
// only rule windows count.
const (
	poolSpan   = 10_000 // ms
	poolReach  = 60_000 // ms, within which two scrapes must lie
	poolLeast  = 4_000  // ms between the first and the last of them
	poolSigmas = 2
	mostPooled = 12
)

// scrape is what one showed: canary n and bad, stable n and bad.
type scrape struct {
	End    int64     `json:"t"` // Unix ms
	Counts [4]uint64 `json:"c"`
}

// pool is what the newest scrapes showed, oldest first.
type pool []scrape

func (p pool) check() error {
	if len(p) > mostPooled {
		return errors.New("too many scrapes are remembered")
	}
	for _, s := range p {
		if err := sound(s.Counts); err != nil {
			return err
		}
	}
	return nil
}

// add takes in a scrape that showed requests.
func (p pool) add(w Window) pool {
	now := millis(w.End)
	out := make(pool, 0, len(p)+1)
	for i, s := range p {
		if fresh := s.End > now-poolSpan; fresh || i == len(p)-1 && s.End > now-poolReach {
			out = append(out, s)
		}
	}
	out = append(out, scrape{End: now, Counts: w.four()})
	return out[max(0, len(out)-mostPooled):]
}

// broken reports that what the scrapes show is more than chance and more than one lost endpoint.
func (p pool) broken(endpoints int, rho0 float64) bool {
	if endpoints < 3 {
		return false
	}
	var c [4]uint64
	first := int64(0)
	for _, s := range p {
		if first == 0 && s.Counts[0] > 0 {
			first = s.End
		}
		for i, n := range s.Counts {
			c[i] += n
		}
	}
	nc, xc, ns, xs := c[0], c[1], c[2], c[3]
	if first == 0 || p[len(p)-1].End-first < poolLeast || nc < ruleRequests || ns == 0 || 5*xc < 2*nc || 10*xs >= ns {
		return false
	}
	n, lost := float64(nc), 1/float64(endpoints)
	if float64(xc) < n*lost+poolSigmas*math.Sqrt(n*lost*(1-lost)) {
		return false
	}
	theta := rho0 * n / (rho0*n + float64(ns))
	return mathext.RegIncBeta(float64(xc), float64(xs)+1, theta) <= sharpChance
}
