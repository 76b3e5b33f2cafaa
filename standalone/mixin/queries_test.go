package mixin

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"sigs.k8s.io/yaml"

	"github.com/sluice-dev/sluice/internal/app"
)

// measured gives the series that Sluice has, by name, with their labels.
func measured(t *testing.T) map[string][]string {
	t.Helper()
	all, err := app.Metrics()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]string{}
	for _, m := range all {
		out[m.Name] = m.Labels
		if m.Type == "histogram" {
			delete(out, m.Name)
			for _, part := range []string{"_bucket", "_sum", "_count"} {
				out[m.Name+part] = append([]string{"le"}, m.Labels...)
			}
		}
	}
	return out
}

// query parses one and holds its series against what there is.
func query(t *testing.T, at, text string, known map[string][]string) {
	t.Helper()
	text = strings.NewReplacer("$__rate_interval", "5m", "$namespace", "shop", "$rollout", "cart").Replace(text)
	e, err := parser.ParseExpr(text)
	if err != nil {
		t.Errorf("%s: %v\n%s", at, err, text)
		return
	}
	seen := 0
	parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
		v, ok := n.(*parser.VectorSelector)
		if !ok {
			return nil
		}
		seen++
		has, there := known[v.Name]
		if !there {
			t.Errorf("%s: Sluice has no series %q", at, v.Name)
		}
		for _, m := range v.LabelMatchers {
			if m.Name != labels.MetricName && there && !contains(has, m.Name) {
				t.Errorf("%s: %s has no label %q", at, v.Name, m.Name)
			}
		}
		return nil
	})
	if seen == 0 {
		t.Errorf("%s reads nothing: %s", at, text)
	}
}

func contains(all []string, one string) bool {
	for _, a := range all {
		if a == one {
			return true
		}
	}
	return false
}

func TestAlerts_readSeriesThatThereAre(t *testing.T) {
	text, err := os.ReadFile(files + "alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var f struct {
		Groups []struct {
			Rules []struct{ Alert, Expr string } `json:"rules"`
		} `json:"groups"`
	}
	if err := yaml.Unmarshal(text, &f); err != nil {
		t.Fatal(err)
	}
	known, n := measured(t), 0
	for _, g := range f.Groups {
		for _, r := range g.Rules {
			n++
			query(t, r.Alert, r.Expr, known)
		}
	}
	if n != 12 {
		t.Errorf("%d alerts, want 12", n)
	}
}

// board is as much of a dashboard as is looked at.
type board struct {
	UID        string `json:"uid"`
	Title      string `json:"title"`
	Templating struct {
		List []struct {
			Name       string `json:"name"`
			Definition string `json:"definition"`
		} `json:"list"`
	} `json:"templating"`
	Panels []struct {
		ID      int                      `json:"id"`
		Title   string                   `json:"title"`
		At      struct{ X, Y, W, H int } `json:"gridPos"`
		Targets []struct {
			Expr   string `json:"expr"`
			Legend string `json:"legendFormat"`
		} `json:"targets"`
	} `json:"panels"`
}

var labelValues = regexp.MustCompile(`^label_values\((.*), ?([a-z_]+)\)$`)

func TestDashboards_readSeriesThatThereAre(t *testing.T) {
	paths, err := filepath.Glob(files + "dashboards/*.json")
	if err != nil || len(paths) != 3 {
		t.Fatalf("%d dashboards, want fleet, rollout and control-plane (%v)", len(paths), err)
	}
	known, uids := measured(t), map[string]bool{}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var b board
		if err := json.Unmarshal(text, &b); err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		if b.UID == "" || uids[b.UID] || b.Title == "" || len(b.Panels) < 8 {
			t.Errorf("%s: uid %q, title %q, %d panels", path, b.UID, b.Title, len(b.Panels))
		}
		uids[b.UID] = true
		for _, v := range b.Templating.List {
			if part := labelValues.FindStringSubmatch(v.Definition); part != nil {
				query(t, path+": "+v.Name, part[1], known)
			} else if v.Name != "datasource" {
				t.Errorf("%s: variable %s asks for %q", path, v.Name, v.Definition)
			}
		}
		ids := map[int]bool{}
		for _, p := range b.Panels {
			at := path + ": " + p.Title
			if ids[p.ID] || len(p.Targets) == 0 || p.At.X+p.At.W > 24 || p.At.W == 0 || p.At.H == 0 {
				t.Errorf("%s: id %d, %d queries, at %+v", at, p.ID, len(p.Targets), p.At)
			}
			ids[p.ID] = true
			for _, q := range p.Targets {
				query(t, at, q.Expr, known)
			}
		}
	}
}
