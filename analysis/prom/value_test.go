package prom

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/analysis"
)

func TestValue_isAScalarOrAVectorOfOneSample(t *testing.T) {
	answer := ""
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(answer)) }))
	t.Cleanup(web.Close)
	server, err := New(Config{URL: web.URL})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	const one = `{"metric":{},"value":[1300,"2.5"]}`
	for result, want := range map[string]analysis.Reason{
		`"scalar","result":[1300,"2.5"]`:                         "",
		`"vector","result":[` + one + `]`:                        "",
		`"vector","result":[]`:                                   analysis.NoSeries,
		`"vector","result":[` + one + `,` + one + `]`:            analysis.TooManySeries,
		`"vector","result":[{"metric":{},"value":[1300,"NaN"]}]`: analysis.NotFinite,
		`"scalar","result":[1300,"+Inf"]`:                        analysis.NotFinite,
		`"string","result":[1300,"2.5"]`:                         analysis.WrongType,
		`"matrix","result":[]`:                                   analysis.WrongType,
		`"vector","result":[{"metric":{},"histogram":[1,{}]}]`:   analysis.WrongType,
		`"vector","result":null`:                                 analysis.BadResponse,
		`"scalar","result":[` + one + `]`:                        analysis.BadResponse,
	} {
		answer = `{"status":"success","data":{"resultType":` + result + `}}`
		v, fail := server.value(t.Context(), "x", time.Unix(1300, 0), 0)
		switch {
		case want == "" && (fail != nil || v != 2.5):
			t.Errorf("%s: %v, %v", result, v, fail)
		case want != "" && (fail == nil || fail.Reason != want):
			t.Errorf("%s: %v, %v, want %s", result, v, fail, want)
		}
	}
}
