package server

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/xds/envoy"
)

// step is one line of a script: what the client says or the server is given, and all responses that follow.
type step struct {
	say     *ask
	publish *envoy.Resources
	want    []string
}

func say(a ask, want ...string) step { return step{say: &a, want: want} }

func give(r envoy.Resources, want ...string) step { return step{publish: &r, want: want} }

func runScript(t *testing.T, h *harness, p *proxy, fence kind, script []step) {
	t.Helper()
	for i, s := range script {
		if s.publish != nil {
			h.publish(*s.publish)
		}
		if s.say != nil {
			p.send(*s.say)
		}
		got := p.pending(fence)
		if diff := cmp.Diff(s.want, got, cmp.Transformer("nil", func(in []string) string { return strings.Join(in, "; ") })); diff != "" {
			t.Fatalf("step %d (%s): responses (-want +got):\n%s", i, describe(s), diff)
		}
	}
}

func describe(s step) string {
	if s.say != nil {
		return fmt.Sprintf("say %+v", *s.say)
	}
	return "publish"
}

// two is a mesh of clusters a and b in table t1.
func two(table string) envoy.Resources { return mesh(1, 0, table, "a", "b") }

// without drops a resource by name.
func without(in []envoy.Resource, name string) []envoy.Resource {
	var out []envoy.Resource
	for _, r := range in {
		if r.Name != name {
			out = append(out, r)
		}
	}
	return out
}

func changed(in []envoy.Resource, k kind, name, content string) []envoy.Resource {
	out := without(in, name)
	return append(out, res(k, name, content))
}

func TestDelta_duties(t *testing.T) {
	gone := two("t1")
	gone.Clusters, gone.Endpoints = without(gone.Clusters, "b"), without(gone.Endpoints, "b")
	rebuilt := two("t1")
	rebuilt.Clusters = changed(rebuilt.Clusters, clusters, "a", "c2")
	grown := two("t1")
	grown.Routes = append(grown.Routes, res(routes, "http.81", "x1"))
	twoTables := two("t1")
	twoTables.Routes = append(twoTables.Routes, res(routes, "http.81", "x1"))
	bothTables := two("t2")
	bothTables.Routes = append(bothTables.Routes, res(routes, "http.81", "x2"))
	last := func(k kind) ask { return ask{kind: k, nonce: "last"} }

	tests := []struct {
		name   string
		fence  kind
		script []step
	}{
		{"a first request without names is a wildcard for clusters and listeners", routes, []step{
			give(two("t1")), say(ask{kind: clusters}, "cds a=c1 b=c1"), say(last(clusters)), say(ask{kind: listeners}, "lds 0.0.0.0_80=l1"), say(last(listeners))}},
		{"it is none for endpoints", routes, []step{
			give(two("t1")), say(ask{kind: endpoints})}},
		{"a star is a wildcard until it is unsubscribed", routes, []step{
			give(two("t1")), say(ask{kind: clusters, sub: []string{"*"}}, "cds a=c1 b=c1"), say(last(clusters)),
			say(ask{kind: clusters, unsub: []string{"*"}}), give(rebuilt)}},
		{"names added to a legacy wildcard keep it", routes, []step{
			give(two("t1")), say(ask{kind: clusters}, "cds a=c1 b=c1"), say(last(clusters)),
			say(ask{kind: clusters, sub: []string{"b"}}, "cds b=c1"), say(last(clusters)), give(rebuilt, "cds a=c2")}},
		{"a name unsubscribed under a wildcard is answered", routes, []step{
			give(two("t1")), say(ask{kind: clusters, sub: []string{"*", "a"}}, "cds a=c1 b=c1"), say(last(clusters)),
			say(ask{kind: clusters, unsub: []string{"a"}}, "cds a=c1")}},
		{"nothing is sent outside the subscription", listeners, []step{
			give(twoTables), say(ask{kind: routes, sub: []string{"http.81"}}, "rds http.81=x1"), say(last(routes)), give(bothTables, "rds http.81=x2"),
			say(ask{kind: routes, nonce: "last", unsub: []string{"http.81"}}), give(twoTables)}},
		{"a known name is answered each time it is subscribed to", listeners, []step{
			give(two("t1")), say(ask{kind: routes, sub: []string{"http.80"}}, "rds http.80=t1"), say(last(routes)),
			say(ask{kind: routes, sub: []string{"http.80"}}, "rds http.80=t1")}},
		{"an unknown name is answered once, and delivered when it exists", listeners, []step{
			give(two("t1")), say(ask{kind: routes, sub: []string{"http.81"}}, "rds -http.81"), say(last(routes)),
			give(two("t2")), give(grown, "rds http.81=x1")}},
		{"a resource that goes away is removed", listeners, []step{
			give(grown), say(ask{kind: routes, sub: []string{"http.80", "http.81"}}, "rds http.80=t1 http.81=x1"), say(last(routes)),
			give(two("t1"), "rds -http.81"), give(grown, "rds http.81=x1")}},
		{"versions from an earlier stream are compared, not answered", listeners, []step{
			give(grown), say(ask{kind: routes, sub: []string{"http.80", "http.81", "http.82"}, has: map[string]string{"http.80": "t1", "http.81": "x0", "http.82": "z"}},
				"rds http.81=x1 -http.82")}},
		{"a wildcard with versions and nothing new is left in peace", routes, []step{
			give(two("t1")), say(ask{kind: clusters, has: map[string]string{"a": "c1", "b": "c1"}})}},
		{"a wildcard without resources gets an empty response", routes, []step{
			give(envoy.Resources{}), say(ask{kind: clusters}, "cds"), say(last(clusters)), say(ask{kind: listeners}, "lds")}},
		{"the endpoints of a changed cluster are sent again", routes, []step{
			give(two("t1")), say(ask{kind: clusters}, "cds a=c1 b=c1"), say(ask{kind: endpoints, sub: []string{"a", "b"}}, "eds a=e1 b=e1"),
			say(last(clusters)), say(last(endpoints)), give(rebuilt, "cds a=c2", "eds a=e1")}},
		{"an unknown nonce acknowledges nothing but its subscriptions count", listeners, []step{
			give(two("t1")), say(ask{kind: routes, nonce: "77", sub: []string{"http.80"}}, "rds http.80=t1"), say(ask{kind: routes, nonce: "78"})}},
		{"a request can acknowledge and subscribe", listeners, []step{
			give(grown), say(ask{kind: routes, sub: []string{"http.80"}}, "rds http.80=t1"), say(ask{kind: routes, nonce: "last", sub: []string{"http.81"}}, "rds http.81=x1")}},
		{"pushed routes come one per response", listeners, []step{
			give(twoTables), say(ask{kind: routes, sub: []string{"http.80", "http.81"}}, "rds http.80=t1 http.81=x1"), say(last(routes)),
			give(bothTables, "rds http.80=t2", "rds http.81=x2")}},
		{"a rejection is not answered and its version not repeated", listeners, []step{
			give(two("t1")), say(ask{kind: routes, sub: []string{"http.80"}}, "rds http.80=t1"), say(last(routes)), give(two("t2"), "rds http.80=t2"),
			say(ask{kind: routes, nonce: "last", nack: "no"}), say(ask{kind: routes, sub: []string{"http.80"}}, "rds http.80=t1"), say(last(routes)),
			give(gone), give(two("t3"), "rds http.80=t3")}},
		{"an unsupported type has no resources", listeners, []step{
			give(two("t1")), say(ask{typeURL: "type.googleapis.com/x.Y", sub: []string{"q"}}, "? -q"), say(ask{typeURL: "type.googleapis.com/x.Y"})}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := start(t, Timing{})
			runScript(t, h, connect(t, h.addr, "n1", false), tt.fence, tt.script)
		})
	}
}

func TestSotw_duties(t *testing.T) {
	rebuilt := two("t1")
	rebuilt.Clusters = changed(rebuilt.Clusters, clusters, "a", "c2")
	grown := two("t1")
	grown.Routes = append(grown.Routes, res(routes, "http.81", "x1"))
	both := two("t2")
	both.Routes = append(both.Routes, res(routes, "http.81", "x2"))
	ack := func(k kind, names ...string) ask { return ask{kind: k, nonce: "last", names: names} }

	tests := []struct {
		name   string
		fence  kind
		script []step
	}{
		{"clusters come as a whole", listeners, []step{
			give(two("t1")), say(ask{kind: clusters}, "cds a=c1 b=c1"), say(ack(clusters)), give(rebuilt, "cds a=c2 b=c1")}},
		{"an acknowledgement is not answered", listeners, []step{
			give(two("t1")), say(ask{kind: routes, names: []string{"http.80"}}, "rds http.80=t1"), say(ack(routes, "http.80"))}},
		{"only what changed of the routes is sent, one at a time", listeners, []step{
			give(grown), say(ask{kind: routes, names: []string{"http.80", "http.81"}}, "rds http.80=t1 http.81=x1"), say(ack(routes, "http.80", "http.81")),
			give(both, "rds http.80=t2"), say(ack(routes, "http.80", "http.81"), "rds http.81=x2")}},
		{"a stale request is void", listeners, []step{
			give(grown), say(ask{kind: routes, names: []string{"http.80"}}, "rds http.80=t1"), say(ask{kind: routes, nonce: "999", names: []string{"http.80", "http.81"}}),
			say(ack(routes, "http.80", "http.81"), "rds http.81=x1")}},
		{"added names are answered, removed ones are not", listeners, []step{
			give(grown), say(ask{kind: routes, names: []string{"http.80"}}, "rds http.80=t1"), say(ack(routes, "http.80", "http.81"), "rds http.81=x1"),
			say(ack(routes, "http.81")), give(two("t2"))}},
		{"names after a legacy wildcard end it", listeners, []step{
			give(two("t1")), say(ask{kind: clusters}, "cds a=c1 b=c1"), say(ack(clusters, "b"), "cds b=c1"), say(ack(clusters, "b")), give(rebuilt)}},
		{"unless the star is among them", listeners, []step{
			give(two("t1")), say(ask{kind: clusters}, "cds a=c1 b=c1"), say(ack(clusters, "*", "b"), "cds a=c1 b=c1"), say(ack(clusters, "*", "b")), give(rebuilt, "cds a=c2 b=c1")}},
		{"a name that does not exist is delivered when it does", listeners, []step{
			give(two("t1")), say(ask{kind: routes, names: []string{"http.81"}}), give(grown, "rds http.81=x1")}},
		{"an empty state is said", listeners, []step{
			give(envoy.Resources{}), say(ask{kind: clusters}, "cds")}},
		{"a rejection is not answered and its version not repeated", listeners, []step{
			give(two("t1")), say(ask{kind: routes, names: []string{"http.80"}}, "rds http.80=t1"), say(ack(routes, "http.80")), give(two("t2"), "rds http.80=t2"),
			say(ask{kind: routes, nonce: "last", nack: "no", names: []string{"http.80"}}), give(two("t3"), "rds http.80=t3")}},
		{"a rejected cluster stays as it was in the next state", listeners, []step{
			give(two("t1")), say(ask{kind: clusters}, "cds a=c1 b=c1"), say(ack(clusters)), give(rebuilt, "cds a=c2 b=c1"),
			say(ask{kind: clusters, nonce: "last", nack: "cluster a: bad"}),
			give(func() envoy.Resources { r := rebuilt; r.Clusters = changed(r.Clusters, clusters, "b", "c9"); return r }(), "cds a=c1 b=c9")}},
		{"an unsupported type is not answered", listeners, []step{
			give(two("t1")), say(ask{typeURL: "type.googleapis.com/x.Y", names: []string{"q"}})}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := start(t, Timing{})
			runScript(t, h, connect(t, h.addr, "n1", true), tt.fence, tt.script)
		})
	}
}

func TestSotw_versionFromAnEarlierStream(t *testing.T) {
	h := start(t, Timing{})
	h.publish(two("t1"))
	p := connect(t, h.addr, "n1", true)
	p.send(ask{kind: clusters})
	version := p.next().version
	p.ack(clusters)

	again := connect(t, h.addr, "n1", true)
	runScript(t, h, again, listeners, []step{say(ask{kind: clusters, version: version})})
	other := connect(t, h.addr, "n2", true)
	runScript(t, h, other, listeners, []step{say(ask{kind: clusters, version: "0ld"}, "cds a=c1 b=c1")})
}
