package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/sluice-dev/sluice/test/poll"
	"github.com/sluice-dev/sluice/xds/envoy"
)

const (
	method   = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
	patience = 2 * time.Minute
	window   = 16 << 20 // of HTTP/2, as Envoy has it: large
)

// fleet is clients that take whatever they are given and say so. All systems have the same.
type fleet struct {
	clients []*client
	tally
	running sync.WaitGroup
	stop    context.CancelFunc
}

// tally counts over all clients.
type tally struct {
	responses atomic.Int64
	resources atomic.Int64
	bytes     atomic.Int64 // of responses
}

// client is one stream on a connection of its own.
type client struct {
	id    string
	conn  *grpc.ClientConn
	fleet *fleet

	mu      sync.Mutex                   // guards everything below
	has     map[string]map[string]string // versions by type and name
	refuse  string                       // type that is refused; empty: none
	refused int                          // responses
	blocked chan struct{}                // not nil: nothing is read until it is closed
	observe func(typeURL, name, version string)
}

// start connects n clients to a server, and returns when each has something of all types that it asks for.
func start(ctx context.Context, addr string, n int) (*fleet, error) {
	return startWith(ctx, addr, n, window)
}

// startWith is start for clients that can be sent so much before they read it.
func startWith(ctx context.Context, addr string, n int, window int32) (*fleet, error) {
	ctx, stop := context.WithCancel(ctx)
	f := &fleet{stop: stop}
	for i := range n {
		conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithInitialWindowSize(window), grpc.WithInitialConnWindowSize(window))
		if err != nil {
			return nil, errors.Join(err, f.close())
		}
		f.clients = append(f.clients, &client{id: fmt.Sprintf("proxy-%d", i), conn: conn, fleet: f, has: map[string]map[string]string{}})
	}
	f.connect(ctx)
	if err := f.complete(); err != nil {
		return nil, errors.Join(err, f.close())
	}
	return f, nil
}

// connect opens a stream of each client. One that the server turns away tries again.
func (f *fleet) connect(ctx context.Context) {
	for _, c := range f.clients {
		f.running.Go(func() {
			for ctx.Err() == nil {
				c.talk(ctx)
				select {
				case <-ctx.Done():
				case <-time.After(200 * time.Millisecond):
				}
			}
		})
	}
}

// complete waits until every client has a resource of each type.
func (f *fleet) complete() error {
	return poll.Until(patience, func() error {
		for _, c := range f.clients {
			c.mu.Lock()
			n := len(c.has)
			c.mu.Unlock()
			if n < len(subscriptions()) {
				return fmt.Errorf("client %s has resources of %d types of %d", c.id, n, len(subscriptions()))
			}
		}
		return nil
	})
}

func (f *fleet) close() error {
	f.stop()
	var errs []error
	for _, c := range f.clients {
		errs = append(errs, c.conn.Close())
	}
	f.running.Wait()
	return errors.Join(errs...)
}

// subscription is the first request of one type.
type subscription struct {
	typeURL string
	names   []string
}

func subscriptions() []subscription {
	return []subscription{
		{typeURL: envoy.TypeCluster}, {typeURL: envoy.TypeEndpoint, names: clusterNames()},
		{typeURL: envoy.TypeListener}, {typeURL: envoy.TypeRoute, names: []string{tableName}},
	}
}

// node is what a proxy says of itself.
func node(id string) *corev3.Node {
	return &corev3.Node{Id: id, UserAgentName: "envoy", Metadata: &structpb.Struct{Fields: map[string]*structpb.Value{
		"NAMESPACE": structpb.NewStringValue(gateway().Namespace),
		"LABELS":    structpb.NewStructValue(&structpb.Struct{Fields: map[string]*structpb.Value{"istio": structpb.NewStringValue("ingressgateway"), "pod": structpb.NewStringValue(id)}}),
	}}}
}

// talk holds one stream until it ends.
func (c *client) talk(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := c.conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, method, grpc.ForceCodecV2(codec{}))
	if err != nil {
		return
	}
	for i, s := range subscriptions() {
		r := &discovery.DeltaDiscoveryRequest{TypeUrl: s.typeURL, ResourceNamesSubscribe: s.names, InitialResourceVersions: c.versions(s.typeURL)}
		if i == 0 {
			r.Node = node(c.id)
		}
		text, err := proto.Marshal(r)
		if err != nil || stream.SendMsg(&frame{text}) != nil {
			return
		}
	}
	var in frame
	for {
		c.wait(ctx)
		if err := stream.RecvMsg(&in); err != nil {
			return
		}
		if err := stream.SendMsg(c.take(in.bytes)); err != nil {
			return
		}
	}
}

func (c *client) versions(typeURL string) map[string]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := map[string]string{}
	for name, version := range c.has[typeURL] {
		out[name] = version
	}
	return out
}

// wait is where a client that does not read stands.
func (c *client) wait(ctx context.Context) {
	c.mu.Lock()
	blocked := c.blocked
	c.mu.Unlock()
	if blocked == nil {
		return
	}
	select {
	case <-blocked:
	case <-ctx.Done():
	}
}

// take reads a response, and gives the answer.
func (c *client) take(text []byte) *frame {
	r := parse(text)
	f := c.fleet
	f.responses.Add(1)
	f.bytes.Add(int64(len(text)))
	f.resources.Add(int64(len(r.resources)))
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.refuse == r.typeURL {
		c.refused++
		return refusal(r)
	}
	if c.has[r.typeURL] == nil {
		c.has[r.typeURL] = map[string]string{}
	}
	for _, one := range r.resources {
		if c.observe != nil {
			c.observe(r.typeURL, one.name, one.version)
		}
		c.has[r.typeURL][one.name] = one.version
	}
	return acknowledgement(r)
}

// each calls f for every client, its state locked.
func (f *fleet) each(change func(*client)) {
	for _, c := range f.clients {
		c.mu.Lock()
		change(c)
		c.mu.Unlock()
	}
}
