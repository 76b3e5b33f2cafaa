package analysis

import (
	"fmt"
	"math"
)

// Loads shows what load reports told besides the metric attempts.
type Loads struct {
	Check    TrafficCheck
	LogE     float64 // ln of the evidence that traffic is not where it should be
	Limit    float64 // what LogE must reach for an alarm
	Mismatch bool    // the last alarm holds
	Hard     *Pair   // what failed hard; nil: nothing did
	Minute   *Minute // the last one at this weight; nil: not known yet
}

// Minute is what both arms were sent and finished in the last minute.
type Minute struct {
	Canary Flow
	Stable Flow
}

// Flow counts requests.
type Flow struct {
	Sent     uint64
	Finished uint64
}

func (j *judge) loadsReport() *Loads {
	l := j.ev.loads
	if l.Cursor == 0 {
		return nil
	}
	out := &Loads{
		Check: j.b.Traffic, LogE: j.ev.share.logE(j.b.Traffic), Limit: math.Log(trafficLimit), Mismatch: j.ev.share.holds(j.b.At),
	}
	if l.Hit != nil {
		p := pair(*l.Hit)
		out.Hard = &p
	}
	if m, known := l.lastMinute(); known {
		out.Minute = &Minute{Canary: Flow{Sent: m.Sent[0], Finished: m.Done[0]}, Stable: Flow{Sent: m.Sent[1], Finished: m.Done[1]}}
	}
	return out
}

// loadsClause says with numbers what load reports showed; empty: they did not show it.
func loadsClause(r Report) string {
	l := r.Progress.Loads
	switch {
	case l == nil:
		return ""
	case r.Reason == HardFail && r.Metric == Attempts && l.Hard != nil:
		return fmt.Sprintf("%s %s against %s", Attempts, RateOf(l.Hard.Canary), RateOf(l.Hard.Stable))
	case r.Reason == Stalled && l.Minute != nil:
		return fmt.Sprintf("finished %d of %d requests in 1m, stable %d of %d", l.Minute.Canary.Finished, l.Minute.Canary.Sent, l.Minute.Stable.Finished, l.Minute.Stable.Sent)
	case r.Reason == TrafficMismatch:
		if m := l.Minute; m != nil && m.Canary.Sent+m.Stable.Sent > 0 {
			return fmt.Sprintf("traffic is not divided as asked: %s of the last minute's requests (%d/%d) went to the canary",
				Percent(float64(m.Canary.Sent)/float64(m.Canary.Sent+m.Stable.Sent)), m.Canary.Sent, m.Canary.Sent+m.Stable.Sent)
		}
		return "traffic is not divided as asked"
	}
	return ""
}
