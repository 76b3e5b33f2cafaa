package app

import (
	"context"
	"net"
	"time"
)

// While the API server is away, those who list and watch its objects wait longer after each failure, a minute in the end,
// and that long after it is back a replica would not see what is stored. So a connection is tried again and again for a
// while before it counts as failed.
const (
	tryWithin = 2 * time.Second // for an answer to one attempt
	tryEvery  = 500 * time.Millisecond
	tryFor    = 30 * time.Second // whoever gave up waiting leaves an attempt behind for no longer
)

// dialUntilBack connects as soon as somebody listens.
func dialUntilBack(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, tryFor)
	defer cancel()
	d := net.Dialer{Timeout: tryWithin, KeepAlive: 30 * time.Second}
	again := time.NewTicker(tryEvery)
	defer again.Stop()
	for {
		conn, err := d.DialContext(ctx, network, address)
		if err == nil {
			return conn, nil
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return nil, err
		}
	}
}
