package controller

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"mime"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
	"golang.org/x/time/rate"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/gitsync"
	"github.com/sluice-dev/sluice/gitsync/hook"
)

const (
	maxBody       = 3 << 20
	bodyTimeout   = 10 * time.Second
	headerTimeout = 5 * time.Second
	maxHeader     = 8 << 10
	allPerSecond  = 50
	allBurst      = 100
	oneBurst      = 10
	bodiesAtOnce  = 8
	replayFor     = 10 * time.Minute
	replayMax     = 10_000
	tokenFor      = 30 * time.Second
	lookupFor     = 5 * time.Second
	maxTokens     = 4096 // Sources whose tokens and buckets are remembered
)

// receiver authenticates webhooks and turns them into hints. It decides nothing else.
type receiver struct {
	controller *Controller
	all        *rate.Limiter
	bodies     *semaphore.Weighted
	dummy      []byte // what requests for unknown Sources are checked against

	mu      sync.Mutex
	replays *hook.Replays
	sources map[types.NamespacedName]*hooked // guarded by mu
}

// hooked is what is remembered of one Source's webhook.
type hooked struct {
	provider hook.Provider
	token    []byte
	url      string
	until    time.Time
	bucket   *rate.Limiter
}

func newReceiver(c *Controller) *receiver {
	return &receiver{controller: c, all: rate.NewLimiter(allPerSecond, allBurst), bodies: semaphore.NewWeighted(bodiesAtOnce),
		dummy: []byte(rand.Text()), replays: hook.NewReplays(replayFor, replayMax), sources: map[types.NamespacedName]*hooked{}}
}

// Hooks is the handler of POST /hooks/{namespace}/{name}.
func (c *Controller) Hooks() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/hooks/{namespace}/{name}", c.receiver.serve)
	return mux
}

// ServeHooks listens on address until ctx ends.
func (c *Controller) ServeHooks(ctx context.Context, address string) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: c.Hooks(), ReadHeaderTimeout: headerTimeout, ReadTimeout: bodyTimeout + headerTimeout,
		WriteTimeout: bodyTimeout + headerTimeout + lookupFor, IdleTimeout: time.Minute, MaxHeaderBytes: maxHeader}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(listener); err != nil && !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// serve answers with a code and nothing that tells whether a Source exists.
func (r *receiver) serve(w http.ResponseWriter, req *http.Request) {
	code := r.answer(w, req)
	r.count(req, code)
	w.WriteHeader(code)
}

func (r *receiver) answer(w http.ResponseWriter, req *http.Request) int {
	if req.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return http.StatusMethodNotAllowed
	}
	now := r.controller.config.Now()
	if !r.all.AllowN(now, 1) {
		return http.StatusTooManyRequests
	}
	if kind, _, err := mime.ParseMediaType(req.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return http.StatusUnsupportedMediaType
	}
	body, code := r.read(w, req)
	if code != 0 {
		return code
	}
	name := types.NamespacedName{Namespace: req.PathValue("namespace"), Name: req.PathValue("name")}
	source, known := r.source(req.Context(), name, now)
	request := hook.Request{Provider: source.provider, Header: req.Header.Get, Body: body, Now: now}
	hint, err := hook.Check(request, source.token)
	switch {
	case !known || errors.Is(err, hook.ErrProof):
		return http.StatusUnauthorized
	case err != nil:
		return http.StatusBadRequest
	}
	r.mu.Lock()
	seen := r.replays.Seen(request)
	r.mu.Unlock()
	if seen || !hint.Push {
		return http.StatusOK
	}
	if !source.bucket.AllowN(now, 1) {
		return http.StatusTooManyRequests
	}
	if err := r.tell(req.Context(), name, source.url, hint); err != nil {
		return http.StatusServiceUnavailable
	}
	return http.StatusAccepted
}

// read takes the body within its bounds, some bodies at a time.
func (r *receiver) read(w http.ResponseWriter, req *http.Request) ([]byte, int) {
	if req.ContentLength > maxBody {
		return nil, http.StatusRequestEntityTooLarge
	}
	if !r.bodies.TryAcquire(1) {
		return nil, http.StatusTooManyRequests
	}
	defer r.bodies.Release(1)
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, maxBody))
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return nil, http.StatusRequestEntityTooLarge
	}
	if err != nil {
		return nil, http.StatusBadRequest
	}
	return body, 0
}

// source gives what a request for a Source is checked against; for an unknown one a token that nobody has. Tokens are
// kept for a while, so that a flood of requests is none of the API server.
func (r *receiver) source(ctx context.Context, name types.NamespacedName, now time.Time) (hooked, bool) {
	r.mu.Lock()
	known := r.sources[name]
	r.mu.Unlock()
	if known == nil || now.After(known.until) {
		fresh := r.lookUp(ctx, name)
		fresh.until, fresh.bucket = now.Add(tokenFor), rate.NewLimiter(1, oneBurst)
		if known != nil {
			fresh.bucket = known.bucket
		}
		r.mu.Lock()
		if len(r.sources) >= maxTokens {
			clear(r.sources)
		}
		r.sources[name] = fresh
		r.mu.Unlock()
		known = fresh
	}
	return *known, known.url != ""
}

func (r *receiver) lookUp(ctx context.Context, name types.NamespacedName) *hooked {
	ctx, cancel := context.WithTimeout(ctx, lookupFor)
	defer cancel()
	nobody := &hooked{provider: hook.Generic, token: r.dummy}
	src := &v1alpha1.Source{}
	if err := r.controller.config.Client.Get(ctx, name, src); err != nil || src.Spec.Webhook == nil {
		return nobody
	}
	data, err := r.controller.secret(ctx, name.Namespace, src.Spec.Webhook.SecretRef.Name)
	if err != nil || len(data["token"]) < hook.MinToken {
		return nobody
	}
	provider := hook.Provider(src.Spec.Webhook.Provider)
	if provider == "" {
		provider = hook.Generic
	}
	return &hooked{provider: provider, token: data["token"], url: src.Spec.URL}
}

// tell wakes every Source of the same remote whose ref may be the one that was pushed.
func (r *receiver) tell(ctx context.Context, name types.NamespacedName, url string, h hook.Hint) error {
	list := &v1alpha1.SourceList{}
	if err := r.controller.config.Client.List(ctx, list); err != nil {
		return err
	}
	for _, s := range list.Items {
		other := types.NamespacedName{Namespace: s.Namespace, Name: s.Name}
		if other != name && gitsync.SharedURL(s.Spec.URL) != gitsync.SharedURL(url) {
			continue
		}
		branch, isBranch := strings.CutPrefix(h.Ref, "refs/heads/")
		if follows := s.Spec.Ref.Branch; isBranch && follows != "" && follows != branch {
			continue
		}
		r.controller.Hint(other, strings.Trim(h.After, "0"))
	}
	return nil
}
