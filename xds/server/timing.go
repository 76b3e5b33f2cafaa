package server

import (
	"cmp"
	"time"
)

// Timing holds every delay and deadline of the server. A zero field means the default beside it.
type Timing struct {
	FirstMessage  time.Duration // a stream must name its node within; 5 s
	FirstSet      time.Duration // a stream of a new class waits for its first set; 10 s
	Make          time.Duration // a route waits for the clusters it names; 15 s
	Break         time.Duration // a cluster stays after the last route that named it; 15 s
	BreakDeadline time.Duration // and leaves at the latest after; 60 s
	Settle        time.Duration // from an acknowledgement until the workers of the proxy follow it; 1 s
	Lost          time.Duration // a stream that ended while pending counts for; 15 s
	Demand        time.Duration // a class without stream is still served for; 5 min
	Rejected      time.Duration // a rejection is remembered for the node's next stream; 10 min
	Blocked       time.Duration // a stream that cannot be written to makes room for others after; 5 s
	Stall         time.Duration // and is closed after; 30 s
	Calm          time.Duration // changes of endpoints wait for answers to those before; 1 s at most
}

func (t Timing) withDefaults() Timing {
	return Timing{
		FirstMessage:  cmp.Or(t.FirstMessage, 5*time.Second),
		FirstSet:      cmp.Or(t.FirstSet, 10*time.Second),
		Make:          cmp.Or(t.Make, 15*time.Second),
		Break:         cmp.Or(t.Break, 15*time.Second),
		BreakDeadline: cmp.Or(t.BreakDeadline, time.Minute),
		Settle:        cmp.Or(t.Settle, time.Second),
		Lost:          cmp.Or(t.Lost, 15*time.Second),
		Demand:        cmp.Or(t.Demand, 5*time.Minute),
		Rejected:      cmp.Or(t.Rejected, 10*time.Minute),
		Blocked:       cmp.Or(t.Blocked, 5*time.Second),
		Stall:         cmp.Or(t.Stall, 30*time.Second),
		Calm:          cmp.Or(t.Calm, time.Second),
	}
}
