package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// decisionsTimeout bounds each part of a request for decisions.
const decisionsTimeout = 5 * time.Second

// decisions serves, to programs of this machine, what this process decided on a Rollout: /decisions/NAMESPACE/NAME. Who
// asks proves nothing, so no other machine is let in.
type decisions struct {
	addr string // "0": none
	of   func(types.NamespacedName) (string, error)
	log  *slog.Logger
}

// localOnly says why an address is none of this machine alone; nil: it is.
func localOnly(addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("address of decisions: %w", err)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("address of decisions %q: only this machine may ask, such as 127.0.0.1:8082", addr)
	}
	return nil
}

// NeedLeaderElection says that it is served by every replica: one that does not lead has nothing to tell.
func (d *decisions) NeedLeaderElection() bool { return false }

// Start serves until ctx ends. An address that is taken is said, and stops nothing.
func (d *decisions) Start(ctx context.Context) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", d.addr)
	if err != nil {
		d.log.Warn("decisions are not served", "err", err)
		return nil
	}
	server := &http.Server{Handler: d.handler(), ReadHeaderTimeout: decisionsTimeout, ReadTimeout: decisionsTimeout, WriteTimeout: decisionsTimeout,
		MaxHeaderBytes: 16 << 10}
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	select {
	case err = <-done:
	case <-ctx.Done():
		err = errors.Join(server.Close(), <-done)
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

func (d *decisions) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /decisions/{namespace}/{name}", func(w http.ResponseWriter, r *http.Request) {
		if localOnly(r.Host) != nil && localOnly(r.Host+":80") != nil { // a page of another site that names this machine
			http.Error(w, "ask by an address of this machine", http.StatusForbidden)
			return
		}
		key := types.NamespacedName{Namespace: r.PathValue("namespace"), Name: r.PathValue("name")}
		script, err := d.of(key)
		switch {
		case err != nil:
			d.log.Error("decisions cannot be printed", "err", err)
			http.Error(w, "they cannot be printed", http.StatusInternalServerError)
		case script == "":
			http.Error(w, "this replica has decided nothing on Rollout "+key.String(), http.StatusNotFound)
		default:
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			_, _ = io.WriteString(w, script) // who asks has gone
		}
	})
	return mux
}
