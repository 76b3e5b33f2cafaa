package rollout

import "time"

// Watch turns a monotonic clock into observed time. The zero value has seen nothing, so that a process that has just
// started goes on from the stored clocks and counts no time in which nobody looked.
type Watch struct {
	seq    uint64
	known  bool
	clocks Clocks
	at     time.Duration
}

// Clocks are st's clocks at mono, the reading of a monotonic clock of this process.
func (w Watch) Clocks(st State, mono time.Duration) Clocks {
	if !w.known || w.seq != st.Seq {
		return st.Progress.Clocks
	}
	return w.clocks.Add(max(0, mono-w.at))
}

// Seen is the watch after Step gave st at mono. A state older than one seen before changes nothing.
func (w Watch) Seen(st State, mono time.Duration) Watch {
	if w.known && st.Seq < w.seq {
		return w
	}
	return Watch{seq: st.Seq, known: true, clocks: st.Progress.Clocks, at: mono}
}

// Worth reports that a state without a transition is to be stored, because losing it would lose too much: what the
// proxies confirmed, a clock that was set back, or observed time of at least every.
func Worth(st, next State, every time.Duration) bool {
	was, is := st.Progress.Clocks, next.Progress.Clocks
	return next.Traffic.Settled != st.Traffic.Settled || is.Blind < was.Blind || is.Empty < was.Empty || is.Few < was.Few || is.Phase < was.Phase ||
		is.Phase-was.Phase >= every || is.Step-was.Step >= every || is.Few-was.Few >= every
}
