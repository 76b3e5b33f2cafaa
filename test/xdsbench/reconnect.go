package main

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/sluice-dev/sluice/xds/envoy"
)

func reconnect(ctx context.Context, _ settings) (fields, error) { return reconnected(ctx, 1000) }

// reconnected starts the server anew under n clients, twice: nothing changes meanwhile; the weight does, all the time.
func reconnected(ctx context.Context, n int) (fields, error) {
	const size, steps = 16 << 10, 20
	first := scene{seq: 1, size: size}
	return alone(ctx, first, n, func(s *sluice, f *fleet) (fields, error) {
		resources, begin := f.resources.Load(), time.Now()
		if err := errors.Join(s.restart(ctx, first), s.settled(ctx, 1, n)); err != nil {
			return nil, err
		}
		unchanged, again := time.Since(begin), f.resources.Load()-resources
		older := f.watchOrder(first, steps)
		begin = time.Now()
		err := s.restart(ctx, first)
		for seq := uint64(2); seq <= steps && err == nil; seq++ {
			next := scene{seq: seq, size: size, weight: int(seq)}
			select {
			case <-time.After(50 * time.Millisecond):
				err = s.Publish(ctx, gateway(), next.resources())
			case <-ctx.Done():
				err = ctx.Err()
			}
		}
		err = errors.Join(err, s.settled(ctx, steps, n))
		return fields{
			{"unchanged", unchanged.Round(time.Millisecond)}, {"resources_when_unchanged", again},
			{"while_changing", time.Since(begin).Round(time.Millisecond)}, {"older_versions", older.Load()},
		}, err
	})
}

// restart stops the server and starts another one at its address: all streams and all knowledge of them are gone.
func (s *sluice) restart(ctx context.Context, first scene) error {
	if err := s.stop(); err != nil {
		return err
	}
	next, err := newSluiceAt(ctx, s.addr, first)
	if err != nil {
		return err
	}
	*s = *next
	return nil
}

// watchOrder counts from now on how often a client is sent a table that is older than the one it has.
func (f *fleet) watchOrder(first scene, steps uint64) *atomic.Int64 {
	known := map[string]uint64{}
	for seq := uint64(1); seq <= steps; seq++ {
		next := first
		if seq > 1 {
			next.seq, next.weight = seq, int(seq)
		}
		known[resource(tableName, envoy.TypeRoute, next.table()).Version] = seq
	}
	older := &atomic.Int64{}
	f.each(func(c *client) {
		newest := known[c.has[envoy.TypeRoute][tableName]]
		c.observe = func(typeURL, _, version string) {
			if typeURL != envoy.TypeRoute {
				return
			}
			if known[version] < newest {
				older.Add(1)
			}
			newest = known[version]
		}
	})
	return older
}
