package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/sluice-dev/sluice/analysis"
	"github.com/sluice-dev/sluice/analysis/prom"
	"github.com/sluice-dev/sluice/internal/cli/lint"
)

// measured is how much of the past says what traffic a host gets.
const measured = time.Hour

// measure asks a Prometheus for the traffic of the hosts of all Rollouts. What it does not know becomes a note: no files
// are wrong for that.
func measure(ctx context.Context, server *prom.Server, hosts map[string]string, at time.Time) (rates map[string]float64, notes []string) {
	rates = map[string]float64{}
	known := map[string]float64{}
	for _, ref := range slices.Sorted(maps.Keys(hosts)) {
		host := hosts[ref]
		rate, asked := known[host]
		if !asked {
			var err error
			rate, err = server.Value(ctx, prom.Requests(host, measured), at)
			if f, ok := errors.AsType[*prom.Failure](err); ok && f.Reason == analysis.NoSeries {
				rate, err = 0, nil
			}
			if err != nil {
				notes = append(notes, fmt.Sprintf("the traffic of %s is not known: %v", host, err))
				if down(err) {
					return rates, notes
				}
				continue
			}
			if rate == 0 {
				notes = append(notes, fmt.Sprintf("%s had no requests in the last hour", host))
			}
			known[host] = rate
		}
		if rate > 0 {
			rates[ref] = rate
		}
	}
	return rates, notes
}

// down reports that further questions would end alike.
func down(err error) bool {
	f, ok := errors.AsType[*prom.Failure](err)
	return !ok || slices.Contains([]analysis.Reason{analysis.Unreachable, analysis.Timeout, analysis.Unauthorized, analysis.HTTPStatus}, f.Reason)
}

// ask measures if a server is given and no rate.
func (o *lintOptions) ask(ctx context.Context, s Streams, in lint.Input) error {
	if o.prometheus == "" || o.Rate > 0 {
		return nil
	}
	server, err := prom.New(prom.Config{URL: o.prometheus, Gather: -1})
	if err != nil {
		return fmt.Errorf("--prometheus: %w", err)
	}
	defer server.Close()
	rates, notes := measure(ctx, server, lint.Hosts(in, o.Options), o.now())
	o.Rates = rates
	for _, note := range notes {
		fmt.Fprintln(s.Err, "note: "+note)
	}
	return nil
}
