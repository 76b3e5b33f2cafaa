package server

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/xds/ir"
)

// Rejected is a resource that one kind of proxy does not take, and that is kept from others like it until its content
// changes.
type Rejected struct {
	First   ir.Rejection
	Class   ir.ProxyClass
	Client  string   // name and minor version
	TypeURL string   // of the resource
	Name    string   // of the resource
	Parts   []string // virtual hosts of a table, sorted; nil: the whole resource
	Origins []ir.Origin
}

// Rejected are all that are rejected now, sorted by class, client, type and name.
func (s *Server) Rejected() []Rejected {
	out := s.ledger.rejected()
	slices.SortFunc(out, func(a, b Rejected) int {
		return cmp.Or(compareClasses(a.Class, b.Class), cmp.Compare(a.Client, b.Client), cmp.Compare(a.TypeURL, b.TypeURL), cmp.Compare(a.Name, b.Name))
	})
	return out
}

// Problems says of each object what proxies reject that is made from it (S093), sorted, each once.
func (s *Server) Problems() []problem.Problem {
	var out []problem.Problem
	for _, r := range s.Rejected() {
		for _, o := range r.Origins {
			p := problem.Problem{
				Code: "S093", Severity: problem.Error, Field: o.Field, Message: problem.Clean(r.words(), problem.MaxMessage),
				Hint: "correct the object, or update the proxy; proxies keep what they have of it",
			}
			if o.Kind != "" {
				p.Object = o.Kind + "/" + o.Namespace + "/" + o.Name
			}
			out = append(out, p)
		}
	}
	problem.Sort(out)
	return slices.Compact(out)
}

// words is the rejection in one sentence.
func (r Rejected) words() string {
	what := fmt.Sprintf("%s of type %s", r.Name, r.TypeURL[strings.LastIndexByte(r.TypeURL, '.')+1:])
	if len(r.Parts) > 0 {
		what = fmt.Sprintf("virtual hosts %s of %s", strings.Join(r.Parts, ", "), what)
	}
	return fmt.Sprintf("proxy %s (%s) rejects %s: %s", r.First.Node, r.Client, what, cmp.Or(r.First.Message, "without a word"))
}

func (l *ledger) rejected() []Rejected {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []Rejected
	for class, b := range l.books {
		for flavour, of := range b.rejects {
			for at, parts := range of {
				one := b.describe(at, parts)
				one.Class, one.Client = class, flavour
				out = append(out, one)
			}
		}
	}
	return out
}

// describe says what is rejected of a resource, and of what it is made.
func (b *book) describe(at key, parts map[string]ban) Rejected {
	out := Rejected{TypeURL: at.kind.typeURL(), Name: at.name}
	base := b.set.of[at.kind].get(at.name)
	_, all := parts[whole]
	for _, name := range slices.Sorted(maps.Keys(parts)) {
		if first := parts[name].first; out.First.At.IsZero() || first.At.Before(out.First.At) {
			out.First = *first
		}
		if name == whole {
			continue
		}
		p, _ := base.part(name)
		out.Origins = append(out.Origins, p.Origins...)
		out.Parts = append(out.Parts, name)
	}
	if all || len(out.Origins) == 0 {
		out.Origins = base.origins
	}
	return out
}

// tell writes down what the client has rejected, where others are kept from it because of that: the thousandth proxy that
// says the same is not written down.
func (ss *session) tell(outcomes []outcome) {
	for _, o := range outcomes {
		if o.what != rejected {
			continue
		}
		ss.server.log.Warn("a proxy rejects a resource; others like it keep the last good one", "reason", "S093",
			"proxy", ss.who.id, "namespace", ss.class.of.Namespace, "err", fmt.Sprintf("%s %s of version %s, made of %s: %s",
				o.kind, o.name, o.item.version, strings.Join(objects(o.item.origins), ", "), problem.Clean(o.message, maxMessage)))
	}
}

// objects are those that a resource is made from, as people name them.
func objects(origins []ir.Origin) []string {
	var out []string
	for _, o := range origins {
		if o.Kind != "" {
			out = append(out, o.Kind+"/"+o.Namespace+"/"+o.Name)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
