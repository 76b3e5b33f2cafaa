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

// Seen is the watch after Step gave st at mono. Seen again for a state of the same sequence number it goes on.
func (w Watch) Seen(st State, mono time.Duration) Watch {
	return Watch{seq: st.Seq, known: true, clocks: st.Progress.Clocks, at: mono}
}
