package lines_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/internal/cli/lines"
)

const at = `"time":"2026-01-02T03:04:05.006Z"`

func TestParse_readsBothFormsAlike(t *testing.T) {
	t.Parallel()
	want := `2026-01-02T03:04:05.006Z  INFO   a weight is asked for namespace=shop rollout=reviews attempt=2 seq=7 err="no \"way\"" weight=15`
	for _, text := range []string{
		`{` + at + `,"level":"INFO","msg":"a weight is asked for","weight":15,"err":"no \"way\"","seq":7,"attempt":2,"rollout":"reviews","namespace":"shop"}`,
		`time=2026-01-02T03:04:05.006Z level=INFO msg="a weight is asked for" weight=15 err="no \"way\"" seq=7 attempt=2 rollout=reviews namespace=shop`,
		`{` + at + `,"level":"INFO","msg":"a weight is asked for","weight":15,"err":"no \"way\"","seq":7,"attempt":2,"Rollout":{"name":"reviews","namespace":"shop"}}`,
	} {
		l, ok := lines.Parse(text)
		if diff := cmp.Diff(want, l.Text()); !ok || diff != "" {
			t.Errorf("%s: %v (-want +got)\n%s", text, ok, diff)
		}
	}
}

func TestParse_takesNoLineWithoutATime(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "panic: no", "{", `{"msg":"no time"}`, `{"time":"yesterday"}`, "level=INFO msg=hello"} {
		if l, ok := lines.Parse(text); ok {
			t.Errorf("%q gives %+v", text, l)
		}
	}
}

func TestText_steersNoTerminal(t *testing.T) {
	t.Parallel()
	l, ok := lines.Parse(`{` + at + `,"level":"WARN","msg":"\u001b[31mred","err":"a\nb","empty":"","flag":true,"list":{"a":1}}`)
	want := `2026-01-02T03:04:05.006Z  WARN    [31mred err="a b" empty="" flag=true list="{\"a\":1}"`
	if diff := cmp.Diff(want, l.Text()); !ok || diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestFilter_takesWhatIsAboutTheRollout(t *testing.T) {
	t.Parallel()
	f := lines.Filter{Namespace: "shop", Rollout: "reviews"}
	late := lines.Filter{Namespace: "shop", Rollout: "reviews", Attempt: 2, From: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	for _, row := range []struct {
		text   string
		filter lines.Filter
		want   bool
	}{
		{`"namespace":"shop","rollout":"reviews"`, f, true},
		{`"namespace":"shop","rollout":"ratings"`, f, false},
		{`"namespace":"other","rollout":"reviews"`, f, false},
		{`"namespace":"shop","controller":"rollout","name":"reviews"`, f, true},
		{`"namespace":"shop","controller":"source","name":"reviews"`, f, false},
		{`"rollout":"shop/reviews"`, f, true},
		{`"split":"shop/reviews"`, f, true},
		{`"split":"shop/reviews-2"`, f, false},
		{`"rollout":"shop/reviews","attempt":2`, late, true},
		{`"rollout":"shop/reviews","attempt":1`, late, false},
		{`"rollout":"shop/reviews"`, late, false},
		{`"rollout":"shop/reviews","attempt":2`, lines.Filter{Namespace: "shop", Rollout: "reviews", From: late.From.Add(time.Second)}, false},
	} {
		l, ok := lines.Parse(`{` + at + `,"level":"INFO","msg":"m",` + row.text + `}`)
		if got := row.filter.Takes(l); !ok || got != row.want {
			t.Errorf("%s: %v, want %v", row.text, got, row.want)
		}
	}
}

func TestDocument_hasNumbersWhereTheyAreNumbers(t *testing.T) {
	t.Parallel()
	l, _ := lines.Parse(`{` + at + `,"level":"INFO","msg":"m","attempt":2,"seq":7,"revision":"123","weight":15}`)
	want := map[string]any{"time": "2026-01-02T03:04:05.006Z", "level": "INFO", "msg": "m", "attempt": int64(2), "seq": int64(7), "revision": "123", "weight": "15"}
	if diff := cmp.Diff(want, l.Document()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
