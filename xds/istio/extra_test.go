package istio

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/sluice-dev/sluice/xds/ir"
)

// A condition on a cookie holds for a Cookie header exactly if one of its cookies has that name and such a value.
func TestClientMatch_readsCookiesAsServersDo(t *testing.T) {
	name := rapid.SampledFrom([]string{"beta", "xbeta", "beta2", "b.ta"})
	value := rapid.SampledFrom([]string{"1", "11", "a", "ab", "", "beta=1"})
	rapid.Check(t, func(t *rapid.T) {
		want := ir.HeaderMatch{
			Name: name.Draw(t, "wanted"), Value: value.Filter(func(v string) bool { return v != "" }).Draw(t, "value"),
			Kind: rapid.SampledFrom([]ir.StringKind{ir.Exact, ir.Prefix, ir.Regex}).Draw(t, "kind"),
		}
		var cookies []string
		for range rapid.IntRange(1, 4).Draw(t, "cookies") {
			cookies = append(cookies, name.Draw(t, "name")+"="+value.Draw(t, "its value"))
		}
		header := strings.Join(cookies, rapid.SampledFrom([]string{"; ", ";"}).Draw(t, "separator"))
		request := http.Request{Header: http.Header{"Cookie": {header}}}
		holds := false
		for _, c := range request.Cookies() {
			if c.Name != want.Name {
				continue
			}
			switch want.Kind {
			case ir.Prefix:
				holds = holds || strings.HasPrefix(c.Value, want.Value)
			default:
				holds = holds || c.Value == want.Value
			}
		}
		made := clientMatch(ir.ClientMatch{Cookies: []ir.HeaderMatch{want}})[0]
		if got := regexp.MustCompile(`\A(?:` + made.Value + `)\z`).MatchString(header); made.Name != "cookie" || got != holds {
			t.Fatalf("%+v on %q as %q: %v, want %v", want, header, made.Value, got, holds)
		}
	})
}
