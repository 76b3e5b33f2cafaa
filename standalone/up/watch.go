package up

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/sluice-dev/sluice/internal/cli"
)

const maxAnswer = 1 << 20

// announceListeners says each address that Envoy begins to listen on, until the context ends.
func announceListeners(ctx context.Context, s cli.Streams, admin string) {
	if admin == "" {
		return
	}
	var known []string
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		now, err := listeners(ctx, admin)
		if err == nil {
			for _, address := range now {
				if !slices.Contains(known, address) {
					fmt.Fprintf(s.Err, "Envoy listens on %s\n", address)
				}
			}
			known = now
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// listeners asks Envoy's administration interface for the addresses it listens on, sorted.
func listeners(ctx context.Context, admin string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+admin+"/listeners?format=json", nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var answer struct {
		Statuses []struct {
			Local struct {
				Socket struct {
					Address string `json:"address"`
					Port    int    `json:"port_value"`
				} `json:"socket_address"`
			} `json:"local_address"`
		} `json:"listener_statuses"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(&answer); err != nil {
		return nil, fmt.Errorf("reading Envoy's listeners: %w", err)
	}
	var out []string
	for _, l := range answer.Statuses {
		if l.Local.Socket.Port > 0 {
			out = append(out, fmt.Sprintf("%s:%d", l.Local.Socket.Address, l.Local.Socket.Port))
		}
	}
	slices.Sort(out)
	return out, nil
}
