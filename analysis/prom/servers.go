package prom

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sluice-dev/sluice/analysis"
	"github.com/sluice-dev/sluice/egress"
)

// Ages of what is kept of servers.
const (
	rereadSecret = 30 * time.Second // a Secret is read again
	retrySecret  = 5 * time.Second  // after that failed
	oldestSecret = 45 * time.Second // one that cannot be read again is used no longer: with all delays it is below 60 s
	readSecret   = 2 * time.Second
	unused       = 10 * time.Minute // a server of one's own that nobody asks is let go of
	sweepEvery   = time.Minute
)

// Default is the name of the server that is read where nothing is said.
const Default = "default"

// ServersConfig is what NewServers needs.
type ServersConfig struct {
	Named     map[string]Reference // by name; each with a URL
	Namespace string               // of the Secrets of Named
	Secrets   Secrets
	Guard     *egress.Guard // all is dialled through it
	Now       func() time.Time
}

// Servers are all servers that are asked: those known by name, and those that objects bring along. It may be used by many
// goroutines.
type Servers struct {
	config ServersConfig
	named  map[string]*entry

	mu    sync.Mutex // guards the rest
	own   map[string]*entry
	swept time.Time
}

// NewServers checks the named ones; it connects to nothing.
func NewServers(c ServersConfig) (*Servers, error) {
	if c.Secrets == nil || c.Guard == nil || c.Now == nil {
		return nil, errors.New("servers need a reader of Secrets, a guard and a clock")
	}
	out := &Servers{config: c, named: map[string]*entry{}, own: map[string]*entry{}}
	for _, name := range slices.Sorted(maps.Keys(c.Named)) {
		ref := c.Named[name]
		if ref.Name != "" {
			return nil, fmt.Errorf("prometheus %s: it stands for another name", name)
		}
		if err := ref.Check(); err != nil {
			return nil, fmt.Errorf("prometheus %s: %w", name, err)
		}
		out.named[name] = out.entry(c.Namespace, ref)
	}
	return out, nil
}

// Querier gives the server that a reference of an object in a namespace means; the zero Reference means the default one.
// The error says, for a person, why there is none: such a name is unknown, or the reference cannot be used.
func (s *Servers) Querier(namespace string, ref Reference) (analysis.Querier, error) {
	if ref.URL == "" {
		return s.known(ref.Name)
	}
	if ref.Name != "" {
		return nil, errors.New("a server has a name or a URL, not both")
	}
	now := s.config.Now()
	key := ref.key(namespace)
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.own[key]
	if e == nil {
		if err := ref.Check(); err != nil {
			return nil, err
		}
		e = s.entry(namespace, ref)
		s.own[key] = e
	}
	e.used = now
	s.sweep(now)
	return e, nil
}

// known finds a server by name. Without a default one every look at it is blind, and says why.
func (s *Servers) known(name string) (analysis.Querier, error) {
	if name == "" {
		name = Default
	}
	if e, ok := s.named[name]; ok {
		return e, nil
	}
	if name == Default {
		return missing("no Prometheus is configured; start the controller with --prometheus=URL"), nil
	}
	known := "there is none"
	if len(s.named) > 0 {
		known = "there is " + strings.Join(slices.Sorted(maps.Keys(s.named)), ", ")
	}
	return nil, fmt.Errorf("no Prometheus is named %.63s: %s; the controller's --prometheus-config names them", name, known)
}

// sweep lets go of servers that nobody asked for long.
func (s *Servers) sweep(now time.Time) {
	if now.Sub(s.swept) < sweepEvery {
		return
	}
	s.swept = now
	maps.DeleteFunc(s.own, func(_ string, e *entry) bool {
		if now.Sub(e.used) < unused {
			return false
		}
		select {
		case e.turn <- struct{}{}:
			e.drop()
			<-e.turn
			return true
		default: // its Secret is being read: next time
			return false
		}
	})
}

// Close closes idle connections.
func (s *Servers) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, all := range []map[string]*entry{s.named, s.own} {
		for _, e := range all {
			e.turn <- struct{}{}
			e.drop()
			<-e.turn
		}
	}
}

// missing stands for a server that was not configured.
type missing string

// Series implements analysis.Querier.
func (m missing) Series(context.Context, analysis.Query) ([]analysis.Series, error) {
	return nil, m.failure()
}

// Base implements analysis.Querier.
func (m missing) Base(context.Context, analysis.Query) ([]analysis.Bucket, error) {
	return nil, m.failure()
}

// Measure implements analysis.Querier.
func (m missing) Measure(context.Context, analysis.Query) (analysis.Measurement, error) {
	return analysis.Measurement{}, m.failure()
}

func (m missing) failure() *Failure {
	return &Failure{Reason: analysis.NotConfigured, Detail: string(m)}
}

// entry is one server, made anew when its Secret changes.
type entry struct {
	ref       Reference
	namespace string
	config    ServersConfig
	used      time.Time // guarded by Servers

	turn   chan struct{} // one at a time looks at what follows
	server *Server
	sum    [sha256.Size]byte // of what the Secret held
	fail   *Failure          // why there is none
	read   time.Time         // when the Secret was last read
	next   time.Time         // when it is to be read again
}

func (s *Servers) entry(namespace string, ref Reference) *entry {
	return &entry{ref: ref, namespace: namespace, config: s.config, turn: make(chan struct{}, 1)}
}

// Series implements analysis.Querier.
func (e *entry) Series(ctx context.Context, q analysis.Query) ([]analysis.Series, error) {
	server, fail := e.current(ctx)
	if fail != nil {
		return nil, fail
	}
	return server.Series(ctx, q)
}

// Base implements analysis.Querier.
func (e *entry) Base(ctx context.Context, q analysis.Query) ([]analysis.Bucket, error) {
	server, fail := e.current(ctx)
	if fail != nil {
		return nil, fail
	}
	return server.Base(ctx, q)
}

// Measure implements analysis.Querier.
func (e *entry) Measure(ctx context.Context, q analysis.Query) (analysis.Measurement, error) {
	server, fail := e.current(ctx)
	if fail != nil {
		return analysis.Measurement{}, fail
	}
	return server.Measure(ctx, q)
}

// current is the server with credentials that are not too old.
func (e *entry) current(ctx context.Context) (*Server, *Failure) {
	select {
	case e.turn <- struct{}{}:
		defer func() { <-e.turn }()
	case <-ctx.Done():
		return nil, e.failed(analysis.Timeout, "its Secret is still being read")
	}
	now := e.config.Now()
	if (e.server != nil || e.fail != nil) && now.Before(e.next) || e.server != nil && e.ref.Secret == "" {
		return e.server, e.fail
	}
	data, err := e.secret(ctx)
	if err != nil && e.server != nil && now.Sub(e.read) < oldestSecret {
		e.next = now.Add(retrySecret)
		return e.server, nil
	}
	if err != nil {
		e.refuse(now, "Secret %s/%s cannot be read: %v", e.namespace, e.ref.Secret, err)
		return nil, e.fail
	}
	if sum := digest(data); e.server == nil || sum != e.sum {
		server, err := e.make(data)
		if err != nil {
			e.refuse(now, "%v", err)
			return nil, e.fail
		}
		e.drop()
		e.server, e.sum, e.fail = server, sum, nil
	}
	e.read, e.next = now, now.Add(rereadSecret)
	return e.server, nil
}

// refuse keeps why there is no server, for a while.
func (e *entry) refuse(now time.Time, format string, args ...any) {
	e.drop()
	e.fail, e.next = e.failed(analysis.Unauthorized, format, args...), now.Add(retrySecret)
}

// secret reads the Secret; without one it holds nothing.
func (e *entry) secret(ctx context.Context) (map[string][]byte, error) {
	if e.ref.Secret == "" {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, readSecret)
	defer cancel()
	return e.config.Secrets(ctx, e.namespace, e.ref.Secret)
}

// make makes the server with what the Secret holds.
func (e *entry) make(data map[string][]byte) (*Server, error) {
	cfg, err := e.ref.config(data)
	if err == nil {
		cfg.Dial = e.config.Guard.DialContext
		var server *Server
		if server, err = New(cfg); err == nil {
			return server, nil
		}
	}
	if e.ref.Secret == "" {
		return nil, err
	}
	return nil, fmt.Errorf("with Secret %s/%s: %w", e.namespace, e.ref.Secret, err)
}

// drop lets go of the server and of what it knows.
func (e *entry) drop() {
	if e.server != nil {
		e.server.Close()
	}
	e.server = nil
}

func (e *entry) failed(reason analysis.Reason, format string, args ...any) *Failure {
	return &Failure{Reason: reason, Detail: clean(fmt.Sprintf(format, args...))}
}

// digest tells contents of Secrets apart without keeping them.
func digest(data map[string][]byte) [sha256.Size]byte {
	text, err := json.Marshal(data)
	if err != nil { // maps of bytes can always be written
		return [sha256.Size]byte{}
	}
	return sha256.Sum256(text)
}

var _ analysis.Querier = (*entry)(nil)
