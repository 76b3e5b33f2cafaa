package server

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/sluice-dev/sluice/xds/ir"
	"github.com/sluice-dev/sluice/xds/load"
)

const (
	tellEvery  = time.Second      // as other replicas do, mostly
	tellerGone = 15 * time.Second // without a word
	seesFor    = time.Minute      // what another sees of a cluster that it does not tell of any more
	maxOthers  = 64               // processes whose sums are remembered
)

// exchange is what this replica tells the one that decides of its proxies' reports, and what others tell this one.
type exchange struct {
	begun  time.Time
	open   map[ir.ProxyClass][][]string // clusters of each split that is not at rest
	till   load.Till
	told   time.Time         // another process may have been told all until then
	others map[string]*other // by process
}

// other is a process of another replica. Once it is silent only its sums count: it may come back and go on with them.
type other struct {
	replica string
	silent  bool
	wrong   bool  // complained of
	at      int64 // of its last word, on its own clock
	heard   time.Time
	has     load.Other
}

// open are the clusters of each split that is not at rest.
func (s *set) open() (out [][]string) {
	for _, use := range s.uses {
		if !use.Rest && len(use.Clusters) > 0 {
			out = append(out, use.Clusters)
		}
	}
	return out
}

// count takes over which clusters others are told of; the loads are locked.
func (l *loads) count(of ir.ProxyClass, open [][]string) {
	if slices.EqualFunc(l.shared.open[of], open, slices.Equal) {
		return
	}
	l.shared.open[of] = open
	if len(open) == 0 {
		delete(l.shared.open, of)
	}
	var all [][]string
	for _, splits := range l.shared.open {
		all = append(all, splits...)
	}
	l.shared.till.Follow(all)
}

// refollow tells the book which clusters matter: those that splits give weight to here, and those that others tell of.
func (l *loads) refollow(more ...string) {
	all := more
	for _, names := range l.fed {
		all = append(all, names...)
	}
	for _, o := range l.shared.others {
		if o.silent {
			continue
		}
		all = append(all, o.has.Clusters(l.book, o.heard)...)
	}
	l.book.Follow(all)
}

// slowest is up to when other replicas have told all.
func (s *exchange) slowest(now time.Time) time.Time {
	until := now
	for _, o := range s.others {
		if o.silent {
			continue
		}
		if heard := latest(o.heard, now.Add(-2*tellEvery)); heard.Before(until) {
			until = heard
		}
	}
	return until
}

// Share gives what the proxies of this server have reported of canaries under way, for the process that judges, as text of about
// so many bytes at most; empty: nothing. news: something was counted since the last time. What is handed out for one process is
// never handed out for another, nor judged by this one.
func (s *Server) Share(to string, room int) (text string, news bool) {
	l := s.loads
	l.mu.Lock()
	defer l.mu.Unlock()
	now := s.now() // not before a report that is counted in what is told
	if to == s.process {
		l.shared.till.Drop()
		return "", false
	}
	until := l.reported(now)
	text, news = l.shared.till.Take(to, now.Sub(l.shared.begun), room, func(cluster string) load.Gauge { return l.book.Gauge(cluster, until) })
	if text != "" {
		l.shared.told = now
	}
	return text, news
}

// Hear takes what a process of another replica has shared. What is not for this process does not count, and is the end of what
// counted until it tells this one again; no process is no word any more.
func (s *Server) Hear(replica, process, text string) {
	var share load.Share
	var wrong error
	if text != "" {
		share, wrong = load.ParseShare(text)
	}
	l := s.loads
	l.mu.Lock()
	defer l.mu.Unlock()
	now := s.now() // not before what somebody was shown
	for id, o := range l.shared.others {
		if o.replica == replica && id != process {
			l.hush(o, now)
		}
	}
	if process == "" || text == "" || s.process == "" {
		l.hushed(process, now)
		return
	}
	o, full := l.other(replica, process), false
	if share.To != s.process {
		l.hush(o, now)
	} else if share.At > o.at {
		var unsound error
		full, unsound = l.hear(o, share, now)
		if wrong == nil {
			wrong = unsound
		}
	}
	if full {
		s.log.Warn(noRoom)
	}
	if wrong != nil && !o.wrong {
		o.wrong = true
		s.log.Warn("what another replica tells of its proxies' reports is left out", "reason", replica, "err", wrong)
	}
}

// other finds or makes what is remembered of a process. Of very many, the one that was heard longest ago is forgotten.
func (l *loads) other(replica, process string) *other {
	if o := l.shared.others[process]; o != nil {
		return o
	}
	if len(l.shared.others) >= maxOthers {
		oldest := ""
		for id, o := range l.shared.others {
			if oldest == "" || o.heard.Before(l.shared.others[oldest].heard) {
				oldest = id
			}
		}
		l.hushed(oldest, l.shared.others[oldest].heard)
		delete(l.shared.others, oldest)
	}
	o := &other{replica: replica, silent: true}
	l.shared.others[process] = o
	return o
}

// hear adds what is new. full: there is no room for a cluster, the first time; unsound: a sum is none.
func (l *loads) hear(o *other, share load.Share, now time.Time) (full bool, unsound error) {
	before := o.has.Clusters(l.book, now)
	shown := l.known.shown
	was := l.book.Part(l.known.whole)
	more := o.silent || slices.ContainsFunc(slices.Collect(maps.Keys(share.Sum)), func(name string) bool { return !slices.Contains(before, name) })
	o.at, o.heard, o.silent = share.At, now, false
	if more {
		l.refollow(slices.Collect(maps.Keys(share.Sum))...)
	}
	for name, sum := range share.Sum {
		switch l.book.Take(&o.has, name, sum, shown, now) {
		case load.NoRoom:
			full, l.full = full || !l.full, true
		case load.Unsound:
			unsound = fmt.Errorf("of %q it counts less than before", name)
		case load.Added:
		}
	}
	l.book.Fade(&o.has, now.Add(-seesFor))
	l.known.looked = time.Time{}
	if l.book.Part(l.reported(now)) > was {
		l.watchers.tell()
	}
	return full, unsound
}

// hush takes out what a process sees that does not tell this one any more. What it has told stays, and is remembered.
func (l *loads) hush(o *other, now time.Time) {
	if !o.silent {
		o.silent = true
		l.book.Fade(&o.has, now.Add(time.Hour)) // all
		l.refollow()
	}
}

// hushed is hush of a process that may not be known.
func (l *loads) hushed(process string, now time.Time) {
	if o := l.shared.others[process]; o != nil {
		l.hush(o, now)
	}
}

// hushSilent is hush of those that have not told anything for long.
func (l *loads) hushSilent(now time.Time) {
	for _, o := range l.shared.others {
		if now.Sub(o.heard) >= tellerGone {
			l.hush(o, now)
		}
	}
}

// tellers counts the replicas that tell this one.
func (l *loads) tellers(now time.Time) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hushSilent(now)
	for _, o := range l.shared.others {
		if !o.silent {
			n++
		}
	}
	return n
}
