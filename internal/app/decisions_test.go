package app

import (
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"k8s.io/apimachinery/pkg/types"
)

func TestDecisions_areForThisMachine(t *testing.T) {
	t.Parallel()
	d := &decisions{log: slog.New(slog.DiscardHandler), of: func(key types.NamespacedName) (string, error) {
		switch key.Name {
		case "reviews":
			return "# " + key.String() + "\n", nil
		case "broken":
			return "", errors.New("no")
		}
		return "", nil
	}}
	for _, row := range []struct {
		path, host, want string
		code             int
	}{
		{"/decisions/shop/reviews", "127.0.0.1:8082", "# shop/reviews\n", http.StatusOK},
		{"/decisions/shop/reviews", "localhost", "# shop/reviews\n", http.StatusOK},
		{"/decisions/shop/reviews", "[::1]:8082", "# shop/reviews\n", http.StatusOK},
		{"/decisions/shop/reviews", "evil.example:8082", "ask by an address of this machine\n", http.StatusForbidden},
		{"/decisions/shop/ratings", "127.0.0.1:8082", "this replica has decided nothing on Rollout shop/ratings\n", http.StatusNotFound},
		{"/decisions/shop/broken", "127.0.0.1:8082", "they cannot be printed\n", http.StatusInternalServerError},
	} {
		r, out := httptest.NewRequestWithContext(t.Context(), http.MethodGet, row.path, nil), httptest.NewRecorder()
		r.Host = row.host
		d.handler().ServeHTTP(out, r)
		if out.Code != row.code || out.Body.String() != row.want {
			t.Errorf("%s at %s: %d %q, want %d %q", row.path, row.host, out.Code, out.Body, row.code, row.want)
		}
	}
	for addr, ok := range map[string]bool{"127.0.0.1:8082": true, "[::1]:1": true, "localhost:9": true, ":8082": false, "0.0.0.0:1": false, "10.0.0.1:1": false, "x": false} {
		if err := localOnly(addr); (err == nil) != ok {
			t.Errorf("%s: %v", addr, err)
		}
	}
}
