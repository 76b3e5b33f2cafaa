package controller

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"mime"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
	"golang.org/x/time/rate"
	"k8s.io/apimachinery/pkg/types"

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
	bodyWait      = 2 * time.Second // for other bodies to be read
)

// receiver authenticates webhooks and turns them into hints. It decides nothing else.
type receiver struct {
	controller *Controller
	all        *rate.Limiter
	bodies     *semaphore.Weighted
	dummy      []byte // what requests for unknown Sources are checked against
	relay      *relay

	mu      sync.Mutex
	replays *hook.Replays
	sources map[types.NamespacedName]*hooked // guarded by mu
}

// hooked is what is remembered of one Source's webhook.
type hooked struct {
	provider hook.Provider
	token    []byte
	url      string
	nobody   bool // the token is one that no sender has
	until    time.Time
	bucket   *rate.Limiter
}

func newReceiver(c *Controller) *receiver {
	return &receiver{controller: c, all: rate.NewLimiter(allPerSecond, allBurst), bodies: semaphore.NewWeighted(bodiesAtOnce),
		dummy: []byte(rand.Text()), relay: newRelay(c), replays: hook.NewReplays(replayFor, replayMax), sources: map[types.NamespacedName]*hooked{}}
}

// Hooks is the handler of POST /hooks/{namespace}/{name}.
func (c *Controller) Hooks() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/hooks/{namespace}/{name}", c.receiver.serve)
	return mux
}

// serve answers with a code and nothing that tells whether a Source exists. A panic ends its request alone.
func (r *receiver) serve(w http.ResponseWriter, req *http.Request) {
	defer func() {
		if recover() != nil {
			r.count(req, http.StatusInternalServerError)
			w.WriteHeader(http.StatusInternalServerError)
		}
	}()
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
	source, err := r.source(req.Context(), name, now)
	if err != nil {
		return http.StatusServiceUnavailable
	}
	request := hook.Request{Provider: source.provider, Header: req.Header.Get, Body: body, Now: now}
	hint, err := hook.Check(request, source.token)
	switch {
	case source.nobody || errors.Is(err, hook.ErrProof):
		return http.StatusUnauthorized
	case err != nil:
		return http.StatusBadRequest
	}
	r.mu.Lock()
	seen := r.replays.Seen(name.String(), request)
	r.mu.Unlock()
	if seen || !hint.Push {
		return http.StatusOK
	}
	if !source.bucket.AllowN(now, 1) {
		return http.StatusTooManyRequests
	}
	if err := r.tell(req.Context(), source.url, hint); err != nil {
		return http.StatusServiceUnavailable
	}
	return http.StatusAccepted
}

// read takes the body within its bounds, some bodies at a time.
func (r *receiver) read(w http.ResponseWriter, req *http.Request) ([]byte, int) {
	if req.ContentLength > maxBody {
		return nil, http.StatusRequestEntityTooLarge
	}
	wait, cancel := context.WithTimeout(req.Context(), bodyWait)
	defer cancel()
	if err := r.bodies.Acquire(wait, 1); err != nil {
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
