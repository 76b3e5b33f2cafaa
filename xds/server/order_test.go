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

// TestReconnect_endpointsOfAClusterThatWarmsAreSent: a client whose stream broke while a cluster warmed has the cluster and not its
// endpoints. It says so by a name without a version, and waits for them.
func TestReconnect_endpointsOfAClusterThatWarmsAreSent(t *testing.T) {
	newBench(t, false).publish(two("t1")).
		say(request{typeURL: clusters.typeURL(), versions: map[string]string{"a": "c1", "b": "c1"}}).expect().
		say(request{typeURL: endpoints.typeURL(), subscribe: []string{"a", "b"}, versions: map[string]string{"a": "e1"}}).expect("eds b=e1").
		ack(endpoints).expect()
}
