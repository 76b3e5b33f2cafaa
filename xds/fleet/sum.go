package fleet

import (
	"cmp"
	"slices"
	"time"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/xds/ir"
)

// Complete adds to a report the splits that a replica has rendered and no proxy of it asks for: whoever adds reports up
// cannot tell them else from splits that the replica has not seen yet. While some proxy is served nothing yet, it may be
// the one that would ask.
func Complete(r ir.Report, rendered []ir.SplitUse) ir.Report {
	type name struct{ key, uid string }
	known := make(map[name]bool, len(r.Splits))
	for _, s := range r.Splits {
		known[name{s.Use.Key, s.Use.UID}] = true
	}
	out := slices.Clone(r.Splits)
	for _, use := range rendered {
		if !known[name{use.Key, use.UID}] {
			out = append(out, ir.SplitReport{Use: use, Convergence: ir.Convergence{Rendered: r.Unserved == 0}})
		}
	}
	slices.SortFunc(out, func(a, b ir.SplitReport) int {
		return cmp.Or(cmp.Compare(calm(a), calm(b)), cmp.Compare(a.Use.Key, b.Use.Key), cmp.Compare(a.Use.UID, b.Use.UID))
	})
	r.Splits = out
	return r
}

// calm ranks the splits of a report: those that move, or that some proxy does not run, stand first.
func calm(s ir.SplitReport) int {
	c := s.Convergence
	switch {
	case !c.Rendered || c.Acked != c.Connected || c.Lost > 0 || c.First != nil:
		return 0
	case !s.Use.Rest:
		return 1
	default:
		return 2
	}
}

// Sum adds up how far the proxies of several replicas are with one split. It is rendered when every replica has rendered
// it, and done when all their proxies together are; the first of several rejections is that of the first part.
func Sum(parts ...ir.Convergence) ir.Convergence {
	out := ir.Convergence{Rendered: len(parts) > 0}
	var last time.Time
	for _, p := range parts {
		out.Rendered = out.Rendered && p.Rendered
		out.Connected += p.Connected
		out.Acked += p.Acked
		out.Nacked += p.Nacked
		out.Pending += p.Pending
		out.Lost += p.Lost
		out.Away += p.Away
		out.Laggards = append(out.Laggards, p.Laggards...)
		if out.First == nil {
			out.First = p.First
		}
		if p.SettledAt.After(last) {
			last = p.SettledAt
		}
	}
	slices.Sort(out.Laggards)
	out.Laggards = slices.Compact(out.Laggards)
	out.Laggards = out.Laggards[:min(len(out.Laggards), v1alpha1.MaxFleetPending)]
	if out.Done() {
		out.SettledAt = last
	}
	return out
}

// ask is what is asked about a split: how far proxies are with the traffic seq of the Rollout with the uid.
type ask struct {
	uid string
	seq uint64
}

// partOf is what the report of another replica says of a split, nil where it does not list it; done is when its proxies were
// first seen to run it all. A replica without proxies has nothing to render. Those that it has sent to others ran what it had then.
func partOf(proxies v1alpha1.FleetProxies, s *v1alpha1.FleetSplit, asked ask, done time.Time) ir.Convergence {
	switch {
	case proxies.Connected == 0 && proxies.Lost == 0 && proxies.Away == 0:
		return ir.Convergence{Rendered: true}
	case s == nil:
		return ir.Convergence{}
	case s.UID != asked.uid: // of a Rollout that had the name before
		return ir.Convergence{}
	}
	out := ir.Convergence{Rendered: s.Rendered, Connected: int(s.Connected), Acked: int(s.Acked), Nacked: int(s.Nacked), Lost: int(s.Lost), Away: int(s.Away), Laggards: s.Pending}
	if uint64(s.Seq) < asked.seq { // what was counted is of the weight before
		out = ir.Convergence{Connected: int(s.Connected), Lost: int(s.Lost) + int(s.Away)}
	} else if f := s.FirstNack; f != nil {
		out.First = &ir.Rejection{Node: f.Node, TypeURL: f.Type, Resource: f.Resource, Version: f.Version, Message: f.Message, At: f.At.Time}
	}
	out.Pending = out.Connected - out.Acked - out.Nacked
	if out.Done() {
		out.SettledAt = done
	}
	return out
}
