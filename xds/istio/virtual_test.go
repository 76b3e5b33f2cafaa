package istio

import (
	"fmt"
	"testing"

	"github.com/sluice-dev/sluice/xds/ir"
)

func TestTranslate_boundsRulesAndMatches(t *testing.T) {
	direct := map[string]any{"status": 200}
	var rules, matches []any
	for i := range 1001 {
		rules = append(rules, map[string]any{"match": []any{map[string]any{"uri": map[string]any{"exact": fmt.Sprintf("/%d", i)}}}, "directResponse": direct})
		matches = append(matches, map[string]any{"uri": map[string]any{"exact": fmt.Sprintf("/%d", i)}})
	}
	for _, c := range []struct {
		name  string
		http  []any
		field string
	}{
		{"rules", rules, "spec.http"},
		{"matches", []any{map[string]any{"match": matches, "directResponse": direct}}, "spec.http[0].match"},
	} {
		in := Input{Objects: []Object{objectIn("shop", "VirtualService", "many", map[string]any{"hosts": []any{"many.example"}, "http": c.http})}}
		cfg, problems := Translate(in, ir.ProxyClass{Kind: ir.KindSidecar, Namespace: "shop"})
		if n := len(cfg.Tables[0].VirtualHosts[1].Routes); n != 1000 {
			t.Errorf("%s: %d routes, want 1000", c.name, n)
		}
		if len(problems) != 1 || problems[0].Code != "S002" || problems[0].Field != c.field {
			t.Errorf("%s: problems %v, want one S002 at %s", c.name, problems, c.field)
		}
	}
}

func TestTranslate_boundsWhatDelegatesMultiply(t *testing.T) {
	direct := map[string]any{"status": 200}
	var roots, rules, matches []any
	for i := range 60 {
		roots = append(roots, map[string]any{"delegate": map[string]any{"name": "leaf"}})
		matches = append(matches, map[string]any{"headers": map[string]any{fmt.Sprintf("h%d", i): map[string]any{"exact": "x"}}})
		rules = append(rules, map[string]any{"name": fmt.Sprintf("r%d", i), "match": []any{map[string]any{"uri": map[string]any{"exact": fmt.Sprintf("/%d", i)}}}, "directResponse": direct})
	}
	for _, c := range []struct {
		name       string
		root, leaf []any
		field      string
	}{
		{"rules", roots, rules, "spec.http[16]"},
		{"matches", []any{map[string]any{"match": matches, "delegate": map[string]any{"name": "leaf"}}}, []any{map[string]any{"match": matches, "directResponse": direct}}, "spec.http[0].match"},
	} {
		in := Input{Objects: []Object{
			objectIn("shop", "VirtualService", "root", map[string]any{"hosts": []any{"many.example"}, "http": c.root}),
			objectIn("shop", "VirtualService", "leaf", map[string]any{"http": c.leaf}),
		}}
		cfg, problems := Translate(in, ir.ProxyClass{Kind: ir.KindSidecar, Namespace: "shop"})
		if n := len(cfg.Tables[0].VirtualHosts[1].Routes); n != 1000 {
			t.Errorf("%s: %d routes, want 1000", c.name, n)
		}
		if len(problems) != 1 || problems[0].Code != "S002" || problems[0].Field != c.field {
			t.Errorf("%s: problems %v, want one S002 at %s", c.name, problems, c.field)
		}
	}
}

func TestFormatted_isWhatAProxyTakes(t *testing.T) {
	for text, want := range map[string]bool{
		"": true, "plain": true, "100%%": true, "%REQ(x-a)%": true, "a %DURATION% b": true, "%START_TIME(%s)%": true,
		"100%": false, "%REQ%": false, "%nobody%": false, "%NOBODY%": false, "%REQ(x-a)": false, "%%%": false,
	} {
		if got := formatted(text); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}
