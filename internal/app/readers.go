package app

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	authenticationclient "k8s.io/client-go/kubernetes/typed/authentication/v1"
	authorizationclient "k8s.io/client-go/kubernetes/typed/authorization/v1"
	"k8s.io/client-go/rest"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	xdsserver "github.com/sluice-dev/sluice/xds/server"
)

const (
	knownFor      = time.Minute // an answer about a token
	knownMost     = 512         // answers; then all that is known is forgotten
	longestToken  = 16 << 10
	reviewsAtOnce = 2               // of all who ask
	reviewWithin  = 5 * time.Second // both questions about one token
)

// metricsServer is how metrics are served: to every program of this machine as they are; to others over TLS, and only to
// those who may get /metrics, unless it is said that everybody may. The certificate is that for proxies, from its files or
// held; without one it is one that signs itself.
func (c Config) metricsServer(held *xdsserver.Held) (metricsserver.Options, error) {
	out := metricsserver.Options{BindAddress: c.Listen.Metrics}
	if c.Listen.Metrics == "0" || c.Telemetry.Open || localOnly(c.Listen.Metrics) == nil {
		return out, nil
	}
	out.SecureServing = true
	out.TLSOpts = []func(*tls.Config){func(t *tls.Config) { t.MinVersion, t.NextProtos = tls.VersionTLS12, []string{"http/1.1"} }}
	if c.Proxies.Issue.Secret != "" {
		out.TLSOpts = append(out.TLSOpts, func(t *tls.Config) {
			t.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return held.Certificate() }
		})
	}
	if c.Proxies.Cert != "" {
		out.CertDir, out.CertName = filepath.Split(c.Proxies.Cert)
		key, err := filepath.Rel(filepath.Clean(out.CertDir), c.Proxies.Key)
		if err != nil {
			return out, fmt.Errorf("finding the key of metrics beside their certificate: %w", err)
		}
		out.KeyName = key
		if out.CertDir == "" {
			out.CertDir = "."
		}
	}
	out.FilterProvider = func(cfg *rest.Config, client *http.Client) (metricsserver.Filter, error) {
		r, err := newReaders(cfg, client, c.Log)
		if err != nil {
			return nil, err
		}
		return func(_ logr.Logger, page http.Handler) (http.Handler, error) { return r.only(page), nil }, nil
	}
	return out, nil
}

// readers knows who may read a page: whose token the API server knows, and whom it grants the verb on the path. What it
// says counts for a minute, and is kept by the hash of the token.
type readers struct {
	tokens authenticationclient.TokenReviewInterface
	rights authorizationclient.SubjectAccessReviewInterface
	now    func() time.Time
	log    *slog.Logger
	asking chan struct{} // as many as may ask at once

	mu    sync.Mutex // guards known
	known map[[sha256.Size]byte]standing
}

// standing is an answer: 200, 401 or 403.
type standing struct {
	status int
	until  time.Time
}

func newReaders(cfg *rest.Config, client *http.Client, log *slog.Logger) (*readers, error) {
	tokens, err := authenticationclient.NewForConfigAndClient(cfg, client)
	if err != nil {
		return nil, fmt.Errorf("making the client that asks whose a token is: %w", err)
	}
	rights, err := authorizationclient.NewForConfigAndClient(cfg, client)
	if err != nil {
		return nil, fmt.Errorf("making the client that asks what somebody may do: %w", err)
	}
	return &readers{tokens: tokens.TokenReviews(), rights: rights.SubjectAccessReviews(), now: Now, log: log,
		asking: make(chan struct{}, reviewsAtOnce), known: map[[sha256.Size]byte]standing{}}, nil
}

// only serves a page to those who may read it.
func (r *readers) only(page http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		status, err := r.status(req)
		switch {
		case err != nil:
			if req.Context().Err() == nil {
				r.log.Warn("who asks for metrics cannot be checked", "err", err)
			}
			http.Error(w, "who asks cannot be checked now", http.StatusServiceUnavailable)
		case status == http.StatusOK:
			page.ServeHTTP(w, req)
		case status == http.StatusUnauthorized:
			w.Header().Set("WWW-Authenticate", "Bearer")
			http.Error(w, "a bearer token of this cluster is wanted", status)
		default:
			http.Error(w, "the token does not grant "+verbOf(req)+" on "+req.URL.Path, status)
		}
	})
}

// verbOf is what a request does, as a role says it.
func verbOf(req *http.Request) string { return strings.ToLower(req.Method) }

// status is the answer that a request gets before the page itself is asked.
func (r *readers) status(req *http.Request) (int, error) {
	scheme, token, _ := strings.Cut(req.Header.Get("Authorization"), " ")
	if token = strings.TrimSpace(token); !strings.EqualFold(scheme, "Bearer") || token == "" || len(token) > longestToken {
		return http.StatusUnauthorized, nil
	}
	key := sha256.Sum256([]byte(verbOf(req) + " " + req.URL.Path + " " + token))
	if status := r.recall(key); status != 0 {
		return status, nil
	}
	ctx, cancel := context.WithTimeout(req.Context(), reviewWithin)
	defer cancel()
	select {
	case r.asking <- struct{}{}:
		defer func() { <-r.asking }()
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	if status := r.recall(key); status != 0 { // who waited with the same token
		return status, nil
	}
	status, err := r.review(ctx, token, verbOf(req), req.URL.Path)
	if err == nil {
		r.remember(key, status)
	}
	return status, err
}

// review asks the API server.
func (r *readers) review(ctx context.Context, token, verb, path string) (int, error) {
	who, err := r.tokens.Create(ctx, &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token}}, metav1.CreateOptions{})
	if err != nil {
		return 0, fmt.Errorf("asking whose a token is: %w", err)
	}
	if !who.Status.Authenticated {
		return http.StatusUnauthorized, nil
	}
	user := who.Status.User
	extra := map[string]authorizationv1.ExtraValue{}
	for name, values := range user.Extra {
		extra[name] = authorizationv1.ExtraValue(values)
	}
	may, err := r.rights.Create(ctx, &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User: user.Username, UID: user.UID, Groups: user.Groups, Extra: extra,
		NonResourceAttributes: &authorizationv1.NonResourceAttributes{Path: path, Verb: verb},
	}}, metav1.CreateOptions{})
	if err != nil {
		return 0, fmt.Errorf("asking what %s may do: %w", user.Username, err)
	}
	if !may.Status.Allowed {
		return http.StatusForbidden, nil
	}
	return http.StatusOK, nil
}

// recall is what is known of a token; 0: nothing.
func (r *readers) recall(key [sha256.Size]byte) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if known := r.known[key]; r.now().Before(known.until) {
		return known.status
	}
	return 0
}

func (r *readers) remember(key [sha256.Size]byte, status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	maps.DeleteFunc(r.known, func(_ [sha256.Size]byte, s standing) bool { return !now.Before(s.until) })
	if len(r.known) >= knownMost {
		clear(r.known)
	}
	r.known[key] = standing{status, now.Add(knownFor)}
}
