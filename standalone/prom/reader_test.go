package prom_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/sluice-dev/sluice/analysis"
	reader "github.com/sluice-dev/sluice/analysis/prom"
)

// pieces are parts of queries: %s stands for a further one. Some are hostile, some are only odd.
func pieces() []string {
	return []string{
		`q{version="{{subset}}"}`, `q{version=~"{{subset}}(-.*)?",flow="{{flow}}"}`, `q{version!="{{subset}}"}`, "q{version='{{subset}}',a=`\\{{flow}}\"`}",
		`{__name__="q", version = "{{subset}}", }`, `{"q.d","app.v"="{{subset}}"}`, `q{flow!~"{{flow}}",version="{{subset}}"} # "}' or vector(1)` + "\n",
		`q{a="} or vector(1) # {",version="{{subset}}"}`, `q{a='it\'s "',version="{{subset}}"} # x` + "\r", `1`, `-.5e-3`, `NaN`, `+Inf`, `0x1F`, `"text"`, `up`, `job:up:sum`,
		`sum(%s)`, `sum by (version, offset) (%s)`, `SUM without() (%s)`, `count(%s) by (a)`, `topk(1, %s)`, `quantile(0.9, %s)`, `count_values("{", %s)`,
		`rate(%s[1m])`, `max_over_time(%s[5m:10s])`, `max_over_time((%s)[5m:])`, `avg_over_time(%s[1m] offset 30s)`, `last_over_time(%s[1m] @ end())`,
		`%s offset 5m`, `%s offset -1m`, `%s @ start()`, `%s @ 1600000000`, `(%s)`, `-%s`, `vector(%s)`, `scalar(%s)`, `absent(%s)`, `absent_over_time(%s[1m])`,
		`hour()`, `hour(%s)`, `time()`, `vector(time())`, `label_replace(%s, "x", "$1}", "y", "(.*)")`, `clamp_max(%s, 5)`, `timestamp(%s)`, `sort(%s)`,
		`%s + %s`, `%s / on(version) group_left(flow) %s`, `%s or %s`, `%s Or on () %s`, `%s and %s`, `%s unless %s`, `%s == bool %s`, `%s > bool 5`, `%s < 5`, `%s atan2 %s`,
	}
}

// drawn are how many queries are made of pieces, each by its own seed.
const drawn = 3000

// written draws a query.
func written(random *rand.Rand, depth int) string {
	all := pieces()
	piece := all[random.IntN(len(all))]
	for strings.Contains(piece, "%s") {
		inner := all[0]
		if depth > 0 {
			inner = written(random, depth-1)
		}
		piece = strings.Replace(piece, "%s", inner, 1)
	}
	return piece
}

// asks gives what is asked for the new version where a condition has that query.
func asks(t *testing.T, query, flow string) (string, error) {
	t.Helper()
	asked := ""
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r.FormValue("query")
		fmt.Fprint(w, `{"status":"success","data":{"resultType":"scalar","result":[1000,"1"]}}`)
	}))
	defer web.Close()
	s, err := reader.New(reader.Config{URL: web.URL})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	_, err = s.Measure(t.Context(), analysis.Query{
		Metric: "q", Until: time.Unix(1000, 0),
		Condition: &analysis.Condition{Query: query, Pass: "value < 1.0", Args: map[string]string{"flow": flow}},
		Arms:      analysis.Arms{CanaryVars: []map[string]string{{"subset": "v2"}}, StableVars: []map[string]string{{"subset": "v1"}}},
	})
	return asked, err
}

// reads are what the engine's own parser says that a query reads, and whether it could answer without data.
type reads struct {
	selectors, live int
	fixed           bool
	or, made        bool
	bool, scalar    bool
}

func readsOf(expr parser.Expr) reads {
	var r reads
	parser.Inspect(expr, func(node parser.Node, path []parser.Node) error {
		switch n := node.(type) {
		case *parser.VectorSelector:
			r.selectors++
			moved := n.OriginalOffset != 0
			r.fixed = r.fixed || n.Timestamp != nil
			for _, p := range path {
				if sub, ok := p.(*parser.SubqueryExpr); ok {
					moved = moved || sub.OriginalOffset != 0
				}
			}
			if !moved {
				r.live++
			}
		case *parser.SubqueryExpr:
			r.fixed = r.fixed || n.Timestamp != nil
		case *parser.BinaryExpr:
			r.or = r.or || n.Op == parser.LOR || n.Op == parser.LUNLESS
			r.bool = r.bool || n.ReturnBool
		case *parser.Call:
			switch n.Func.Name {
			case "vector", "absent", "absent_over_time":
				r.made = true
			case "scalar":
				r.scalar = true
			case "hour":
				r.made = r.made || len(n.Args) == 0
			}
		}
		return nil
	})
	return r
}

// filled replaces variables in the matchers that the engine's own parser found, and nowhere else.
func filled(expr parser.Expr, vars map[string]string) string {
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		v, ok := node.(*parser.VectorSelector)
		if !ok {
			return nil
		}
		for i, m := range v.LabelMatchers {
			value := m.Value
			for name, with := range vars {
				if m.Type == labels.MatchRegexp || m.Type == labels.MatchNotRegexp {
					with = regexp.QuoteMeta(with)
				}
				value = strings.ReplaceAll(value, "{{"+name+"}}", with)
			}
			v.LabelMatchers[i] = labels.MustNewMatcher(m.Type, m.Name, value)
		}
		return nil
	})
	return expr.String()
}

// TestReader_agreesWithTheParser holds how conditions are read against Prometheus's own parser: whatever is taken asks for what
// was written, with the values in its matchers and nowhere else, and has nothing in it that answers to silence.
func TestReader_agreesWithTheParser(t *testing.T) {
	taken, refused := 0, 0
	flows := slices.DeleteFunc(odd(), func(v string) bool { return strings.Contains(v, "{{") })
	for seed := range uint64(drawn) {
		random := rand.New(rand.NewPCG(seed, 3))
		query, flow := written(random, int(seed%4)), flows[random.IntN(len(flows))]
		expr, err := parser.ParseExpr(query)
		if err != nil {
			continue // the server refuses it
		}
		asked, err := asks(t, query, flow)
		if err != nil {
			refused++
			if reasonOf(err) != analysis.QueryRejected || asked != "" {
				t.Fatalf("%s: %v after %s", query, err, asked)
			}
			continue
		}
		taken++
		if r := readsOf(expr); r.selectors == 0 || r.live == 0 || r.fixed || (r.or && r.made) || (r.bool && r.scalar) {
			t.Errorf("%s was taken, which is %+v", query, r)
		}
		again, err := parser.ParseExpr(asked)
		if err != nil {
			t.Fatalf("%s asks %s: %v", query, asked, err)
		}
		if want := filled(expr, map[string]string{"subset": "v2", "flow": flow}); again.String() != want {
			t.Errorf("%s with %s asks\n%s, want\n%s", query, flow, again, want)
		}
	}
	t.Logf("%d were taken, %d refused", taken, refused)
	if taken < drawn/20 || refused < drawn/20 {
		t.Errorf("%d queries were taken and %d refused: nothing is shown", taken, refused)
	}
}

// TestReader_takesNothingThatAnswersToSilence asks an engine without data: what was refused for answering to silence does so,
// and nothing that is taken has a value.
func TestReader_takesNothingThatAnswersToSilence(t *testing.T) {
	p := start(t, t.TempDir())
	defer stop(t, p)
	s, err := reader.New(reader.Config{URL: p.URL()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, query := range []string{
		`sum(q{v="v2"}) or vector(1)`, `scalar(sum(q{v="v2"})) != bool 5`, `1`, `vector(1)`, `hour()`,
		`absent(q{v="v2"}) or sum(q{v="v2"})`, `sum(q{v="v2"}) or sum(hour())`, `vector(1) unless sum(q{v="v2"})`,
	} {
		if reader.CheckCondition(analysis.Condition{Query: query, Pass: "value < 1.0"}) == nil {
			t.Errorf("%s was taken", query)
		}
		if !answers(t, p.URL(), query) {
			t.Errorf("%s answers nothing without data: why is it refused?", query)
		}
	}
	for seed := range uint64(drawn) {
		query := written(rand.New(rand.NewPCG(seed, 5)), int(seed%3))
		if strings.Contains(query, "absent") {
			continue // that asks for silence
		}
		m, err := s.Measure(t.Context(), analysis.Query{
			Metric: "q", Until: time.Now(),
			Condition: &analysis.Condition{Query: query, Pass: "value < 1.0", Args: map[string]string{"flow": "x"}},
			Arms:      analysis.Arms{CanaryVars: []map[string]string{{"subset": "v2"}}, StableVars: []map[string]string{{"subset": "v1"}}},
		})
		if err == nil {
			t.Errorf("%s is %+v without data", query, m)
		}
	}
}

// answers reports that a query has a value.
func answers(t *testing.T, server, query string) bool {
	t.Helper()
	resp, err := http.PostForm(server+"/api/v1/query", url.Values{"query": {query}})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode == http.StatusOK && bytes.Contains(body, []byte(`,"`)) && !bytes.Contains(body, []byte(`"result":[]`)) && !bytes.Contains(body, []byte("NaN"))
}
