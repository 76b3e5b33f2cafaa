package server

import (
	"bytes"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"pgregory.net/rapid"
)

// drawnItems are resources of all sizes that are treated differently.
func drawnItems(t *rapid.T) []*item {
	var out []*item
	for range rapid.IntRange(0, 4).Draw(t, "items") {
		size := rapid.SampledFrom([]int{0, 1, 127, 128, copied - 1, copied, 3 * copied, 70_000}).Draw(t, "size")
		out = append(out, &item{
			name: rapid.StringN(0, 200, 300).Draw(t, "name"), version: rapid.StringN(0, 32, 64).Draw(t, "version"),
			any: &anypb.Any{TypeUrl: rapid.SampledFrom([]string{"", routes.typeURL()}).Draw(t, "type"), Value: bytes.Repeat([]byte{7}, size)},
		})
	}
	return out
}

func TestEncode_isTheMessage(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := response{
			typeURL: routes.typeURL(), nonce: rapid.SampledFrom([]string{"1", "18446744073709551615"}).Draw(t, "nonce"),
			version: rapid.StringN(0, 32, 64).Draw(t, "state"), items: drawnItems(t),
			removed: rapid.SliceOfN(rapid.StringN(1, 200, 300), 0, 3).Draw(t, "removed"),
		}
		plane := &corev3.ControlPlane{Identifier: "sluice/1"}
		delta := &discovery.DeltaDiscoveryResponse{TypeUrl: r.typeURL, Nonce: r.nonce, RemovedResources: r.removed, ControlPlane: plane}
		sotw := &discovery.DiscoveryResponse{TypeUrl: r.typeURL, Nonce: r.nonce, VersionInfo: r.version, ControlPlane: plane}
		for _, i := range r.items {
			delta.Resources = append(delta.Resources, &discovery.Resource{Name: i.name, Version: i.version, Resource: i.any})
			sotw.Resources = append(sotw.Resources, i.any)
		}
		compare(t, encodeDelta(r, "sluice/1"), delta, &discovery.DeltaDiscoveryResponse{})
		compare(t, encodeSotw(r, "sluice/1"), sotw, &discovery.DiscoveryResponse{})
	})
}

func compare(t *rapid.T, e encoded, want, got proto.Message) {
	pieces, err := codec{}.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	if err := proto.Unmarshal(pieces.Materialize(), got); err != nil {
		t.Fatal(err)
	}
	if !proto.Equal(want, got) {
		t.Errorf("got %.1000v, want %.1000v", got, want)
	}
}
