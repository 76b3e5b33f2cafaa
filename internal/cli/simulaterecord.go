package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/pflag"

	"github.com/sluice-dev/sluice/analysis"
	"github.com/sluice-dev/sluice/analysis/prom"
	"github.com/sluice-dev/sluice/analysis/sim"
	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/xds/istio"
)

// recordFlags say where traffic of a past range comes from.
type recordFlags struct {
	file, badFile  string
	server         string
	from, to       string
	requests, bads string // PromQL
	domain         string
}

// recordNames are the flags.
func recordNames() []string {
	return []string{"profile", "profile-bad", "prometheus", "from", "to", "requests-query", "bad-query", "domain-suffix"}
}

func (r *recordFlags) register(f *pflag.FlagSet) {
	f.StringVar(&r.file, "profile", "", "JSON of Prometheus with recorded requests: their rate and bad share become the traffic")
	f.StringVar(&r.badFile, "profile-bad", "", "JSON of Prometheus with the bad ones, where --profile does not hold them by Envoy's names")
	f.StringVar(&r.server, "prometheus", "", "URL of a Prometheus to read the recorded requests from")
	f.StringVar(&r.from, "from", "", "start of the recorded range, as RFC 3339")
	f.StringVar(&r.to, "to", "", "its end")
	f.StringVar(&r.requests, "requests-query", "", "PromQL for requests a second (default: those of the Rollout's host)")
	f.StringVar(&r.bads, "bad-query", "", "PromQL for bad requests a second (default: those of the Rollout's host)")
	f.StringVar(&r.domain, "domain-suffix", "cluster.local", "suffix of the names of Kubernetes services")
}

// asked reports that traffic is to be as recorded.
func (r *recordFlags) asked() bool { return r.file != "" || r.server != "" }

// fits says which flags do not go together.
func (r *recordFlags) fits(plan bool, given func(string) bool) error {
	not := func(because string, flags ...string) error {
		if i := slices.IndexFunc(flags, given); i >= 0 {
			return fmt.Errorf("--%s %s", flags[i], because)
		}
		return nil
	}
	switch {
	case r.file != "" && r.server != "":
		return errors.New("give --profile or --prometheus, not both")
	case r.asked() && (given("rps") || given("stable-errors")):
		return errors.New("the recording says what --rps and --stable-errors would: leave them out")
	case r.file != "":
		return not("is for --prometheus", "from", "to", "requests-query", "bad-query", "domain-suffix")
	case r.server == "":
		return not("means nothing without --profile or --prometheus", recordNames()...)
	case r.from == "" || r.to == "":
		return errors.New("--prometheus needs --from and --to, such as 2026-05-12T09:00:00Z")
	case (r.requests == "") != (r.bads == ""):
		return errors.New("give --requests-query and --bad-query together")
	case r.requests == "" && !plan:
		return errors.New("--prometheus needs --requests-query and --bad-query, or a Rollout whose host to ask for")
	}
	return not("is for --prometheus", "profile-bad")
}

// read gives the recording.
func (r *recordFlags) read(ctx context.Context, ro *v1alpha1.Rollout) (sim.Recording, error) {
	var series []sim.Recorded
	var err error
	if r.file != "" {
		series, err = r.files()
	} else {
		series, err = r.fetch(ctx, ro)
	}
	if err != nil {
		return sim.Recording{}, err
	}
	out, err := sim.Record(series)
	if err != nil {
		return sim.Recording{}, fmt.Errorf("%s: %w", r.file+r.server, err)
	}
	return out, nil
}

// files reads --profile and --profile-bad.
func (r *recordFlags) files() ([]sim.Recorded, error) {
	all, err := readRecords(r.file)
	if err != nil {
		return nil, err
	}
	var out []sim.Recorded
	if r.badFile != "" {
		bad, err := readRecords(r.badFile)
		if err != nil {
			return nil, err
		}
		return slices.Concat(named("requests", all, false), named("bad requests", bad, true)), nil
	}
	for i, rec := range all {
		role, known := rec.Role()
		if !known {
			return nil, fmt.Errorf("%s: %s is no counter of Envoy's requests: give bad requests in a file of their own, by --profile-bad",
				r.file, nameOf(rec, i))
		}
		if role != "" {
			out = append(out, seriesOf("", rec, i, role == analysis.Bad))
		}
	}
	return out, nil
}

func readRecords(path string) ([]prom.Record, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the recording: %w", err)
	}
	out, err := prom.ReadRecords(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return out, nil
}

// named are series for the simulator: such with a name are counters, computed ones are rates.
func named(what string, records []prom.Record, bad bool) []sim.Recorded {
	out := make([]sim.Recorded, 0, len(records))
	for i, rec := range records {
		out = append(out, seriesOf(what+", ", rec, i, bad))
	}
	return out
}

func seriesOf(what string, rec prom.Record, i int, bad bool) sim.Recorded {
	return sim.Recorded{Name: what + nameOf(rec, i), Bad: bad, Counter: rec.Name() != "", Points: rec.Points}
}

// nameOf tells a series from others of the same answer.
func nameOf(r prom.Record, i int) string {
	text := "series " + strconv.Itoa(i+1)
	if name := r.Name(); name != "" {
		text += " (" + name + ")"
	}
	return text
}

// Steps of what is fetched.
const (
	finestStep = 15 * time.Second
	fetchSteps = 1000
	rateOver   = time.Minute // at least
)

// fetch asks Prometheus.
func (r *recordFlags) fetch(ctx context.Context, ro *v1alpha1.Rollout) ([]sim.Recorded, error) {
	from, err := time.Parse(time.RFC3339, r.from)
	if err != nil {
		return nil, fmt.Errorf("--from %q is no time: want such as 2026-05-12T09:00:00Z", r.from)
	}
	to, err := time.Parse(time.RFC3339, r.to)
	if err != nil {
		return nil, fmt.Errorf("--to %q is no time: want such as 2026-05-12T10:00:00Z", r.to)
	}
	if length := to.Sub(from); length < 2*finestStep || length > 31*24*time.Hour {
		return nil, fmt.Errorf("from --from to --to are %v: want %v to 31 days", length, 2*finestStep)
	}
	server, err := prom.New(prom.Config{URL: r.server, Timeout: prom.MaxTimeout})
	if err != nil {
		return nil, fmt.Errorf("--prometheus: %w", err)
	}
	defer server.Close()
	step := max(finestStep, (to.Sub(from)/fetchSteps).Truncate(time.Second)+time.Second)
	requests, bads := r.requests, r.bads
	if requests == "" {
		host := istio.ResolveHost(ro.Spec.Host, cmp.Or(ro.Namespace, "default"), r.domain)
		requests, bads = prom.Requests(host, max(rateOver, 2*step)), prom.BadRequests(host, max(rateOver, 2*step))
	}
	all, err := server.Records(ctx, requests, from, to, step)
	if err != nil {
		return nil, fmt.Errorf("asking %s for requests: %w", r.server, err)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s knows no requests of that range: %s gives no series", r.server, requests)
	}
	bad, err := server.Records(ctx, bads, from, to, step)
	if err != nil {
		return nil, fmt.Errorf("asking %s for bad requests: %w", r.server, err)
	}
	return slices.Concat(rates("requests", all, false), rates("bad requests", bad, true)), nil
}

// rates are series of queries: they give rates, whatever their names.
func rates(what string, records []prom.Record, bad bool) []sim.Recorded {
	out := named(what, records, bad)
	for i := range out {
		out[i].Counter = false
	}
	return out
}

// load reads the recording, if there is to be one.
func (o *simulateOptions) load(ctx context.Context, ro *v1alpha1.Rollout) error {
	if !o.record.asked() {
		return nil
	}
	var err error
	if o.recording, err = o.record.read(ctx, ro); err != nil {
		return &Exit{Code: ExitUsage, Err: err}
	}
	return nil
}

// means are the rate and the bad share of stable.
func (o *simulateOptions) means() (rate, bad float64) {
	if len(o.recording.Pieces) > 0 {
		return o.recording.Rate, o.recording.Bad
	}
	return o.world.Rate, float64(o.stableErrors)
}

// traffic is the world in words.
func (o *simulateOptions) traffic() string {
	rate, bad := o.means()
	if len(o.recording.Pieces) == 0 {
		return fmt.Sprintf("%v rps, stable %s bad", rate, percentOf(bad))
	}
	return fmt.Sprintf("%s rps as recorded in %s from %s, %s bad", analysis.Digits(rate), spanOf(o.recording.Length),
		o.recording.Start.Format(time.RFC3339), percentOf(bad))
}

// column says what the shares of rows are.
func (o *simulateOptions) column() string {
	if len(o.recording.Pieces) > 0 {
		return "fault adds"
	}
	return "canary errors"
}
