package istio_test

import (
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/sluice-dev/sluice/xds/istio"
)

func TestCheck_values(t *testing.T) {
	const (
		head  = "apiVersion: networking.istio.io/v1\nmetadata: {name: a, namespace: shop}\n"
		vs    = head + "kind: VirtualService\nspec: {hosts: [a], http: [{route: [{destination: {host: a}}]}, {name: second, %}]}\n"
		bound = head + "kind: VirtualService\nspec: {hosts: [a.example], gateways: [gw, other/gw], exportTo: [other], http: [{%}]}\n"
		dr    = head + "kind: DestinationRule\nspec: {host: a, exportTo: [other], workloadSelector: {matchLabels: {app: x}}, %}\n"
		se    = head + "kind: ServiceEntry\nspec: {hosts: [a.example], %}\n"
		we    = head + "kind: WorkloadEntry\nspec: {%}\n"
		to    = "route: [{destination: {host: b, subset: nosuch}}]"
	)
	for _, c := range []struct{ name, form, part, code, field string }{
		{"sound rule", vs, to, "", ""},
		{"sound rule of a gateway", bound, to + ", match: [{uri: {prefix: /a}, gateways: [gw], sourceLabels: {a: b}, port: 8080}]", "", ""},
		{"delegate", head + "kind: VirtualService\nspec: {http: [{%}]}\n", to + ", fault: {abort: {httpStatus: 99, percentage: {value: 5}}}", "S002", "spec.http[0].fault.abort.httpStatus"},
		{"fault", vs, to + ", fault: {delay: {fixedDelay: 0s, percentage: {value: 5}}}", "S002", "spec.http[1].fault.delay.fixedDelay"},
		{"fault of a gateway's rule", bound, to + ", fault: {abort: {httpStatus: 1000, percentage: {value: 5}}}", "S002", "spec.http[0].fault.abort.httpStatus"},
		{"regular expression", vs, to + ", match: [{uri: {regex: \"(\"}, sourceNamespace: other}]", "S027", "spec.http[1].match[0].uri"},
		{"redirect", vs, "redirect: {uri: /b, redirectCode: 200}", "S028", "spec.http[1].redirect.redirectCode"},
		{"direct response", vs, "directResponse: {status: 99}", "S002", "spec.http[1].directResponse.status"},
		{"sound policy", dr, "trafficPolicy: {connectionPool: {tcp: {connectTimeout: 1s}}}", "", ""},
		{"policy", dr, "trafficPolicy: {connectionPool: {tcp: {maxConnections: -1}}}", "S002", "spec.trafficPolicy.connectionPool.tcp.maxConnections"},
		{"policy of a port", dr, "trafficPolicy: {portLevelSettings: [{port: {number: 8080}, outlierDetection: {interval: 0s}}]}", "S002", "spec.trafficPolicy.portLevelSettings[0].outlierDetection.interval"},
		{"policy beside that of a port", dr, "trafficPolicy: {outlierDetection: {interval: 0s}, portLevelSettings: [{port: {number: 80}}]}", "S002", "spec.trafficPolicy.outlierDetection.interval"},
		{"hash", dr, "subsets: [{name: v1, labels: {}, trafficPolicy: {loadBalancer: {consistentHash: {httpHeaderName: \"a b\"}}}}]", "S002", "spec.subsets[0].trafficPolicy.loadBalancer.consistentHash.httpHeaderName"},
		{"subset twice", dr, "subsets: [{name: v1}, {name: v1}]", "S041", "spec.subsets[1]"},
		{"wildcard rule", head + "kind: DestinationRule\nspec: {host: \"*.local\", %}\n", "trafficPolicy: {loadBalancer: {warmup: {duration: 0s}}}", "S002", "spec.trafficPolicy.loadBalancer.warmup.duration"},
		{"sound entry", se, "resolution: DNS, ports: [{number: 80, name: http, protocol: HTTP}]", "", ""},
		{"port of an entry", se, "resolution: DNS, ports: [{number: 80000, name: http, protocol: HTTP}]", "S002", "spec.ports[0]"},
		{"endpoint of an entry", se, "resolution: STATIC, ports: [{number: 80, name: http, protocol: HTTP}], endpoints: [{address: a.example}]", "S052", "spec.endpoints[0].address"},
		{"sound machine", we, "address: vm.example, ports: {http: 80}", "", ""},
		{"machine at a socket", we, "address: \"unix:///run/a.sock\"", "", ""},
		{"port of a machine", we, "address: 10.0.0.1, ports: {http: 80000}", "S002", "spec.ports[\"http\"]"},
		{"address of a machine", we, "address: \"*.example\"", "S052", "spec.address"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var object map[string]any
			if err := yaml.Unmarshal([]byte(strings.Replace(c.form, "%", c.part, 1)), &object); err != nil {
				t.Fatal(err)
			}
			ps := istio.Check(object)
			switch {
			case c.code == "" && len(ps) > 0:
				t.Errorf("got %v, want no Problem", ps)
			case c.code != "" && (len(ps) != 1 || ps[0].Code != c.code || ps[0].Field != c.field):
				t.Errorf("got %v, want %s at %s", ps, c.code, c.field)
			}
		})
	}
}
