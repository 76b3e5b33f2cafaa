package istio_test

import (
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/sluice-dev/sluice/xds/istio"
)

func TestCheck_refusesWhatWouldHaveNoEffect(t *testing.T) {
	const head = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: reviews, namespace: shop}\nspec:\n  hosts: [reviews]\n  http:\n"
	const gateway = "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: gw, namespace: shop}\nspec:\n  servers:\n  - port: {number: 443, name: https, protocol: HTTPS}\n    hosts: [a.example]\n    tls: "
	const rule = "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: reviews, namespace: shop}\nspec:\n  host: reviews\n"
	for _, c := range []struct{ name, text, code, field string }{
		{"sound", head + "  - route: [{destination: {host: reviews}}]\n", "", ""},
		{"negative weight", head + "  - route: [{destination: {host: reviews}, weight: -1}]\n", "S025", "spec.http[0].route[0].weight"},
		{"no weight at all", head + "  - route: [{destination: {host: a}}, {destination: {host: b}}]\n", "S025", "spec.http[0].route"},
		{"redirect beside route", head + "  - route: [{destination: {host: a}}]\n    redirect: {uri: /b}\n", "S026", "spec.http[0]"},
		{"unknown field", head + "  - route: [{destination: {host: reviews, hosts: a}}]\n", "S001", "spec.http[0].route[0].destination.hosts"},
		{"server without a certificate", gateway + "{mode: SIMPLE}\n", "S032", "spec.servers[0].tls"},
		{"mode that is for a mesh", gateway + "{mode: ISTIO_MUTUAL}\n", "", ""},
		{"server by a Secret", gateway + "{mode: SIMPLE, credentialName: nosuch}\n", "", ""},
		{"bad expression", head + "  - match: [{gateways: [front], uri: {regex: \"(\"}}]\n    route: [{destination: {host: a}}]\n", "S027", "spec.http[0].match[0].uri"},
		{"class that Go alone knows", head + "  - match: [{gateways: [front], uri: {regex: '/\\p{Letter}'}}]\n    route: [{destination: {host: a}}]\n", "S027", "spec.http[0].match[0].uri"},
		{"bad fault", head + "  - fault: {abort: {httpStatus: 99, percentage: {value: 1}}}\n    route: [{destination: {host: a}}]\n", "S002", "spec.http[0].fault.abort.httpStatus"},
		{"bad redirect of a delegate", strings.Replace(head, "  hosts: [reviews]\n", "", 1) + "  - redirect: {redirectCode: 300}\n", "S028", "spec.http[0].redirect.redirectCode"},
		{"what it names is not there", head + "  - route: [{destination: {host: nobody, subset: v9}}]\n", "", ""},
		{"bad hash of a port", rule + "  trafficPolicy: {portLevelSettings: [{port: {number: 81}, loadBalancer: {consistentHash: {httpHeaderName: \"x y\"}}}]}\n", "S002",
			"spec.trafficPolicy.portLevelSettings[0].loadBalancer.consistentHash.httpHeaderName"},
		{"a subset twice", rule + "  subsets: [{name: v1}, {name: v1}]\n", "S041", "spec.subsets[1]"},
		{"a Gateway whose certificate is not there", "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: a}\nspec: {selector: {a: b}, servers: [{port: {number: 443, name: https, protocol: HTTPS}, hosts: [a.example], tls: {mode: SIMPLE, credentialName: c}}]}\n", "", ""},
		{"an egress that is none", "apiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {name: a}\nspec: {egress: [{hosts: [reviews]}]}\n", "S002", "spec.egress[0].hosts[0]"},
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
