package server

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/xds/ir"
)

// Report says how far all proxies are now.
func (s *Server) Report() ir.Report { return s.ledger.report() }

// standings are the proxies by node, with what is worst of each.
type standings map[string]ir.Exception

// note takes something of a proxy, which counts where it is worse than what is known.
func (s standings) note(node string, e ir.Exception) {
	before, known := s[node]
	if known && cmp.Or(cmp.Compare(before.Standing, e.Standing), -cmp.Compare(before.TypeURL, e.TypeURL), -cmp.Compare(before.Resource, e.Resource)) >= 0 {
		return
	}
	s[node] = e
}

// report looks only at resources that somebody does not run as they are: when all is well it is one comparison for each.
func (l *ledger) report() ir.Report {
	l.mu.Lock()
	defer l.mu.Unlock()
	proxies, unserved := standings{}, 0
	for c := range l.clients {
		e := c.stands(ir.Synced)
		if b := l.books[c.class]; len(c.cells) == 0 && b != nil && b.holds() {
			e.Standing = ir.Pending
		}
		proxies.note(c.key, e)
	}
	for _, b := range l.books {
		if b.set == nil {
			unserved += b.streams
		}
		for at, r := range b.rows {
			l.behind(b, at, r, proxies)
		}
	}
	strayed, away := l.strayed()
	out := ir.Report{Connected: len(proxies), Unserved: unserved, Lost: len(l.lost) + len(strayed), Away: away - len(strayed), Splits: l.splits()}
	maps.Copy(strayed, l.lost)
	for node, of := range strayed {
		proxies[node] = of.stands(node)
	}
	for _, e := range proxies {
		switch e.Standing {
		case ir.Synced:
			out.Synced++
			continue
		case ir.Pending:
			out.Pending++
		case ir.Rejected:
			out.Rejected++
		case ir.Lost: // counted
		}
		out.Exceptions = append(out.Exceptions, e)
	}
	slices.SortFunc(out.Exceptions, func(a, b ir.Exception) int {
		return cmp.Or(-cmp.Compare(a.Standing, b.Standing), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Node, b.Node))
	})
	return out
}

// stands is the client as it stands.
func (c *client) stands(how ir.Standing) ir.Exception {
	return ir.Exception{Node: c.node, Namespace: c.class.Namespace, Kind: c.class.Kind, Standing: how}
}

// stands is the node that is lost.
func (of *loss) stands(node string) ir.Exception {
	e := ir.Exception{Node: strings.TrimPrefix(node, of.class.Namespace+"/"), Namespace: of.class.Namespace, Kind: of.class.Kind, Standing: ir.Lost}
	for at := range of.keys {
		if e.TypeURL == "" || cmp.Or(cmp.Compare(at.kind.typeURL(), e.TypeURL), cmp.Compare(at.name, e.Resource)) < 0 {
			e.TypeURL, e.Resource = at.kind.typeURL(), at.name
		}
	}
	return e
}

// holds reports whether there is anything to acknowledge.
func (b *book) holds() bool {
	return b.set != nil && slices.ContainsFunc(b.set.of[:], func(c *collection) bool { return len(c.items) > 0 })
}

// behind notes the clients that do not run a resource as it should be.
func (l *ledger) behind(b *book, at key, r *row, proxies standings) {
	want := b.want(at)
	if want == "" || r.acked[want].count() == len(r.members) {
		return
	}
	for c := range r.members {
		of := c.cells[at]
		if of.version == want {
			continue
		}
		e := c.stands(ir.Pending)
		e.TypeURL, e.Resource = at.kind.typeURL(), at.name
		if kept := b.wants(at, c.flavour); of.refused == want || kept != want && (of.version == kept || of.refused == kept) {
			e.Standing = ir.Rejected
			e.Message, e.At = l.refusalOf(b, c, at)
		}
		proxies.note(c.key, e)
	}
}

// splits are those that the report tells of.
func (l *ledger) splits() []ir.SplitReport {
	newest := map[[2]string]ir.SplitUse{}
	for _, b := range l.books {
		if b.set == nil {
			continue
		}
		for _, use := range b.set.uses {
			at := [2]string{use.Key, use.UID}
			if was, known := newest[at]; !known || use.Seq > was.Seq {
				newest[at] = *use
			}
		}
	}
	var out []ir.SplitReport
	for _, use := range newest {
		out = append(out, ir.SplitReport{Use: use, Convergence: l.converge(use.Key, use.UID, use.Seq)})
	}
	slices.SortFunc(out, func(a, b ir.SplitReport) int {
		return cmp.Or(cmp.Compare(a.Use.Key, b.Use.Key), cmp.Compare(a.Use.UID, b.Use.UID))
	})
	return out
}

// refusalOf is why a client does not run a resource: its own words, else those of the first one like it.
func (l *ledger) refusalOf(b *book, c *client, at key) (message string, when time.Time) {
	if of := l.refusal[c.key][at]; of != nil && of.version != "" {
		return problem.Clean(of.message, maxMessage), of.at
	}
	parts := b.rejects[c.flavour][at]
	var first *ir.Rejection
	for _, name := range slices.Sorted(maps.Keys(parts)) {
		if of := parts[name].first; first == nil || of.At.Before(first.At) {
			first = of
		}
	}
	if first == nil {
		return "", time.Time{}
	}
	return first.Message, first.At
}
