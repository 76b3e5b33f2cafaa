package server

import (
	"testing"
	"time"
)

// TestLoads_areWholeWhenAllHaveReported: a part of a second is handed out when the last of the proxies has reported it, and not
// waited for longer than two intervals.
func TestLoads_areWholeWhenAllHaveReported(t *testing.T) {
	t.Parallel()
	begin := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	at := func(ms int) time.Time { return begin.Add(time.Duration(ms) * time.Millisecond) }
	l := newLoads(begin, time.Second)
	first, second := &reporter{who: identity{id: "n1"}, rhythm: rhythm{every: time.Second}}, &reporter{who: identity{id: "n2"}, rhythm: rhythm{every: time.Second}}
	l.join(first)
	l.join(second)
	news := l.watchers.next()
	heard := func(rp *reporter, ms int) (whole time.Time, tells bool) {
		l.heard(rp, at(ms))
		select {
		case <-news:
			tells, news = true, l.watchers.next()
		default:
		}
		return l.reported(at(ms)), tells
	}
	for _, c := range []struct {
		of    *reporter
		ms    int
		whole int
		tells bool
	}{
		{first, 5100, 3100, true},  // the other has not reported yet: nobody waits longer than 2 s
		{second, 5400, 5100, true}, // now all is known up to the first one's report
		{first, 6100, 5400, true},  // another quarter is whole
		{second, 6400, 6100, true},
		{first, 7100, 6400, true},
		{first, 8100, 6400, false}, // the other is late
		{first, 9100, 7100, true},  // too late
		{second, 9400, 9100, true}, // and back
		{second, 10400, 9100, false},
	} {
		whole, tells := heard(c.of, c.ms)
		if !whole.Equal(at(c.whole)) || tells != c.tells {
			t.Errorf("at %d: whole up to %s, told %v; want %d, %v", c.ms, whole.Sub(begin), tells, c.whole, c.tells)
		}
	}
	l.leave(first)
	if whole, tells := heard(second, 11400); !whole.Equal(at(11400)) || !tells {
		t.Errorf("alone: whole up to %s, told %v", whole.Sub(begin), tells)
	}
}
