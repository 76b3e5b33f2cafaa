// Package service is the small HTTP service that the demo and the system tests put behind Sluice: one process is one
// version with several endpoints, says so in every answer, takes the time that real services take, and fails as it is
// told to. Handler is the service itself, Run the process around it, Start its parent's side.
//
// A process and its parent talk over stdin and stdout: the process prints its addresses as one line of JSON; each line
// of JSON it reads is a Fault, answered by the same line once it is in force; and the end of stdin is its own end, so
// that it cannot outlive its parent on any system.
package service

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/sluice-dev/sluice/test/load"
)

// Fault is how a version misbehaves; the zero value is not at all.
type Fault struct {
	Errors float64 `json:"errors"` // share of the requests, 0 to 1, answered with 500
	Delay  Millis  `json:"delay"`  // added to Share of the requests
	Share  float64 `json:"share"`  // 0 to 1
}

// Millis is a duration that JSON has in whole milliseconds.
type Millis int64

// Validate says what is wrong with a fault.
func (f Fault) Validate() error {
	for _, share := range []float64{f.Errors, f.Share} {
		if !(share >= 0 && share <= 1) {
			return fmt.Errorf("a share of %v is not between 0%% and 100%%", share)
		}
	}
	if f.Delay < 0 || f.Delay > 60_000 {
		return fmt.Errorf("a delay of %d ms is not between 0 and a minute", f.Delay)
	}
	return nil
}

// The answer times without a fault: lognormal.
const (
	median = 8 * time.Millisecond
	sigma  = 0.7
)

// Handler answers as one version. It is an http.Handler.
type Handler struct {
	version string

	mu    sync.Mutex // guards what follows
	rng   *rand.Rand
	fault Fault
}

// NewHandler is a version without faults; seed makes its answer times and failures repeatable.
func NewHandler(version string, seed uint64) *Handler {
	return &Handler{version: version, rng: rand.New(rand.NewPCG(seed, 0x5e))}
}

// SetFault changes how the version misbehaves, from the next request on.
func (h *Handler) SetFault(f Fault) error {
	if err := f.Validate(); err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.fault = f
	return nil
}

// draw decides how the next request goes.
func (h *Handler) draw() (wait time.Duration, fails bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	wait = time.Duration(float64(median) * math.Exp(sigma*h.rng.NormFloat64()))
	fails = h.rng.Float64() < h.fault.Errors
	if h.rng.Float64() < h.fault.Share {
		wait += time.Duration(h.fault.Delay) * time.Millisecond
	}
	return wait, fails
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	wait, fails := h.draw()
	if !pause(r.Context(), wait) {
		return
	}
	w.Header().Set(load.VersionHeader, h.version)
	w.Header().Set("Content-Type", "application/json")
	if fails {
		w.WriteHeader(http.StatusInternalServerError)
		fmt.Fprintf(w, "{\"version\":%q,\"error\":\"this version is broken\"}\n", h.version)
		return
	}
	fmt.Fprintf(w, "{\"version\":%q,\"stars\":5}\n", h.version)
}

// pause waits and reports whether the client is still there.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
