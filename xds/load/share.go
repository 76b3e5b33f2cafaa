package load

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/sluice-dev/sluice/xds/ir"
)

// Share is what the proxies of one process have reported, for another one that judges it. It holds sums that only grow, so that
// of several Shares the newest is enough, and one that is read twice adds nothing.
type Share struct {
	To  string         `json:"to"`           // the process that it is for, and nobody else
	At  int64          `json:"at"`           // ms for which its writer has counted; grows from Share to Share
	Sum map[string]Sum `json:"of,omitempty"` // by cluster
}

// Sum is what was reported of one cluster since counting began.
type Sum struct {
	Count      uint64          `json:"n"`           // number of the count; one with another number began anew at zero
	Counts     [counted]uint64 `json:"c"`           // issued, ok, failed, dropped
	InProgress uint64          `json:"w,omitempty"` // when last looked
	Proxies    int             `json:"p,omitempty"` // that reported it, when last looked
	Endpoints  [][3]uint64     `json:"e,omitempty"` // id, ok and failed of each that has failed something; with the id 0 of all others
}

// Bounds of a Share that is read, whoever wrote it.
const (
	maxShared  = 5000    // clusters
	maxTold    = 1 << 48 // requests
	maxFailing = 2 * maxEndpoints
)

// ParseShare reads a Share as Till writes it. Sums that are out of bounds are left out and are an error, beside which the others stand.
func ParseShare(text string) (Share, error) {
	var out Share
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		return Share{}, fmt.Errorf("reading what another replica tells: %w", err)
	}
	if out.To == "" || out.At <= 0 || len(out.Sum) > maxShared {
		return Share{}, fmt.Errorf("reading what another replica tells: for %q after %d ms, of %d clusters", out.To, out.At, len(out.Sum))
	}
	var wrong error
	for name, s := range out.Sum {
		if err := s.check(); err != nil {
			wrong = fmt.Errorf("reading what another replica tells of %q: %w", name, err)
			delete(out.Sum, name)
		}
	}
	return out, wrong
}

func (s Sum) check() error {
	for _, n := range s.Counts {
		if n > maxTold {
			return fmt.Errorf("%d requests", n)
		}
	}
	if s.InProgress > maxTold || s.Proxies < 0 || s.Proxies > maxTold || len(s.Endpoints) > maxFailing+1 {
		return fmt.Errorf("%d in progress, %d proxies, %d endpoints", s.InProgress, s.Proxies, len(s.Endpoints))
	}
	for i, e := range s.Endpoints {
		if e[0] > 1<<32-1 || e[1] > maxTold || e[2] > maxTold || i > 0 && e[0] <= s.Endpoints[i-1][0] {
			return errors.New("its endpoints are out of bounds or order")
		}
	}
	return nil
}

// less is what was added since an earlier Sum of the same count; of another count everything was. It reports false where
// something shrank, which no count does.
func (s Sum) less(before Sum) (Stats, bool) {
	if s.Count != before.Count {
		before = Sum{}
	}
	for i := range s.Counts {
		if s.Counts[i] < before.Counts[i] {
			return Stats{}, false
		}
	}
	out := Stats{
		Issued: s.Counts[issued] - before.Counts[issued], OK: s.Counts[ok] - before.Counts[ok],
		Failed: s.Counts[failed] - before.Counts[failed], Dropped: s.Counts[dropped] - before.Counts[dropped],
	}
	had := make(map[uint64][3]uint64, len(before.Endpoints))
	for _, e := range before.Endpoints {
		had[e[0]] = e
	}
	for _, e := range s.Endpoints {
		was := had[e[0]]
		if e[1] < was[1] || e[2] < was[2] {
			return Stats{}, false
		}
		if e[1]+e[2] > was[1]+was[2] {
			out.Endpoints = append(out.Endpoints, ir.EndpointLoad{ID: uint32(e[0]), OK: e[1] - was[1], Failed: e[2] - was[2]})
		}
	}
	return out, true
}
