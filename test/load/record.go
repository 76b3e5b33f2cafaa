package load

import (
	"slices"
	"sync"
	"time"
)

// Broken is the status of a request that got no whole answer.
const Broken = 0

// Answer is what became of one request. The times carry the monotonic clock.
type Answer struct {
	Due     time.Time // when it was to be sent
	Start   time.Time // when it was sent
	End     time.Time // when the answer was complete, or broke off
	Version string    // who made the answer; empty: not a version of the service
	Status  int       // HTTP status, or Broken
}

// Failed reports a 4xx, a 5xx or a broken answer.
func (a Answer) Failed() bool { return a.Status == Broken || a.Status >= 400 }

// entry is an Answer in 32 bytes: a demo keeps some hundred thousand.
type entry struct {
	due, start, end int64 // since the record's base
	version         uint8
	status          int16
}

// Record holds answers in the order in which they came. Its methods may be called from any goroutine.
type Record struct {
	base time.Time

	mu       sync.Mutex // guards what follows
	entries  []entry
	versions []string
}

// NewRecord is an empty record.
func NewRecord() *Record { return &Record{base: time.Now(), versions: []string{""}} }

// Add appends an answer. More than 255 different versions count as none.
func (r *Record) Add(a Answer) {
	e := entry{due: int64(a.Due.Sub(r.base)), start: int64(a.Start.Sub(r.base)), end: int64(a.End.Sub(r.base)), status: int16(a.Status)}
	r.mu.Lock()
	defer r.mu.Unlock()
	i := slices.Index(r.versions, a.Version)
	if i < 0 && len(r.versions) < 256 {
		i, r.versions = len(r.versions), append(r.versions, a.Version)
	}
	e.version = uint8(max(i, 0))
	r.entries = append(r.entries, e)
}

// Tally counts requests.
type Tally struct {
	Total    int
	Versions map[string]Count // "" for answers that no version made
}

// Count is the part of one version.
type Count struct {
	Requests int
	Failed   int
	Status   map[int]int
}

// Share is a version's part of all requests; 0 of none.
func (t Tally) Share(version string) float64 {
	if t.Total == 0 {
		return 0
	}
	return float64(t.Versions[version].Requests) / float64(t.Total)
}

// Requests is the number that a version answered.
func (t Tally) Requests(version string) int { return t.Versions[version].Requests }

// Failed is the number of a version's answers that failed.
func (t Tally) Failed(version string) int { return t.Versions[version].Failed }

// FailedBut counts the failures that the version did not make: those of others, of proxies, and broken ones.
func (t Tally) FailedBut(version string) int {
	n := 0
	for name, c := range t.Versions {
		if name != version {
			n += c.Failed
		}
	}
	return n
}

// Tally counts the answered requests that were sent in [from, to). A zero to has no end.
func (r *Record) Tally(from, to time.Time) Tally {
	t := Tally{Versions: map[string]Count{}}
	r.each(from, to, func(e entry, version string) {
		t.Total++
		c := t.Versions[version]
		if c.Status == nil {
			c.Status = map[int]int{}
		}
		c.Requests++
		c.Status[int(e.status)]++
		if e.status == Broken || e.status >= 400 {
			c.Failed++
		}
		t.Versions[version] = c
	})
	return t
}

// First gives the request, of those in [from, to) that pass keep, that was sent first.
func (r *Record) First(from, to time.Time, keep func(Answer) bool) (Answer, bool) {
	return r.extreme(from, to, keep, func(a, b Answer) bool { return a.Start.Before(b.Start) })
}

// Last gives the request, of those in [from, to) that pass keep, that was sent last.
func (r *Record) Last(from, to time.Time, keep func(Answer) bool) (Answer, bool) {
	return r.extreme(from, to, keep, func(a, b Answer) bool { return a.Start.After(b.Start) })
}

func (r *Record) extreme(from, to time.Time, keep func(Answer) bool, better func(a, b Answer) bool) (best Answer, found bool) {
	r.each(from, to, func(e entry, version string) {
		a := r.answer(e, version)
		if keep(a) && (!found || better(a, best)) {
			best, found = a, true
		}
	})
	return best, found
}

// Of keeps the answers of a version.
func Of(version string) func(Answer) bool {
	return func(a Answer) bool { return a.Version == version }
}

// FailedOf keeps the failed answers of a version.
func FailedOf(version string) func(Answer) bool {
	return func(a Answer) bool { return a.Version == version && a.Failed() }
}

// Latency gives the q-quantile (0 to 1) of the time from due to answered, of the requests sent in [from, to).
func (r *Record) Latency(q float64, from, to time.Time) time.Duration {
	var all []int64
	r.each(from, to, func(e entry, _ string) {
		all = append(all, e.end-e.due)
	})
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return time.Duration(all[min(len(all)-1, max(0, int(q*float64(len(all)))))])
}

func (r *Record) answer(e entry, version string) Answer {
	return Answer{Due: r.base.Add(time.Duration(e.due)), Start: r.base.Add(time.Duration(e.start)),
		End: r.base.Add(time.Duration(e.end)), Version: version, Status: int(e.status)}
}

// each calls f, which must not call back, for the requests sent in [from, to).
func (r *Record) each(from, to time.Time, f func(e entry, version string)) {
	first, end := int64(from.Sub(r.base)), int64(to.Sub(r.base))
	if from.IsZero() {
		first = 0
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.entries {
		if e.start >= first && (to.IsZero() || e.start < end) {
			f(e, r.versions[e.version])
		}
	}
}
