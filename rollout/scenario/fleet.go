package scenario

import (
	"fmt"
	"time"

	"github.com/sluice-dev/sluice/rollout"
)

// fleet is a number of equal proxies. What they are sent are shares; shares that do not change are acknowledged at once.
type fleet struct {
	proxies int
	asked   string // newest shares
	had     string // shares that all have acknowledged
	acked   int
	unsent  bool          // nothing is rendered
	nack    string        // why one rejects the newest shares
	since   time.Duration // by the monotonic clock
}

// render sends what the state says.
func (f *fleet) render(st rollout.State, mono time.Duration) {
	f.unsent = st.Kind.Observe
	asked := shares(st)
	if asked == f.asked {
		return
	}
	if f.acked > 0 && f.acked < f.proxies && f.had != f.asked {
		f.had = "mixed"
	}
	f.asked, f.nack, f.acked = asked, "", 0
	if asked == f.had || f.had == "" {
		f.settle(mono - time.Second)
	}
}

func shares(st rollout.State) string {
	var out string
	switch w := st.Traffic.Weight; w {
	case 0:
		out = st.Stable.Name
	case 100:
		out = st.Canary.Name
	default:
		out = fmt.Sprintf("%s:%d %s:%d %+v", st.Stable.Name, 100-w, st.Canary.Name, w, st.Traffic.Affinity)
	}
	if e := st.Traffic; len(e.Match) > 0 || e.Mirror.Percent > 0 || e.Preview != "" {
		out += fmt.Sprintf(" %s %v %v %s", st.Canary.Name, e.Match, e.Mirror, e.Preview)
	}
	return out
}

// settle makes all proxies have the newest shares since the given time.
func (f *fleet) settle(since time.Duration) {
	f.acked, f.had, f.nack, f.since = f.proxies, f.asked, "", since
}

func (f *fleet) ack(n int, mono time.Duration) {
	if f.acked = min(n, f.proxies); f.acked == f.proxies {
		f.settle(mono)
	}
}

// connect sets the number of proxies. One that connects while nothing is under way gets what the others have.
func (f *fleet) connect(n int) {
	whole := f.acked == f.proxies && f.nack == "" && (f.proxies > 0 || f.had == f.asked)
	f.proxies, f.acked = n, min(f.acked, n)
	if whole {
		f.acked = n
	}
}

func (f *fleet) observe(wall time.Time, mono time.Duration) rollout.Fleet {
	if f.unsent {
		return rollout.Fleet{}
	}
	out := rollout.Fleet{Rendered: true, Connected: f.proxies, Acked: f.acked}
	if f.nack != "" {
		out.Nacked, out.First = 1, f.nack
		return out
	}
	if ago := mono - f.since - time.Second; f.proxies > 0 && f.acked == f.proxies && ago >= 0 {
		out.Settled, out.SettledAt = true, wall.Add(-ago)
	}
	return out
}
