package analysis

import "time"

// cover takes in what the reads held besides windows: how far they reached, and whether anything is missing.
func (j *judge) cover() {
	for _, cov := range j.b.Coverage {
		m, ok := j.ev.metrics[cov.Metric]
		if !ok || len(m.Clip) == 0 {
			continue
		}
		if m.Length == 0 && cov.Interval > 0 {
			m.Length, m.Interval = cov.Length.Seconds(), cov.Interval.Seconds()
		}
		j.lost = j.lost || cov.Lost
		m.Cursor = max(m.Cursor, millis(cov.Cursor))
		m.Seen[0] = max(m.Seen[0], millis(cov.Newest))
		m.Seen[1] = max(m.Seen[1], millis(cov.LastCanary))
		m.Seen[2] = max(m.Seen[2], millis(cov.LastStable))
		m.Gap = j.silence(m, cov)
		j.ev.metrics[cov.Metric] = m
	}
	for _, g := range j.b.Gaps {
		if m, ok := j.ev.metrics[g.Metric]; ok && len(m.Clip) > 0 {
			m.Gap = &gap{Reason: g.Reason, Since: m.Seen[0]}
			j.ev.metrics[g.Metric] = m
		}
	}
}

// silence says why a metric that could be read has no usable data; nil: it has.
func (j *judge) silence(m metricState, cov Coverage) *gap {
	at := millis(j.b.At)
	switch {
	case !cov.Total:
		return &gap{Reason: NoSeries, Since: m.Seen[0]}
	case at-m.Seen[0] >= m.quiet().Milliseconds():
		return &gap{Reason: Stale, Since: m.Seen[0]}
	case len(cov.Bounds) > MaxBounds:
		return &gap{Reason: TooManySeries, Since: m.unusable(TooManySeries, at)}
	case cov.Bounds != nil && (len(cov.Bounds) == 0 || m.lacks(cov.Bounds)): // the arms have nothing in common
		return &gap{Reason: WrongType, Since: m.unusable(WrongType, at)}
	case j.ev.at == 0: // before the weight settles, silence means nothing
		return nil
	case m.Seen[0]-max(m.Seen[1], m.Seen[2]) >= quietBoth.Milliseconds():
		return &gap{Reason: NoTraffic, Since: max(m.Seen[1], m.Seen[2])}
	case m.Seen[0]-m.Seen[1] >= quietCanary.Milliseconds() && m.Seen[0]-m.Seen[2] < quietCanary.Milliseconds() && !j.ev.share.holds(j.b.At):
		return &gap{Reason: NoCanaryTraffic, Since: m.Seen[1]}
	default:
		return nil
	}
}

// unusable is since when there have been samples that cannot be used for that reason.
func (m metricState) unusable(reason Reason, at int64) int64 {
	if m.Gap != nil && m.Gap.Reason == reason {
		return m.Gap.Since
	}
	return at
}

// quiet is how long a metric may go without a new sample.
func (m metricState) quiet() time.Duration {
	return max(3*seconds(m.Interval), quietSamples)
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// blind finds the required metric that has gone longest without usable data; a single failed read is not yet Blind. Of a
// condition that is for its limit to say.
func (j *judge) blind() (metric string, reason Reason, lasted time.Duration) {
	for _, c := range j.required {
		m := j.ev.metrics[c.Name]
		if m.Gap == nil || j.awaited(c) {
			continue
		}
		dark := j.b.At.Sub(instant(m.Gap.Since))
		if dark >= m.quiet() && dark > lasted {
			metric, reason, lasted = c.Name, m.Gap.Reason, dark
		}
	}
	for _, c := range j.gates() {
		m := j.ev.metrics[c.Name]
		if m.Gap == nil || !c.Required || !m.dark(c.Limits) {
			continue
		}
		if dark := max(j.b.At.Sub(instant(m.Gap.Since)), 0); metric == "" || dark > lasted {
			metric, reason, lasted = c.Name, m.Gap.Reason, dark
		}
	}
	return metric, reason, lasted
}

// partial finds a required metric whose newest read is not whole: it failed, or over 5 % of its targets are missing.
func (j *judge) partial() string {
	for _, c := range j.required {
		for _, g := range j.b.Gaps {
			if g.Metric == c.Name {
				return c.Name
			}
		}
		for _, cov := range j.b.Coverage {
			if cov.Metric == c.Name && 20*cov.Missing > cov.Expected {
				return c.Name
			}
		}
	}
	return ""
}
