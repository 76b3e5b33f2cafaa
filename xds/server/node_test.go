package server

import (
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"github.com/sluice-dev/sluice/xds/ir"
)

func TestClassify_localityOnlyWhereItMatters(t *testing.T) {
	for _, c := range []struct {
		locality *corev3.Locality
		matters  bool
		want     string
	}{
		{&corev3.Locality{Region: "eu", Zone: "a"}, true, "eu/a/"},
		{&corev3.Locality{Region: "eu", Zone: "a", SubZone: "1"}, true, "eu/a/1"},
		{&corev3.Locality{Region: "eu", Zone: "a"}, false, ""},
		{&corev3.Locality{}, true, ""},
		{nil, true, ""},
	} {
		n := node("n1")
		n.Locality = c.locality
		who, err := identify(n)
		if err != nil {
			t.Fatal(err)
		}
		if got := who.classify(ir.ClassKeys{Locality: c.matters}).Locality; got != c.want {
			t.Errorf("%v, matters %v: class locality %q, want %q", c.locality, c.matters, got, c.want)
		}
	}
}
