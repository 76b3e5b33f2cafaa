package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sluice-dev/sluice/test/poll"
	"github.com/sluice-dev/sluice/xds/envoy"
)

// These benchmarks concern xds/server alone.

// alone runs f with a server and n clients that have everything.
func alone(ctx context.Context, first scene, n int, f func(*sluice, *fleet) (fields, error)) (fields, error) {
	s, err := newSluice(ctx, first)
	if err != nil {
		return nil, err
	}
	clients, err := start(ctx, s.addr, n)
	if err != nil {
		return nil, errors.Join(err, s.stop())
	}
	if err := s.settled(ctx, first.seq, n); err != nil {
		return nil, errors.Join(err, clients.close(), s.stop())
	}
	out, err := f(s, clients)
	return out, errors.Join(err, clients.close(), s.stop())
}

// step counts what one step of a weight sends to each proxy.
func step(ctx context.Context, _ settings) (fields, error) {
	const n = 100
	return alone(ctx, scene{seq: 1, size: 16 << 10}, n, func(s *sluice, f *fleet) (fields, error) {
		var mu sync.Mutex
		types := map[string]bool{}
		f.each(func(c *client) {
			c.observe = func(typeURL, _, _ string) {
				mu.Lock()
				defer mu.Unlock()
				types[typeURL] = true
			}
		})
		responses, resources, bytes := f.responses.Load(), f.resources.Load(), f.bytes.Load()
		if err := s.push(ctx, scene{seq: 2, size: 16 << 10, weight: 15}, n); err != nil {
			return nil, err
		}
		mu.Lock()
		defer mu.Unlock()
		return fields{
			{"types", len(types)}, {"resources_per_stream", float64(f.resources.Load()-resources) / n},
			{"responses_per_stream", float64(f.responses.Load()-responses) / n}, {"bytes_per_stream", (f.bytes.Load() - bytes) / n},
		}, nil
	})
}

// nack counts what one rejection by each proxy causes.
func nack(ctx context.Context, _ settings) (fields, error) {
	const n = 20
	return alone(ctx, scene{seq: 1, size: 1 << 10}, n, func(s *sluice, f *fleet) (fields, error) {
		f.each(func(c *client) { c.refuse = envoy.TypeRoute })
		begin := time.Now()
		if err := s.Publish(ctx, gateway(), scene{seq: 2, size: 1 << 10, weight: 15}.resources()); err != nil {
			return nil, err
		}
		err := poll.Until(patience, func() error {
			if len(s.Rejected()) == 0 {
				return errors.New("nothing is rejected")
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		known := time.Since(begin)
		// Another change of another type is a fence: whatever the rejections cause is sent before it arrives everywhere.
		next := scene{seq: 2, size: 1 << 10, weight: 15, address: 1}
		if err := s.Publish(ctx, gateway(), next.resources()); err != nil {
			return nil, err
		}
		want := resource("reviews-v2", envoy.TypeEndpoint, next.endpoints("reviews-v2")).Version
		if err := f.have(envoy.TypeEndpoint, "reviews-v2", want); err != nil {
			return nil, err
		}
		rejections, again := 0, 0 // those whom the first rejection protects are not even sent it
		f.each(func(c *client) {
			rejections += c.refused
			again += max(0, c.refused-1)
		})
		return fields{{"rejections", rejections}, {"responses_after", again}, {"visible_after", known.Round(time.Millisecond)}}, nil
	})
}

// have waits until every client has a version.
func (f *fleet) have(typeURL, name, version string) error {
	return poll.Until(patience, func() error {
		for _, c := range f.clients {
			c.mu.Lock()
			got := c.has[typeURL][name]
			c.mu.Unlock()
			if got != version {
				return fmt.Errorf("client %s has version %q of %s, want %q", c.id, got, name, version)
			}
		}
		return nil
	})
}
