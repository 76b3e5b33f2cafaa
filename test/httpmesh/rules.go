package httpmesh

import "fmt"

func (m maker) virtualService(name string) Object {
	hosts := pick(m, [][]any{{"*"}, {"shop.example"}, {"*.shop.example"}, {"a.shop.example", "shop.example"}, {"*.example", "example"}, {"other.example", "example"}, {"*.a.shop.example"}, {"*"}})
	spec := Object{"gateways": pick(m, [][]any{{"front"}, {"front", "side"}, {Namespace + "/front"}, {"side"}})}
	if m.one(1, 3) {
		hosts, spec["gateways"] = []any{pick(m, Services())}, pick(m, [][]any{{"mesh"}, {"mesh", "front"}})
	}
	spec["hosts"] = hosts
	rules := []any{}
	for i := range 1 + m.IntN(5) {
		rules = append(rules, m.rule(fmt.Sprintf("%s-%d", name, i)))
	}
	if m.one(1, 2) {
		last := Object{"name": name + "-last"}
		m.forward(last)
		rules = append(rules, last)
	}
	spec["http"] = rules
	out := istio("VirtualService", name, spec)
	if m.one(1, 2) {
		out["metadata"].(Object)["creationTimestamp"] = fmt.Sprintf("2026-01-%02dT00:00:00Z", 1+m.IntN(9))
	}
	return out
}

func (m maker) rule(name string) Object {
	rule := Object{"name": name}
	if m.one(5, 6) {
		matches := []any{}
		for range 1 + m.IntN(2) {
			matches = append(matches, m.match())
		}
		rule["match"] = matches
	}
	switch m.IntN(7) {
	case 0, 1:
		rule["redirect"] = m.redirect()
	case 2:
		rule["directResponse"] = Object{"status": pick(m, []int{200, 204, 403, 503}), "body": Object{"string": "by " + name}}
		if rule["directResponse"].(Object)["status"] == 204 {
			delete(rule["directResponse"].(Object), "body")
		}
	default:
		m.forward(rule)
	}
	if m.one(1, 4) {
		rule["headers"] = m.headerEdits()
	}
	if m.one(1, 8) {
		rule["corsPolicy"] = Object{"allowOrigins": []any{pick(m, []Object{{"exact": "https://page.example"}, {"prefix": "https://"}, {"regex": `https://.*\.example`}})}, "allowMethods": []any{"GET", "POST"}, "maxAge": "600s"}
	}
	return rule
}

func (m maker) match() Object {
	out := Object{}
	if m.one(3, 4) {
		out["uri"] = pick(m, []Object{
			{"prefix": "/cart"}, {"prefix": "/"}, {"prefix": "/Cart"}, {"exact": "/cart"}, {"exact": "/old"}, {"exact": "/"}, {"regex": "/cart/.*"},
			{"regex": ".*"}, {"regex": "/(old|static)(/.*)?"}, {"regex": `/cart/items/\d+`}, {"prefix": "/old/"}, {"prefix": "/a"},
		})
		if m.one(1, 4) {
			out["ignoreUriCase"] = true
		}
	}
	names, _ := Headers()
	if m.one(1, 4) {
		out["headers"] = Object{pick(m, names): m.text()}
	}
	if m.one(1, 8) {
		out["withoutHeaders"] = Object{pick(m, names): m.text()}
	}
	if m.one(1, 8) {
		out["queryParams"] = Object{pick(m, []string{"user", "flag"}): pick(m, []Object{{"exact": "me"}, {"prefix": "y"}, {"regex": "m.*"}, {}, {"exact": ""}})}
	}
	if m.one(1, 8) {
		out["method"] = pick(m, []Object{{"exact": "POST"}, {"regex": "GET|DELETE"}, {"prefix": "P"}})
	}
	if m.one(1, 10) {
		out["authority"] = pick(m, []Object{{"exact": "shop.example"}, {"prefix": "a."}, {"regex": `.*\.example(:\d+)?`}})
	}
	if m.one(1, 12) {
		out["scheme"] = pick(m, []Object{{"exact": "http"}, {"exact": "https"}, {"prefix": "http"}})
	}
	if m.one(1, 12) {
		out["port"] = pick(m, Ports())
	}
	if m.one(1, 12) {
		out["gateways"] = pick(m, [][]any{{"front"}, {"mesh"}, {"side"}})
	}
	return out
}

// text is a condition on a string.
func (m maker) text() Object {
	return pick(m, []Object{{"exact": "me"}, {"exact": "yes"}, {"prefix": "y"}, {"prefix": "user="}, {"regex": "[a-z]+[0-9]+"}, {"regex": "*"}, {"regex": "me|you"}, {"regex": ".*theme=dark.*"}, {}, {"exact": "me,you"}})
}

func (m maker) redirect() Object {
	out := pick(m, []Object{
		{"uri": "/new"}, {"authority": "new.example"}, {"uri": "/new?from=old", "authority": "new.example"}, {"scheme": "https"}, {"scheme": "https", "port": 8443},
		{"port": 8080}, {"derivePort": "FROM_REQUEST_PORT", "authority": "new.example"}, {"derivePort": "FROM_PROTOCOL_DEFAULT", "scheme": "https"}, {"scheme": "https", "port": 443},
	})
	if m.one(1, 2) {
		out["redirectCode"] = pick(m, []int{301, 302, 303, 307, 308})
	}
	return out
}

// destinations are services, some with endpoints more often than those without.
func destinations() []string {
	return []string{"cart", "reviews", "ratings", "cart", "reviews", "ratings", "cart", "reviews", "ratings", "empty", "nowhere"}
}

func (m maker) forward(rule Object) {
	route := []any{}
	for range []int{1, 1, 1, 2, 2, 3}[m.IntN(6)] {
		destination := Object{"host": pick(m, destinations())}
		if m.one(1, 2) {
			destination["subset"] = pick(m, []string{"v1", "v2", "v1", "v2", "v1", "v2", "v3", "v9"})
		}
		destination["port"] = Object{"number": pick(m, Ports())}
		one := Object{"destination": destination, "weight": pick(m, []int{0, 20, 30, 50})}
		if m.one(1, 6) {
			one["headers"] = m.headerEdits()
		}
		route = append(route, one)
	}
	rule["route"] = route
	if m.one(1, 3) {
		rule["rewrite"] = pick(m, []Object{
			{"uri": "/"}, {"uri": "/new"}, {"uri": "/new/"}, {"authority": "inner.example"}, {"uri": "/x", "authority": "inner.example"},
			{"uriRegexRewrite": Object{"match": "/cart/(.*)", "rewrite": `/basket/\1`}}, {"uriRegexRewrite": Object{"match": "a", "rewrite": "e"}},
		})
	}
	if m.one(1, 3) {
		rule["timeout"] = pick(m, []string{"5s", "0.5s", "0s"})
	}
	if m.one(1, 3) {
		rule["retries"] = pick(m, []Object{{"attempts": 0}, {"attempts": 3, "perTryTimeout": "2s", "retryOn": "5xx,429"}, {"attempts": 1, "backoff": "10ms"}})
	}
	if m.one(1, 6) {
		rule["mirror"] = Object{"host": pick(m, Services()), "port": Object{"number": 80}}
		rule["mirrorPercentage"] = Object{"value": pick(m, []int{0, 50, 100})}
	}
	if m.one(1, 8) {
		rule["fault"] = pick(m, []Object{
			{"abort": Object{"httpStatus": 418, "percentage": Object{"value": 100}}}, {"abort": Object{"httpStatus": 500, "percentage": Object{"value": 0}}},
			{"delay": Object{"fixedDelay": "0.001s", "percentage": Object{"value": 100}}},
		})
	}
}

func (m maker) headerEdits() Object {
	edits := func() Object {
		return pick(m, []Object{
			{"set": Object{"x-set": "1"}}, {"add": Object{"x-add": "a"}}, {"remove": []any{"x-user"}}, {"set": Object{"x-beta": "on"}, "remove": []any{"x-tester"}},
			{"set": Object{"host": "inner.example"}}, {"set": Object{":authority": "pseudo.example"}},
		})
	}
	out := Object{"request": edits()}
	if m.one(1, 2) {
		out["response"] = pick(m, []Object{{"set": Object{"x-from": "mesh"}}, {"add": Object{"x-from": "mesh"}}, {"remove": []any{"x-powered"}}})
	}
	return out
}
