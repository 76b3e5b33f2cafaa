package server

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/types/known/anypb"
)

// ask is a request of either form.
type ask struct {
	kind    kind
	typeURL string // instead of kind's
	sub     []string
	unsub   []string
	has     map[string]string // initial versions
	names   []string          // state of the world
	version string
	nonce   string // "last": of the newest response of the kind
	nack    string
}

// proxy is a scripted client in one of the two forms.
type proxy struct {
	t     testing.TB
	id    string
	sotw  discovery.AggregatedDiscoveryService_StreamAggregatedResourcesClient
	delta discovery.AggregatedDiscoveryService_DeltaAggregatedResourcesClient
	end   context.CancelFunc

	agent  string // "name version" of the client
	inbox  chan answer
	failed chan error
	named  bool
	last   map[kind]answer
	fences int
}

func connect(t testing.TB, addr, id string, sotw bool) *proxy {
	t.Helper()
	return converse(t, dial(t, addr), id, sotw)
}

func converse(t testing.TB, c discovery.AggregatedDiscoveryServiceClient, id string, sotw bool) *proxy {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	p := &proxy{t: t, id: id, end: cancel, inbox: make(chan answer, 1024), failed: make(chan error, 1), last: map[kind]answer{}}
	var err error
	if sotw {
		p.sotw, err = c.StreamAggregatedResources(ctx)
	} else {
		p.delta, err = c.DeltaAggregatedResources(ctx)
	}
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); p.read() }()
	t.Cleanup(func() { cancel(); <-done })
	return p
}

func (p *proxy) read() {
	for {
		a, err := p.receive()
		if err != nil {
			p.failed <- err
			return
		}
		p.inbox <- a
	}
}

func (p *proxy) receive() (answer, error) {
	if p.sotw != nil {
		in, err := p.sotw.Recv()
		if err != nil {
			return answer{}, err
		}
		a := answer{nonce: in.GetNonce(), version: in.GetVersionInfo()}
		a.take(in.GetTypeUrl(), in.GetResources()...)
		return a, nil
	}
	in, err := p.delta.Recv()
	if err != nil {
		return answer{}, err
	}
	a := answer{nonce: in.GetNonce(), removed: in.GetRemovedResources(), versions: map[string]string{}}
	a.take(in.GetTypeUrl())
	for _, r := range in.GetResources() {
		a.take(in.GetTypeUrl(), r.GetResource())
		a.versions[r.GetName()] = r.GetVersion()
	}
	return a, nil
}

func (a *answer) take(typeURL string, any ...*anypb.Any) {
	k, ok := kindOf(typeURL)
	if !ok {
		a.unknown = typeURL
	}
	a.kind = k
	for _, r := range any {
		a.bytes = append(a.bytes, string(r.GetValue()))
	}
}

func userAgent(version string) *corev3.Node_UserAgentVersion {
	return &corev3.Node_UserAgentVersion{UserAgentVersion: version}
}

func (p *proxy) send(a ask) {
	p.t.Helper()
	if a.nonce == "last" {
		a.nonce = p.last[a.kind].nonce
	}
	url := a.typeURL
	if url == "" {
		url = a.kind.typeURL()
	}
	var failure *rpcstatus.Status
	if a.nack != "" {
		failure = &rpcstatus.Status{Code: 3, Message: a.nack}
	}
	n := node(p.id)
	if name, version, ok := strings.Cut(cmp.Or(p.agent, "envoy 1.40.0"), " "); ok {
		n.UserAgentName, n.UserAgentVersionType = name, userAgent(version)
	}
	if p.named {
		n = nil
	}
	p.named = true
	var err error
	if p.sotw != nil {
		err = p.sotw.Send(&discovery.DiscoveryRequest{
			Node: n, TypeUrl: url, ResourceNames: a.names, VersionInfo: a.version, ResponseNonce: a.nonce, ErrorDetail: failure,
		})
	} else {
		err = p.delta.Send(&discovery.DeltaDiscoveryRequest{
			Node: n, TypeUrl: url, ResourceNamesSubscribe: a.sub, ResourceNamesUnsubscribe: a.unsub,
			InitialResourceVersions: a.has, ResponseNonce: a.nonce, ErrorDetail: failure,
		})
	}
	if err != nil {
		p.t.Fatalf("sending a request for %s: %v", url, err)
	}
}

// next is the next response.
func (p *proxy) next() answer {
	p.t.Helper()
	select {
	case a := <-p.inbox:
		if a.unknown == "" {
			p.last[a.kind] = a
		}
		return a
	case err := <-p.failed:
		p.t.Fatalf("the stream ended: %v", err)
	case <-time.After(patience):
		p.t.Fatal("no response")
	}
	return answer{}
}

// ack acknowledges the newest response of a kind.
func (p *proxy) ack(k kind, names ...string) {
	p.t.Helper()
	p.send(ask{kind: k, nonce: "last", version: p.last[k].version, names: names})
}

// pending gives all responses that are due, by asking twice for a name that does not exist on a kind that the test
// leaves alone: when the second answer comes, everything that was due at the first has come.
func (p *proxy) pending(fence kind) []string {
	p.t.Helper()
	var out []string
	for range 2 {
		p.fences++
		name := fmt.Sprintf("fence-%d", p.fences)
		p.send(ask{kind: fence, sub: []string{name}, names: []string{name}})
		for {
			a := p.next()
			if a.kind == fence {
				break
			}
			out = append(out, a.String())
		}
	}
	return out
}

// fails waits for the end of the stream.
func (p *proxy) fails() error {
	p.t.Helper()
	select {
	case err := <-p.failed:
		return err
	case <-time.After(patience):
		p.t.Fatal("the stream goes on")
	}
	return nil
}
