package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// lower measures from a lowered weight to its last acknowledgement, in turn while endpoints change 100 times a second and
// while nothing else does. As in the controller, changes of endpoints that come within 20 ms are published together.
func lower(ctx context.Context, s settings) (fields, error) {
	const n, size = 1000, 16 << 10
	return alone(ctx, scene{seq: 1, size: size}, n, func(ours *sluice, _ *fleet) (fields, error) {
		c := &churn{server: ours, now: scene{seq: 1, size: size}}
		var with, without []time.Duration
		for range s.rounds {
			quiet, err := c.lowered(ctx, s.lowers(), n)
			if err != nil {
				return nil, err
			}
			busy, err := c.amid(ctx, func() ([]time.Duration, error) { return c.lowered(ctx, s.lowers(), n) })
			if err != nil {
				return nil, err
			}
			with, without = append(with, busy...), append(without, quiet...)
		}
		return fields{
			{"p50", quantile(with, 0.5)}, {"p99", quantile(with, 0.99)}, {"p50_without", quantile(without, 0.5)}, {"p99_without", quantile(without, 0.99)},
			{"ratio_p50", ratio(quantile(with, 0.5), quantile(without, 0.5))}, {"ratio_p99", ratio(quantile(with, 0.99), quantile(without, 0.99))},
			{"lowered", len(with)}, {"endpoint_changes", c.changes},
		}, nil
	})
}

// lowers is how often a weight is lowered in a round.
func (s settings) lowers() int { return max(1, s.pushes/2) }

// lowered lowers a weight some times, and says how long each took.
func (c *churn) lowered(ctx context.Context, times, n int) ([]time.Duration, error) {
	var out []time.Duration
	for range times {
		if err := c.weigh(ctx, 100, n); err != nil {
			return nil, err
		}
		begin := time.Now()
		if err := c.weigh(ctx, 0, n); err != nil {
			return nil, err
		}
		out = append(out, time.Since(begin))
	}
	return out, nil
}

// amid calls f while endpoints change.
func (c *churn) amid(ctx context.Context, f func() ([]time.Duration, error)) ([]time.Duration, error) {
	const perTurn, turn = 2, 20 * time.Millisecond
	ctx, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- c.run(ctx, perTurn, turn) }()
	out, err := f()
	stop()
	if churned := <-ended; !errors.Is(churned, context.Canceled) {
		err = errors.Join(err, churned)
	}
	return out, err
}

// churn is a mesh whose endpoints change all the time.
type churn struct {
	server  *sluice
	mu      sync.Mutex // guards everything below, and keeps what is published in order
	now     scene
	changes int
}

func (c *churn) run(ctx context.Context, perTurn int, turn time.Duration) error {
	tick := time.NewTicker(turn)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := c.publish(ctx, func(s *scene) { s.address++; c.changes += perTurn }); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (c *churn) publish(ctx context.Context, change func(*scene)) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(&c.now)
	return c.server.Publish(ctx, gateway(), c.now.resources())
}

// weigh gives the canary a weight, and returns when n clients have acknowledged it.
func (c *churn) weigh(ctx context.Context, weight, n int) error {
	var seq uint64
	if err := c.publish(ctx, func(s *scene) { s.seq++; s.weight, seq = weight, s.seq }); err != nil {
		return err
	}
	return c.server.settled(ctx, seq, n)
}

// slowReader measures what one client that does not read costs the others. A third of the rounds is a control, without
// it again: what they differ by is noise.
func slowReader(ctx context.Context, s settings) (fields, error) { return slowed(ctx, s, 1000) }

func slowed(ctx context.Context, s settings, n int) (fields, error) {
	const size, narrow = 16 << 10, 64 << 10
	ours, err := newSluice(ctx, scene{seq: 1, size: size})
	if err != nil {
		return nil, err
	}
	f, err := startWith(ctx, ours.addr, n, narrow)
	if err != nil {
		return nil, errors.Join(err, ours.stop())
	}
	var with, without, control []time.Duration
	seq := uint64(1)
	for round := 0; round < 3*s.rounds && err == nil; round++ {
		slow := round%3 == 1
		open := make(chan struct{})
		if slow {
			f.first(func(c *client) { c.blocked = open })
		}
		for i := 0; i < s.pushes && err == nil; i++ {
			seq++
			var took time.Duration
			took, err = ours.others(ctx, scene{seq: seq, size: size, weight: int(seq % 1000)}, n-1)
			to := []*[]time.Duration{&without, &with, &control}[round%3]
			*to = append(*to, took)
		}
		f.first(func(c *client) { c.blocked = nil })
		close(open)
		err = errors.Join(err, ours.settled(ctx, seq, n))
	}
	return fields{
		{"p50", quantile(with, 0.5)}, {"p99", quantile(with, 0.99)}, {"p50_without", quantile(without, 0.5)}, {"p99_without", quantile(without, 0.99)},
		{"ratio_p50", ratio(quantile(with, 0.5), quantile(without, 0.5))}, {"ratio_p99", ratio(quantile(with, 0.99), quantile(without, 0.99))},
		{"noise_p50", ratio(quantile(control, 0.5), quantile(without, 0.5))}, {"noise_p99", ratio(quantile(control, 0.99), quantile(without, 0.99))},
	}, errors.Join(err, f.close(), ours.stop())
}

// first changes one client.
func (f *fleet) first(change func(*client)) {
	c := f.clients[0]
	c.mu.Lock()
	defer c.mu.Unlock()
	change(c)
}

// others publishes, and says how long it took until n clients had acknowledged it.
func (s *sluice) others(ctx context.Context, next scene, n int) (time.Duration, error) {
	begin := time.Now()
	if err := s.Publish(ctx, gateway(), next.resources()); err != nil {
		return 0, err
	}
	limit := time.NewTimer(patience)
	defer limit.Stop()
	for {
		changed := s.Changed()
		c := s.Convergence(splitName, splitUID, next.seq)
		if c.Acked >= n {
			return time.Since(begin), nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-limit.C:
			return 0, fmt.Errorf("still not acknowledged by %d: %+v", n, c)
		}
	}
}
