package prom

import (
	"encoding/json"
	"hash/maphash"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/analysis"
)

// plainAnswer is an answer as encoding/json reads it.
type plainAnswer struct {
	Status string `json:"status"`
	Data   struct {
		ResultType string `json:"resultType"`
		Result     []struct {
			Metric map[string]string    `json:"metric"`
			Values [][2]json.RawMessage `json:"values"`
		} `json:"result"`
	} `json:"data"`
}

// FuzzDecode: whatever a server answers, there is a Failure with a reason of the closed set, or what encoding/json reads out
// of it too: finite values of series that were asked for.
func FuzzDecode(f *testing.F) {
	row := `{"metric":{"__name__":"x","a":"1","job":"j"},"values":[[1050,"5"],[1051.5,"6.25"]]}`
	for _, seed := range []string{
		`{"status":"success","data":{"resultType":"matrix","result":[` + row + `]}}`,
		`{"data":{"result":[` + row + `],"resultType":"matrix"},"status":"success","infos":["x"]}`,
		`{"status":"success","warnings":["x"],"data":{"resultType":"matrix","result":[]}}`,
		`{"status":"error","errorType":"timeout","error":"x"}`, `<html>`, ``, `null`, `[]`, `{"status":"success","data":null}`,
		`{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"__name__":"x","a":"\u0031"},"values":[[1e3,"NaN"]]}]}}`,
		`{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"__name__":"x","a":"1","__replica__":"a"},"histograms":[]},` + row + `]}}`,
		`{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"1"]}]}}`, `{"status":"success","data":{"resultType":"scalar","result":[1,"1"]}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		s := &Server{targets: []string{"job"}, origins: origins{seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}}}
		one, m := s.toFuzz(body)
		fail := s.origins.read(one.shape, m)
		if value, bad := instants(body); bad == nil && fail == nil {
			t.Fatalf("both a matrix and the instants %v", value)
		}
		if fail != nil {
			checkReason(t, fail)
			return
		}
		m.handOut()
		if one.fail != nil {
			checkReason(t, one.fail)
		}
		again, known := s.toFuzz(body)
		if fail := s.origins.read(one.shape, known); fail != nil {
			t.Fatalf("read once, and the second time: %v", fail)
		}
		known.handOut()
		if diff := cmp.Diff(one.series, again.series); diff != "" || (one.fail == nil) != (again.fail == nil) {
			t.Fatalf("read by labels that are known it says %v, else %v\n%s", again.fail, one.fail, diff)
		}
		var plain plainAnswer
		if err := json.Unmarshal(body, &plain); err != nil || plain.Status != "success" || plain.Data.ResultType != "matrix" {
			t.Fatalf("read what encoding/json does not: %v, %+v", err, plain)
		}
		if !m.replicas && len(m.out) != len(plain.Data.Result) {
			t.Fatalf("%d series, encoding/json has %d", len(m.out), len(plain.Data.Result))
		}
		for i, s := range one.series {
			for _, p := range s.Points {
				if math.IsNaN(p.V) || math.IsInf(p.V, 0) || p.V < 0 || p.T <= 0 {
					t.Fatalf("series %d has %v", i, p)
				}
			}
			if !m.replicas && len(one.series) == len(plain.Data.Result) && one.fail == nil {
				if want := len(plain.Data.Result[i].Values); len(s.Points) > want {
					t.Fatalf("series %d has %d samples, encoding/json %d", i, len(s.Points), want)
				}
			}
		}
	})
}

// toFuzz is one who asks, and who reads the answer.
func (s *Server) toFuzz(body []byte) (*member, *matrix) {
	one := &member{group: &newPlan([]want{{labels: []string{nameLabel, "a"}, values: []string{"x", "1"}, arm: analysis.Canary, role: analysis.Total}}).groups[0], until: time.Unix(1<<40, 0)}
	a := &asked{}
	a.add(one)
	return one, s.matrix(a, body)
}

func checkReason(t *testing.T, fail *Failure) {
	t.Helper()
	switch fail.Reason {
	case analysis.BadResponse, analysis.TooLarge, analysis.QueryRejected, analysis.Warnings, analysis.WrongType,
		analysis.TooManySeries, analysis.NotFinite, analysis.NotCounter, analysis.Timeout:
	default:
		t.Fatalf("reason %q: %s", fail.Reason, fail.Detail)
	}
	if text := clean(fail.Detail); len(text) > 256 {
		t.Fatalf("detail of %d bytes", len(text))
	}
}

// FuzzTemplate: what a template with a value asks for differs from the template in the values of those matchers alone that
// hold the variable.
func FuzzTemplate(f *testing.F) {
	for _, value := range []string{`card`, `"} or vector(1) #`, `"`, `\`, `\"`, "`", `'`, `{{flow}}`, `{{subset}}`, `}}`, `"}[5m]) / sum(up{a="`, `.*`, `a|b`, "é\u2028", `$1`} {
		f.Add(`x{version="{{subset}}",flow="a-{{flow}}",z!="1"}`, value)
		f.Add(`x:y{flow=~'{{flow}}.*',version!~"{{subset}}"}`, value)
	}
	f.Fuzz(func(t *testing.T, text, value string) {
		template, err := parse(text)
		if err != nil {
			return
		}
		filled, err := template.fill(map[string]string{"flow": value, "subset": "v2"})
		if err != nil {
			return
		}
		again, err := parse(filled.String())
		if err != nil {
			t.Fatalf("%s cannot be read again: %v", filled, err)
		}
		if diff := cmp.Diff(filled, again, allowInstant); diff != "" {
			t.Fatalf("what was written reads as something else:\n%s", diff)
		}
		if len(again.matchers) != len(template.matchers) || again.name != template.name {
			t.Fatalf("%s became %s", text, filled)
		}
		for i, m := range template.matchers {
			is := again.matchers[i]
			if is.label != m.label || is.op != m.op || (is.value != m.value && !strings.Contains(m.value, "{{")) {
				t.Errorf("matcher %+v became %+v", m, is)
			}
		}
	})
}
