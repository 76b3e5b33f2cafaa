package analysis

import (
	"errors"
	"slices"

	"gonum.org/v1/gonum/mathext"
)

// The sharp rule sees a broken canary within seconds, where proxies tell its endpoints apart. Of the last one to
// sharpSpan seconds it wants sharpRequests of the canary, two in five of them failed, stable's not one in ten; a chance of
// at most sharpChance that versions which are equally good differ so by accident; and failures at every endpoint: without
// the two that failed most, still one in five. So neither one lost endpoint nor two are taken for the version.
const (
	sharpSpan     = 5 // seconds
	sharpRequests = 20
	sharpChance   = 1e-7
	sharpLeftOut  = 2 // endpoints
	mostTold      = 16
)

// second is what the sharp rule remembers of one.
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

// newSecond keeps what the rule needs of a window. Of very many endpoints, some go together.
func newSecond(w Window) second {
	endpoints := gathered(w.Endpoints)
	if len(endpoints) > mostTold {
		for i := range endpoints {
			endpoints[i].ID %= mostTold
		}
		endpoints = gathered(endpoints)
	}
	s := second{End: millis(w.End), Counts: w.four()}
	for _, e := range endpoints {
		s.Endpoints = append(s.Endpoints, [3]uint64{uint64(e.ID), e.N, min(e.Bad, e.N)})
	}
	return s
}

// sharp takes in a second and gives what fails beyond doubt; nil: nothing.
func (l *loadState) sharp(w Window, rho0 float64) *[4]uint64 {
	l.Newest = append(l.Newest, newSecond(w))
	oldest := millis(w.End) - sharpSpan*1000
	l.Newest = slices.DeleteFunc(l.Newest, func(s second) bool { return s.End <= oldest })
	if over := len(l.Newest) - sharpSpan; over > 0 {
		l.Newest = slices.Delete(l.Newest, 0, over)
	}
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
	if nc < sharpRequests || ns == 0 || 5*xc < 2*nc || 10*xs >= ns {
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
