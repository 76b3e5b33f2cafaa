package cli_test

import (
	"strings"
	"testing"
)

// policyMesh is the shop with a rule that holds the policies.
func policyMesh(policies string) string {
	return strings.Replace(shopMesh, "  - name: primary\n", "  - name: primary\n"+policies, 1)
}

func TestRoute_saysPolicies(t *testing.T) {
	cases := map[string]struct {
		mesh string
		text []string
		json []string
	}{
		"fault": {
			mesh: policyMesh("    fault: {delay: {fixedDelay: 2s, percentage: {value: 12.5}}, abort: {grpcStatus: UNAVAILABLE, percentage: {value: 0.1}}}\n"),
			text: []string{"fault     12.5% of it delayed by 2s", "fault     0.1% of it answered with gRPC status UNAVAILABLE by the proxy itself"},
			json: []string{`"percent": 12.5`, `"fixedDelay": "2s"`, `"grpcStatus": "UNAVAILABLE"`},
		},
		"abort by status": {
			mesh: policyMesh("    fault: {abort: {httpStatus: 503, percentage: {value: 100}}}\n"),
			text: []string{"is forwarded", "fault     100% of it answered 503 by the proxy itself"},
			json: []string{`"outcome": "route"`, `"httpStatus": 503`},
		},
		"cors": {
			mesh: policyMesh("    corsPolicy: {allowOrigins: [{exact: https://a.example}, {prefix: https://b.}], allowMethods: [GET, PUT], maxAge: 24h, allowCredentials: true}\n"),
			text: []string{"cors      origins https://a.example, https://b.*; methods GET, PUT; with credentials"},
			json: []string{`"exact": "https://a.example"`, `"prefix": "https://b."`, `"maxAge": "24h0m0s"`, `"unmatchedPreflights": "FORWARD"`},
		},
		"hash": {
			mesh: strings.Replace(shopMesh, "  subsets: [", "  trafficPolicy: {loadBalancer: {consistentHash: {httpCookie: {name: cart, ttl: 1h}}}}\n  subsets: [", 1),
			text: []string{"RING_HASH", "hash      cookie cart"},
			json: []string{`"cookie": "cart"`, `"lb": "RING_HASH"`},
		},
		"rewrite by regex": {
			mesh: policyMesh("    rewrite: {uriRegexRewrite: {match: '^/([a-z]*)', rewrite: '/v2/\\1'}}\n"),
			text: []string{"rewrite   path /v2/"},
			json: []string{`"path": "/v2/"`, `"pattern": "^/([a-z]*)"`, `"substitution": "/v2/\\1"`},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			dir := files(t, map[string]string{"mesh.yaml": c.mesh, "service.yaml": shopService})
			for flag, want := range map[string][]string{"text": c.text, "json": c.json} {
				code, out, errs := runCLI(t, "", "route", "-f", dir, "http://shop.example/", "-o", flag)
				for _, line := range want {
					if code != 0 || !strings.Contains(out, line) {
						t.Errorf("-o %s: exit %d, no %q in:\n%s%s", flag, code, line, out, errs)
					}
				}
			}
		})
	}
}
