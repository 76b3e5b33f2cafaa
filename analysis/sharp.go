package analysis

import (
	"errors"
	"slices"

	"gonum.org/v1/gonum/mathext"
)

// The sharp rule sees a broken canary within seconds, where proxies tell its endpoints apart. Of the newest reports, up to
// sharpSpan seconds, it wants sharpRequests of the canary, a third of them failed, stable's not one in ten; a chance of at most
// sharpChance that versions which are equally good differ so by accident; and failures at every endpoint: without the two
// that failed most, still one in five. So neither one lost endpoint nor two are taken for the version.
const (
	sharpSpan     = 5 // seconds
	sharpRequests = 20
	sharpChance   = 1e-7
	sharpLeftOut  = 2 // endpoints
	mostTold      = 16
	mostNewest    = sharpSpan + 4 // the newest second in parts
)

// second is what the sharp rule remembers of one, or of a part of the newest one.
type second struct {
	End       int64       `json:"t"`           // Unix ms
	Counts    [4]uint64   `json:"c"`           // canary n and bad, stable n and bad
	Endpoints [][3]uint64 `json:"e,omitempty"` // of the canary: id, n and bad, by id
}

func (s second) check() error {
	for _, e := range s.Endpoints {
		if e[2] > e[1] {
			return errors.New("more bad requests of an endpoint than requests")
		}
	}
	if len(s.Endpoints) > mostTold {
		return errors.New("too many endpoints")
	}
	return sound(s.Counts)
}

// newSecond keeps what the rule needs of a window.
func newSecond(w Window) second {
	return second{End: millis(w.End), Counts: w.four()}.told(w.Endpoints)
}

// told is the second with these endpoints. Of very many, some go together.
func (s second) told(all []Endpoint) second {
	endpoints := gathered(all)
	if len(endpoints) > mostTold {
		for i := range endpoints {
			endpoints[i].ID %= mostTold
		}
		endpoints = gathered(endpoints)
	}
	s.Endpoints = nil
	for _, e := range endpoints {
		s.Endpoints = append(s.Endpoints, [3]uint64{uint64(e.ID), e.N, min(e.Bad, e.N)})
	}
	return s
}

// whole is the number of the second that it belongs to.
func (s second) whole() int64 { return (s.End - 1) / 1000 }

// remember takes in a part of a second. Those of the seconds before become one.
func (l *loadState) remember(now second) {
	var kept []second
	for _, s := range l.Newest {
		n := len(kept)
		switch {
		case s.End <= now.End-sharpSpan*1000:
		case n > 0 && kept[n-1].whole() == s.whole() && s.whole() != now.whole():
			kept[n-1] = kept[n-1].plus(s)
		default:
			kept = append(kept, s)
		}
	}
	kept = append(kept, now)
	l.Newest = kept[max(0, len(kept)-mostNewest):]
}

// plus is both, in one.
func (s second) plus(later second) second {
	s.End = later.End
	for i, n := range later.Counts {
		s.Counts[i] += n
	}
	var all []Endpoint
	for _, of := range [][][3]uint64{s.Endpoints, later.Endpoints} {
		for _, e := range of {
			all = append(all, Endpoint{ID: uint32(e[0]), N: e[1], Bad: e[2]})
		}
	}
	return s.told(all)
}

// sharp takes in a second or a part of one and gives what fails beyond doubt; nil: nothing.
func (l *loadState) sharp(w Window, rho0 float64) *[4]uint64 {
	l.remember(newSecond(w))
	var sum [4]uint64
	endpoints := map[uint64][2]uint64{}
	for _, s := range slices.Backward(l.Newest) {
		for i, n := range s.Counts {
			sum[i] += n
		}
		for _, e := range s.Endpoints {
			have := endpoints[e[0]]
			endpoints[e[0]] = [2]uint64{have[0] + e[1], have[1] + e[2]}
		}
		if broken(sum, rho0) && everywhere(endpoints) {
			return &sum
		}
	}
	return nil
}

// broken reports that the canary fails much, stable does not, and chance cannot be the reason.
func broken(c [4]uint64, rho0 float64) bool {
	nc, xc, ns, xs := c[0], c[1], c[2], c[3]
	if nc < sharpRequests || ns == 0 || 3*xc < nc || 10*xs >= ns {
		return false
	}
	theta := rho0 * float64(nc) / (rho0*float64(nc) + float64(ns))
	return mathext.RegIncBeta(float64(xc), float64(xs)+1, theta) <= sharpChance
}

// everywhere reports that at least three endpoints fail, even without those that fail most.
func everywhere(endpoints map[uint64][2]uint64) bool {
	all := make([][2]uint64, 0, len(endpoints))
	for _, e := range endpoints {
		all = append(all, e)
	}
	if len(all) <= sharpLeftOut {
		return false
	}
	slices.SortFunc(all, func(a, b [2]uint64) int {
		if a[1] != b[1] {
			return int(b[1]) - int(a[1])
		}
		return int(a[0]) - int(b[0])
	})
	var n, bad uint64
	for _, e := range all[sharpLeftOut:] {
		n, bad = n+e[0], bad+e[1]
	}
	return bad >= 2 && 5*bad >= n
}
