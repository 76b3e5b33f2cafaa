package server

import "time"

// paced is what the model knows of endpoints that nobody has asked for.
type paced struct {
	asked map[string]bool // endpoints that it has asked for, or whose cluster has changed, and did not get yet
}

// busy reports whether endpoints must not be pushed now: some that were are not answered, or routes are not, or a canary
// is losing weight. It is asked before the server sends.
func (m *model) busy() bool {
	if m.now.Before(m.talk.calm.hush) {
		return true
	}
	for _, k := range []kind{endpoints, listeners, routes} {
		for _, f := range m.talk.subs[k].flights {
			if m.now.Sub(f.sent) < time.Second {
				return true
			}
		}
	}
	return false
}

// paced checks that a response with endpoints which nobody has asked for is not sent to a proxy that is busy, and that a
// lowered weight does not wait behind endpoints.
func (m *model) paced(out []response, busy bool) {
	for _, r := range out {
		switch k, _ := kindOf(r.typeURL); k {
		case clusters:
			for _, i := range r.items {
				m.pace.asked[i.name] = true // it is sent its endpoints again
			}
		case endpoints:
			answer := false
			for _, i := range r.items {
				answer = answer || m.pace.asked[i.name]
				delete(m.pace.asked, i.name)
			}
			if busy && !answer && len(r.items) > 0 {
				m.t.Fatalf("sotw %v: endpoints %s of %s were pushed to a proxy that has not answered those before", m.sotw, r.items[0].name, r.items[0].version)
			}
		case secrets, listeners, routes, kinds: // no rule
		}
	}
}
