package server

import (
	"fmt"
	"slices"
	"testing"

	"github.com/sluice-dev/sluice/xds/envoy"
)

// TestPlan_sendsInTheOrderOfNames: whoever asks, and whenever, gets the same bytes.
func TestPlan_sendsInTheOrderOfNames(t *testing.T) {
	var r envoy.Resources
	want := "cds"
	for i := range 60 {
		name := fmt.Sprintf("c%02d", i)
		r.Clusters = append(r.Clusters, res(clusters, name, "v"))
		want += " " + name + "=v"
	}
	slices.Reverse(r.Clusters)
	for _, sotw := range []bool{false, true} {
		newBench(t, sotw).publish(r).say(request{typeURL: clusters.typeURL()}).expect(want)
	}
}
