package server

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-dev/sluice/xds/ir"
)

// Config is what a Server needs.
type Config struct {
	Now        func() time.Time // required
	Log        *slog.Logger     // nil: discard
	Identifier string           // of the control plane, shown to proxies; empty: "sluice"
	Timing     Timing

	TrustDomain string   // of the certificates of proxies; empty: "cluster.local"
	Barrier     Barrier  // nil: what is published is never older than what a proxy has
	Prover      Prover   // of the labels of proxies that come with a certificate; nil: none are proven
	Readers     []string // identities that may ask for the status of all clients by the door for certificates

	LoadInterval time.Duration // between a proxy's reports of its requests, whole seconds from 1 to 60; zero: 1 s
	Process      string        // of this replica, as others name it that tell it what their proxies report; empty: nobody does
}

// Server delivers resources to proxies. Its methods may be called from any goroutine.
type Server struct {
	now        func() time.Time
	log        *slog.Logger
	identifier string
	timing     Timing
	trust      trust
	admission  admission
	told
	registry registry
	fence    *fence

	meters  *meters
	writers writers
	life    life
}

// told is what proxies have said: what they run, and what became of their requests.
type told struct {
	ledger  *ledger
	loads   *loads
	process string // this one, as other replicas name it
}

// life is what ends with the server.
type life struct {
	running  sync.WaitGroup // goroutines of streams
	closing  chan struct{}  // closed when the server goes down
	farewell farewell
	keys     atomic.Pointer[keyring] // of the door for certificates; nil: there is none
}

// New makes a Server that serves nobody yet.
func New(cfg Config) (*Server, error) {
	if cfg.Now == nil {
		return nil, errors.New("making an xds server: Now is required")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	interval := cmp.Or(cfg.LoadInterval, time.Second)
	if interval < time.Second || interval > maxLoadInterval || interval%time.Second != 0 {
		return nil, fmt.Errorf("making an xds server: load reports every %s; want whole seconds from 1s to %s", interval, maxLoadInterval)
	}
	for _, id := range cfg.Readers {
		if !strings.HasPrefix(id, "spiffe://") {
			return nil, fmt.Errorf("making an xds server: %q may read the status of clients, but it is no identity: it does not begin with spiffe://", id)
		}
	}
	timing := cfg.Timing.withDefaults()
	m := newMeters()
	s := &Server{
		now: cfg.Now, log: cfg.Log, timing: timing,
		identifier: cmp.Or(cfg.Identifier, "sluice"),
		trust:      trust{domain: cmp.Or(cfg.TrustDomain, "cluster.local"), prover: cfg.Prover, readers: slices.Clone(cfg.Readers)},
		admission:  newAdmission(),
		told:       told{ledger: newLedger(cfg.Now, timing), loads: newLoads(cfg.Now(), interval), process: cfg.Process},
		registry:   newRegistry(),
		fence:      newFence(m.timed(cfg.Barrier, cfg.Now), cfg.Log),
		meters:     m,
		writers:    writers{turns: make(chan struct{}, maxWriters)},
		life:       life{closing: make(chan struct{})},
	}
	return s, nil
}

// Convergence says how far the connected proxies are with the newest transition of a split, "namespace/name", of the
// Rollout with the uid. It is not Rendered while some class still carries the split of an older seq, or that of a Rollout
// which had the name before.
func (s *Server) Convergence(split, uid string, seq uint64) ir.Convergence {
	return s.ledger.convergence(split, uid, seq)
}

// Changed gives a channel that is closed when some Convergence may have changed. Take it before asking.
func (s *Server) Changed() <-chan struct{} { return s.ledger.changes() }
