package rollout

import (
	"reflect"
	"time"
)

// Tells reports that the transition from prev to next only says something (see the rows that are told): nothing that a
// later decision goes by differs but that it was said, and nobody asked for it. What it says was true at that moment, so
// that whoever looks a moment later, such as a process that was started again, may have nothing to say. No other
// transition depends on when somebody looks.
func Tells(prev, next State) bool {
	if next.Seq == prev.Seq {
		return false
	}
	for _, c := range next.Consumed {
		if !prev.consumed(c.UID) {
			return false
		}
	}
	return reflect.DeepEqual(plain(prev), plain(next))
}

// plain is a state without what any write may change, and without what was said.
func plain(st State) State {
	st.Seq, st.Reason, st.Since = 0, "", time.Time{}
	st.Consumed, st.Traffic.Settled = nil, 0
	st.Progress.Clocks, st.Progress.Told = Clocks{}, nil
	return st
}
