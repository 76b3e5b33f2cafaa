package server

import (
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// stream encodes messages one behind the other, each with its length before it.
func stream(t testing.TB, messages ...proto.Message) []byte {
	t.Helper()
	var out []byte
	for _, m := range messages {
		value, err := proto.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		out = protowire.AppendBytes(out, value)
	}
	return out
}

// overheard is a conversation with a client that says whatever it likes. Sets change under it.
type overheard struct {
	t      *testing.T
	talk   *conversation
	ledger *ledger
	client *client
	nonces map[string]bool
	sets   []*set
	turn   int
}

func overhear(t *testing.T, sotw bool, n *corev3.Node) *overheard {
	who, err := identify(n)
	if err != nil {
		who = identity{id: "n1"}
	}
	o := &overheard{t: t, ledger: newLedger(time.Now, Timing{}.withDefaults()), nonces: map[string]bool{}}
	o.client = o.ledger.join(who, gateway)
	for _, r := range [][]string{{"x=1", "y=0"}, {"x=2", "y=0"}, {"y=15"}} {
		next, err := newSet(nil, tabled(t, 1, 0, r...))
		if err != nil {
			t.Fatal(err)
		}
		o.sets = append(o.sets, next)
	}
	for i, r := range []string{"t1", "t2"} {
		next, err := newSet(nil, guarded(r))
		if err != nil {
			t.Fatal(err)
		}
		next.mark = uint64(i)
		o.sets = append(o.sets, next)
	}
	o.talk = &conversation{sotw: sotw, timing: Timing{}.withDefaults(), memory: recollection{ledger: o.ledger, client: o.client}}
	o.publish()
	return o
}

// publish changes the set.
func (o *overheard) publish() {
	o.turn++
	s := o.sets[o.turn%len(o.sets)]
	if v := o.ledger.publish(gateway, s)[o.client.flavour]; v != nil {
		s = v
	}
	o.talk.use(s)
}

// hear takes one request; false: the stream is over.
func (o *overheard) hear(r request, err error) bool {
	if err != nil || o.talk.receive(r) != nil {
		return false
	}
	o.talk.unproven = o.turn%2 == 0
	for range 2 {
		out, _ := o.talk.plan(time.Unix(int64(o.turn)*40, 0))
		if again, ok := o.talk.unsupported(r); ok {
			out = append(out, again)
		}
		for _, one := range out {
			o.check(one)
		}
		o.ledger.record(o.client, o.talk.collect())
		o.ledger.derive(gateway)
		o.publish()
	}
	return true
}

func (o *overheard) check(r response) {
	if o.nonces[r.nonce] {
		o.t.Fatalf("nonce %s twice", r.nonce)
	}
	o.nonces[r.nonce] = true
	k, known := kindOf(r.typeURL)
	for _, i := range r.items {
		if !known || !i.known() || !o.talk.subs[k].covers(i.name) {
			o.t.Fatalf("%s %q was sent: it is not asked for, or not known", r.typeURL, i.name)
		}
	}
	for k := range kinds {
		if n := len(o.talk.subs[k].flights); n > maxFlights {
			o.t.Fatalf("%d responses of %s are kept", n, k)
		}
	}
}

func (o *overheard) end() {
	o.ledger.leave(o.client)
	o.ledger.close()
}

// said is a request of either form on the wire.
type said interface {
	proto.Message
	GetNode() *corev3.Node
}

// replay lets a conversation hear the requests that data holds, until one cannot be read or ends it.
func replay[M said](t *testing.T, data []byte, sotw bool, empty func() M, read func(M) (request, error)) {
	var o *overheard
	for len(data) > 0 {
		value, n := protowire.ConsumeBytes(data)
		if n < 0 {
			return
		}
		data = data[n:]
		in := empty()
		if proto.Unmarshal(value, in) != nil {
			return
		}
		if o == nil {
			o = overhear(t, sotw, in.GetNode())
			defer o.end()
		}
		if !o.hear(read(in)) {
			return
		}
	}
}

func FuzzDelta(f *testing.F) {
	first := &discovery.DeltaDiscoveryRequest{Node: node("n1"), TypeUrl: clusters.typeURL()}
	f.Add(stream(f, first, &discovery.DeltaDiscoveryRequest{TypeUrl: clusters.typeURL(), ResponseNonce: "1", ResourceNamesSubscribe: []string{"a", "*"}},
		&discovery.DeltaDiscoveryRequest{TypeUrl: routes.typeURL(), ResourceNamesSubscribe: []string{"http.80"}, InitialResourceVersions: map[string]string{"http.80": "x"}}))
	f.Add(stream(f, first, &discovery.DeltaDiscoveryRequest{TypeUrl: clusters.typeURL(), ResponseNonce: "1", ErrorDetail: &rpcstatus.Status{Message: "a: no"}},
		&discovery.DeltaDiscoveryRequest{TypeUrl: clusters.typeURL(), ResourceNamesUnsubscribe: []string{"*", "a"}}))
	f.Fuzz(func(t *testing.T, data []byte) {
		replay(t, data, false, func() *discovery.DeltaDiscoveryRequest { return &discovery.DeltaDiscoveryRequest{} }, deltaRequest)
	})
}

func FuzzSotw(f *testing.F) {
	first := &discovery.DiscoveryRequest{Node: node("n1"), TypeUrl: clusters.typeURL(), VersionInfo: "v"}
	f.Add(stream(f, first, &discovery.DiscoveryRequest{TypeUrl: clusters.typeURL(), ResponseNonce: "1", ResourceNames: []string{"a", "*"}},
		&discovery.DiscoveryRequest{TypeUrl: routes.typeURL(), ResourceNames: []string{"http.80"}}))
	f.Add(stream(f, first, &discovery.DiscoveryRequest{TypeUrl: clusters.typeURL(), ResponseNonce: "1", ErrorDetail: &rpcstatus.Status{Message: "a: no"}},
		&discovery.DiscoveryRequest{TypeUrl: endpoints.typeURL(), ResourceNames: []string{"a", "b"}, VersionInfo: "w"}))
	f.Fuzz(func(t *testing.T, data []byte) {
		replay(t, data, true, func() *discovery.DiscoveryRequest { return &discovery.DiscoveryRequest{} }, sotwRequest)
	})
}
