package app

import (
	"log/slog"
	"net/url"
	"strings"
	"testing"

	"github.com/sluice-dev/sluice/egress"
)

func TestGuard_keepsFromTheServerAndWhatIsDenied(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		deny, allow []string
		server      string
		asked       string
		ok          bool
	}{
		{nil, nil, "https://10.96.0.1:443", "https://10.96.0.1/", false},
		{nil, nil, "10.96.0.1:443", "https://10.96.0.1/", false},
		{nil, nil, "https://[fd00::1]:6443", "https://[fd00::1]/", false},
		{nil, nil, "https://10.96.0.1:443", "https://10.96.0.2/", true},
		{nil, nil, "https://127.0.0.1:6443", "https://10.0.0.5/", true},
		{[]string{"private"}, nil, "https://127.0.0.1:6443", "https://10.0.0.5/", false},
		{[]string{"private"}, []string{"10.0.0.0/24"}, "https://127.0.0.1:6443", "https://10.0.0.5/", true},
		{[]string{"private"}, []string{"10.96.0.0/16"}, "https://10.96.0.1", "https://10.96.0.1/", false},
	} {
		c := Config{Log: slog.New(slog.DiscardHandler), Outside: Outside{Egress: Egress{Deny: row.deny, Allow: row.allow}}}
		guard, err := c.guard(t.Context(), row.server)
		if err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(row.asked)
		if err != nil {
			t.Fatal(err)
		}
		if err := guard.CheckURL(u, egress.Options{}); (err == nil) != row.ok {
			t.Errorf("%+v: %v, want allowed %v", row, err, row.ok)
		}
	}
	for _, bad := range []Egress{{Deny: []string{"public"}}, {Allow: []string{"10.0.0.1"}}, {Allow: []string{"here"}}, {Proxy: "proxy:3128"}, {Proxy: "http://a:b@proxy:3128"}} {
		c := Config{Log: slog.New(slog.DiscardHandler), Outside: Outside{Egress: bad}}
		if _, err := c.guard(t.Context(), "https://10.96.0.1"); err == nil || !strings.Contains(err.Error(), "egress.") {
			t.Errorf("%+v: %v, want it refused by its field", bad, err)
		}
	}
}
