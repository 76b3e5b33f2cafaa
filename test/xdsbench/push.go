package main

import (
	"context"
	"fmt"
	"runtime"
	"syscall"
	"time"
)

// filesOf is how many files the three systems need for n clients each: two ends of a connection, and some.
func filesOf(n int) uint64 { return uint64(3*2*n + 200) }

// push measures from a change to the last acknowledgement, for the three in turn.
func push(ctx context.Context, s settings, n, size int) (fields, error) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return nil, err
	}
	if need := filesOf(n); limit.Cur < need {
		return fields{{"left_out", fmt.Sprintf("needs %d open files, the limit is %d", need, limit.Cur)}}, nil
	}
	seq := uint64(1)
	c, err := newContest(ctx, scene{seq: seq, size: size}, n, s.apart)
	if err != nil {
		return nil, err
	}
	times, costs := make([][]time.Duration, len(c.systems)), make([]cost, len(c.systems))
	before := c.bytes()
	for round := range s.rounds {
		for i := range c.systems {
			at := (i + round) % len(c.systems)
			runtime.GC()
			start := spent()
			for range s.pushes {
				seq++
				next := scene{seq: seq, size: size, weight: int(seq % 1000)}
				begin := time.Now()
				if err := c.systems[at].push(ctx, next, n); err != nil {
					return nil, fmt.Errorf("%s: %w", c.systems[at].name(), err)
				}
				times[at] = append(times[at], time.Since(begin))
			}
			costs[at].add(start, spent())
		}
	}
	bytes := c.bytes() - before
	return pushed(times, costs, bytes, uint64(s.rounds*s.pushes)), c.close()
}

// pushed is the line of a push. The order of systems is: ours, the floor, the other.
func pushed(times [][]time.Duration, costs []cost, bytes int64, pushes uint64) fields {
	ours, least, theirs := times[0], times[1], times[2]
	p50, p99 := func(t []time.Duration) time.Duration { return quantile(t, 0.5) }, func(t []time.Duration) time.Duration { return quantile(t, 0.99) }
	cpu := func(c cost) float64 { return c.cpu.Seconds() * 1000 / float64(pushes) }
	return fields{
		{"sluice_p50", p50(ours)}, {"sluice_p99", p99(ours)}, {"floor_p50", p50(least)}, {"floor_p99", p99(least)},
		{"ratio_p50", ratio(p50(ours), p50(least))}, {"ratio_p99", ratio(p99(ours), p99(least))},
		{"snapshot_p50", p50(theirs)}, {"snapshot_p99", p99(theirs)},
		{"speedup_p50", ratio(p50(theirs), p50(ours))}, {"speedup_p99", ratio(p99(theirs), p99(ours))},
		{"cpu_ms", cpu(costs[0])}, {"floor_cpu_ms", cpu(costs[1])}, {"snapshot_cpu_ms", cpu(costs[2])}, {"cpu_ratio", cpu(costs[2]) / cpu(costs[0])},
		{"allocs", costs[0].allocs / pushes}, {"floor_allocs", costs[1].allocs / pushes}, {"snapshot_allocs", costs[2].allocs / pushes},
		{"wire_bytes", bytes / int64(pushes)}, {"pushes", pushes},
	}
}
