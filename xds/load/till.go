package load

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"time"
)

// Till counts what the proxies of this process report, for the process that judges. What it has once handed out for one process
// it never hands out for another, so that nothing is judged twice however often another takes over: what the former one may have
// had is lost to the next. The zero value counts nothing yet.
type Till struct {
	to     string // who was last told; empty: nobody
	idle   bool   // nothing is counted: this process judges
	counts uint64 // that were begun
	of     map[string]*sum
	splits [][]string // clusters that are compared: they are handed out together
	order  uint64     // of handing out
}

// sum is one cluster.
type sum struct {
	now   Sum // without endpoints
	each  map[uint32][2]uint64
	given given
}

// given is what was handed out last.
type given struct {
	Sum
	order uint64 // when; 0: never
}

// Follow says which clusters are counted: those of each split that is not at rest. Clusters of one split are told together, as a
// canary whose failures arrive before the requests of stable looks broken. So are those of splits that have one in common.
func (t *Till) Follow(splits [][]string) {
	next := map[string]*sum{}
	t.splits = nil
	for _, names := range splits {
		together := slices.Clone(names)
		t.splits = slices.DeleteFunc(t.splits, func(before []string) bool {
			if !slices.ContainsFunc(names, func(name string) bool { return slices.Contains(before, name) }) {
				return false
			}
			together = append(together, before...)
			return true
		})
		slices.Sort(together)
		t.splits = append(t.splits, slices.Compact(together))
		for _, name := range names {
			if next[name] != nil {
				continue
			}
			if next[name] = t.of[name]; next[name] == nil {
				next[name] = t.fresh()
			}
		}
	}
	t.of = next
}

func (t *Till) fresh() *sum {
	t.counts++
	return &sum{now: Sum{Count: t.counts}, each: map[uint32][2]uint64{}}
}

// Add counts a report. A count that grows beyond all bounds, as one of a proxy that reports nonsense does, begins anew.
func (t *Till) Add(s Stats) {
	of := t.of[s.Cluster]
	if of == nil || t.idle {
		return
	}
	most := uint64(0)
	for i, n := range [counted]uint64{issued: s.Issued, ok: s.OK, failed: s.Failed, dropped: s.Dropped} {
		of.now.Counts[i] += n
		most = max(most, of.now.Counts[i])
	}
	for _, e := range s.Endpoints {
		most = max(most, of.add(e.ID, e.OK, e.Failed))
	}
	if most > maxTold {
		t.of[s.Cluster] = t.fresh()
	}
}

// add counts what an endpoint answered: by itself once it has failed something, as only that makes it matter. It gives the larger of
// its counts.
func (s *sum) add(id uint32, good, bad uint64) uint64 {
	_, known := s.each[id]
	switch {
	case !known && bad == 0:
		id = 0
	case !known && len(s.each) >= maxEndpoints:
		id %= maxEndpoints
	}
	had := s.each[id]
	s.each[id] = [2]uint64{had[0] + good, had[1] + bad}
	return max(had[0]+good, had[1]+bad)
}

// sum is what it comes to.
func (s *sum) sum() Sum {
	out := s.now
	for _, id := range slices.Sorted(maps.Keys(s.each)) {
		out.Endpoints = append(out.Endpoints, [3]uint64{uint64(id), s.each[id][0], s.each[id][1]})
	}
	return out
}

// Drop forgets what was counted, and counts nothing until another process is told: this one judges it itself.
func (t *Till) Drop() {
	if t.idle {
		return
	}
	for name := range t.of {
		t.of[name] = t.fresh()
	}
	t.to, t.idle = "", true
}

// turn begins to tell another process: what the one before may have had is taken out.
func (t *Till) turn(to string) {
	if t.to == to {
		return
	}
	t.to, t.idle = to, false
	for name, of := range t.of {
		if of.given.order == 0 {
			continue
		}
		next := t.fresh()
		rest, _ := of.sum().less(of.given.Sum)
		next.now.Counts = [counted]uint64{issued: rest.Issued, ok: rest.OK, failed: rest.Failed, dropped: rest.Dropped}
		for _, e := range rest.Endpoints {
			had := next.each[e.ID]
			next.each[e.ID] = [2]uint64{had[0] + e.OK, had[1] + e.Failed}
		}
		t.of[name] = next
	}
}

// Gauge is what a process sees of a cluster now, in no sum.
type Gauge struct {
	InProgress uint64
	Proxies    int
}

// Take hands out a Share for a process, as text of about so many bytes at most: those that were handed out longest ago go first.
// news: it counts more than the one before. An empty text: there is nothing to tell.
func (t *Till) Take(to string, at time.Duration, room int, look func(cluster string) Gauge) (text string, news bool) {
	if to == "" || len(t.of) == 0 {
		return "", false
	}
	t.turn(to)
	t.order++
	out := Share{To: to, At: max(1, at.Milliseconds()), Sum: map[string]Sum{}}
	for _, split := range t.turns() {
		sums := make([]Sum, len(split))
		for i, name := range split {
			sums[i] = t.of[name].sum()
			seen := look(name)
			sums[i].InProgress, sums[i].Proxies = min(seen.InProgress, maxTold), seen.Proxies
			room -= sizeOf(name, sums[i])
		}
		if room < 0 && len(out.Sum) > 0 {
			break
		}
		for i, name := range split {
			of := t.of[name]
			news = news || sums[i].Counts != of.given.Counts || sums[i].Count != of.given.Count
			out.Sum[name], of.given = sums[i], given{sums[i], t.order}
		}
	}
	raw, err := json.Marshal(out)
	if err != nil { // numbers and strings always have a text
		return "", false
	}
	return string(raw), news
}

// turns are the splits, those that were handed out longest ago first.
func (t *Till) turns() [][]string {
	last := func(split []string) (order uint64) {
		for i, name := range split {
			if at := t.of[name].given.order; i == 0 || at < order {
				order = at
			}
		}
		return order
	}
	return slices.SortedFunc(slices.Values(t.splits), func(a, b []string) int {
		return cmp.Or(cmp.Compare(last(a), last(b)), slices.Compare(a, b))
	})
}

// sizeOf is about how long the text of a Sum is.
func sizeOf(name string, s Sum) int { return len(name) + 80 + 24*len(s.Endpoints) }
