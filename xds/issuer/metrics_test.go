package issuer_test

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
)

// lasts is how many days what an issuer keeps has lasted and will last, by what it measures.
func (b *bench) lasts(i *taken) []string {
	b.t.Helper()
	all := prometheus.NewRegistry()
	for _, c := range i.Collectors() {
		if err := all.Register(c); err != nil {
			b.t.Fatal(err)
		}
	}
	families, err := all.Gather()
	if err != nil {
		b.t.Fatal(err)
	}
	days := map[string]map[string]int{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := ""
			for _, l := range m.GetLabel() {
				name = l.GetValue() + " " + name
			}
			if days[name] == nil {
				days[name] = map[string]int{}
			}
			days[name][f.GetName()] = int(math.Round(time.Unix(int64(m.GetGauge().GetValue()), 0).Sub(b.time()).Hours() / 24))
		}
	}
	var out []string
	for _, name := range slices.Sorted(maps.Keys(days)) {
		of := days[name]
		out = append(out, fmt.Sprintf("%s%d to %d", name, of["sluice_certificate_start_timestamp_seconds"], of["sluice_certificate_expiry_timestamp_seconds"]))
	}
	return out
}

// TestIssuer_measuresFromWhenUntilWhen: of the server's Secret every replica, of the gateway's the one that leads, of what is renewed the
// newest.
func TestIssuer_measuresFromWhenUntilWhen(t *testing.T) {
	b := newBench(t)
	leader, other := b.issuer(true), b.issuer(false)
	is := func(of *taken, want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, b.lasts(of)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	is(leader)
	b.settle(leader)
	b.settle(other)
	server := []string{"sluice-xds authority 0 to 3650", "sluice-xds certificate 0 to 90"}
	is(other, server...)
	is(leader, append([]string{"sluice-gateway authority 0 to 3650", "sluice-gateway certificate 0 to 90"}, server...)...)
	b.pass(50 * day)
	b.settle(leader)
	is(leader, "sluice-gateway authority -50 to 3600", "sluice-gateway certificate -50 to 40", "sluice-xds authority -50 to 3600", "sluice-xds certificate -50 to 40")
	b.pass(20 * day)
	b.settle(leader)
	is(leader, "sluice-gateway authority -70 to 3580", "sluice-gateway certificate 0 to 90", "sluice-xds authority -70 to 3580", "sluice-xds certificate 0 to 90")
	b.pass(2430 * day)
	b.settle(leader)
	is(leader, "sluice-gateway authority 0 to 3650", "sluice-gateway certificate 0 to 90", "sluice-xds authority 0 to 3650", "sluice-xds certificate 0 to 90")
	leader.leads = false
	b.settle(leader)
	is(leader, "sluice-xds authority 0 to 3650", "sluice-xds certificate 0 to 90")
}
