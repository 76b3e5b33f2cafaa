package istio_test

import (
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/sluice-dev/sluice/xds/istio"
)

func TestCheck_refusesWhatWouldHaveNoEffect(t *testing.T) {
	const head = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: reviews, namespace: shop}\nspec:\n  hosts: [reviews]\n  http:\n"
	const gateway = "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: gw, namespace: shop}\nspec:\n  servers:\n  - port: {number: 443, name: https, protocol: HTTPS}\n    hosts: [a.example]\n    tls: "
	for _, c := range []struct{ name, text, code, field string }{
		{"sound", head + "  - route: [{destination: {host: reviews}}]\n", "", ""},
		{"negative weight", head + "  - route: [{destination: {host: reviews}, weight: -1}]\n", "S025", "spec.http[0].route[0].weight"},
		{"no weight at all", head + "  - route: [{destination: {host: a}}, {destination: {host: b}}]\n", "S025", "spec.http[0].route"},
		{"redirect beside route", head + "  - route: [{destination: {host: a}}]\n    redirect: {uri: /b}\n", "S026", "spec.http[0]"},
		{"unknown field", head + "  - route: [{destination: {host: reviews, hosts: a}}]\n", "S001", "spec.http[0].route[0].destination.hosts"},
		{"server without a certificate", gateway + "{mode: SIMPLE}\n", "S032", "spec.servers[0].tls"},
		{"mode that is for a mesh", gateway + "{mode: ISTIO_MUTUAL}\n", "", ""},
		{"server by a Secret", gateway + "{mode: SIMPLE, credentialName: nosuch}\n", "", ""},
		{"not ours", "apiVersion: v1\nkind: Service\nmetadata: {name: a}\n", "", ""},
	} {
		var object map[string]any
		if err := yaml.Unmarshal([]byte(c.text), &object); err != nil {
			t.Fatal(err)
		}
		ps := istio.Check(object)
		switch {
		case c.code == "" && len(ps) > 0:
			t.Errorf("%s: got %v, want no Problem", c.name, ps)
		case c.code != "" && (len(ps) == 0 || ps[0].Code != c.code || ps[0].Field != c.field):
			t.Errorf("%s: got %v, want %s at %s", c.name, ps, c.code, c.field)
		}
	}
}
