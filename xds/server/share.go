package server

import (
	"maps"
	"slices"
	"time"

	"github.com/sluice-dev/sluice/xds/ir"
	"github.com/sluice-dev/sluice/xds/load"
)

const (
	tellEvery  = time.Second      // as other replicas do, mostly
	tellerGone = 15 * time.Second // without a word
)

// exchange is what this replica tells the one that decides of its proxies' reports, and what others tell this one.
type exchange struct {
	begun  time.Time
	open   map[ir.ProxyClass][]string // clusters of splits that are not at rest
	till   load.Till
	told   time.Time         // another process may have been told all until then
	others map[string]*other // by name of the replica
}

// other is another replica.
type other struct {
	process string
	at      int64 // of its last word, on its own clock
	heard   time.Time
	has     load.Other
}

// open are the clusters of splits that are not at rest, sorted.
func (s *set) open() []string {
	var out []string
	for _, use := range s.uses {
		if !use.Rest {
			out = append(out, use.Clusters...)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// count takes over which clusters others are told of; the loads are locked.
func (l *loads) count(of ir.ProxyClass, open []string) {
	if slices.Equal(l.shared.open[of], open) {
		return
	}
	l.shared.open[of] = open
	if len(open) == 0 {
		delete(l.shared.open, of)
	}
	var all []string
	for _, names := range l.shared.open {
		all = append(all, names...)
	}
	slices.Sort(all)
	l.shared.till.Follow(slices.Compact(all))
}

// refollow tells the book which clusters matter: those that splits give weight to here, and those that others tell of.
func (l *loads) refollow(more ...string) {
	all := more
	for _, names := range l.fed {
		all = append(all, names...)
	}
	for _, o := range l.shared.others {
		all = append(all, o.has.Clusters(l.book, o.heard)...)
	}
	l.book.Follow(all)
}

// slowest is up to when other replicas have told all.
func (s *exchange) slowest(now time.Time) time.Time {
	until := now
	for _, o := range s.others {
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
	now := s.now()
	l := s.loads
	l.mu.Lock()
	defer l.mu.Unlock()
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
// counted; no process is no word any more.
func (s *Server) Hear(replica, process, text string) {
	var share load.Share
	if text != "" {
		var err error
		if share, err = load.ParseShare(text); err != nil {
			s.log.Warn("what another replica tells of its proxies' reports is left out", "reason", replica, "err", err)
		}
	}
	now := s.now()
	s.loads.mu.Lock()
	defer s.loads.mu.Unlock()
	if process == "" || share.To != s.process || s.process == "" {
		s.loads.unhear(replica)
		return
	}
	s.loads.hear(replica, process, share, now)
}

// hear adds what is new.
func (l *loads) hear(replica, process string, share load.Share, now time.Time) {
	o := l.shared.others[replica]
	switch {
	case o == nil || o.process != process:
		l.unhear(replica)
		o = &other{process: process}
		l.shared.others[replica] = o
	case share.At <= o.at:
		return
	}
	before := o.has.Clusters(l.book, now)
	shown := l.known.shown
	was := l.book.Part(l.known.whole)
	o.at, o.heard = share.At, now
	if slices.ContainsFunc(slices.Collect(maps.Keys(share.Sum)), func(name string) bool { return !slices.Contains(before, name) }) {
		l.refollow(slices.Collect(maps.Keys(share.Sum))...)
	}
	for name, sum := range share.Sum {
		if !l.book.Take(&o.has, name, sum, shown, now) && !l.full {
			l.full = true
		}
	}
	l.known.looked = time.Time{}
	if l.book.Part(l.reported(now)) > was {
		l.watchers.tell()
	}
}

// unhear forgets a replica that does not tell this one any more. What it has told stays.
func (l *loads) unhear(replica string) {
	if o := l.shared.others[replica]; o != nil {
		l.book.Forget(&o.has)
		delete(l.shared.others, replica)
		l.refollow()
	}
}

// tellers counts the replicas that tell this one.
func (l *loads) tellers(now time.Time) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, o := range l.shared.others {
		if now.Sub(o.heard) < tellerGone {
			n++
		}
	}
	return n
}
