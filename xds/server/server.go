package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"golang.org/x/time/rate"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	healthgrpc "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	"github.com/sluice-dev/sluice/xds/ir"
)

const (
	maxStreams   = 5000
	newPerSecond = 200
	newWait      = 10 * time.Second
	maxReceive   = 4 << 20
)

// Config is what a Server needs.
type Config struct {
	Now        func() time.Time // required
	Log        *slog.Logger     // nil: discard
	Identifier string           // of the control plane, shown to proxies; empty: "sluice"
	Timing     Timing
}

// Server delivers resources to proxies. Its methods may be called from any goroutine.
type Server struct {
	now        func() time.Time
	log        *slog.Logger
	identifier string
	timing     Timing
	ledger     *ledger
	registry   registry
	arrivals   *rate.Limiter
	health     *health.Server

	running sync.WaitGroup // goroutines of streams
	closing chan struct{}  // closed when the server goes down
	open    chan struct{}  // closed when streams are accepted
	opened  sync.Once
}

// New makes a Server that serves nobody yet.
func New(cfg Config) (*Server, error) {
	if cfg.Now == nil {
		return nil, errors.New("making an xds server: Now is required")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	timing := cfg.Timing.withDefaults()
	s := &Server{
		now: cfg.Now, log: cfg.Log, timing: timing,
		identifier: cmp.Or(cfg.Identifier, "sluice"),
		ledger:     newLedger(cfg.Now, timing),
		arrivals:   rate.NewLimiter(newPerSecond, newPerSecond),
		health:     health.NewServer(),
		closing:    make(chan struct{}), open: make(chan struct{}),
	}
	s.registry = newRegistry()
	s.health.SetServingStatus("", healthgrpc.HealthCheckResponse_NOT_SERVING)
	return s, nil
}

// Open makes the server accept streams. Call it when everything that resources are made from is known: until then a
// proxy keeps what it has. A second call does nothing.
func (s *Server) Open() {
	s.opened.Do(func() {
		s.health.SetServingStatus("", healthgrpc.HealthCheckResponse_SERVING)
		close(s.open)
	})
}

// Convergence says how far the connected proxies are with the newest transition of a split. It is not Rendered while
// some class still carries the split of an older seq.
func (s *Server) Convergence(split string, seq uint64) ir.Convergence {
	return s.ledger.convergence(split, seq)
}

// Changed gives a channel that is closed when some Convergence may have changed. Take it before asking.
func (s *Server) Changed() <-chan struct{} { return s.ledger.changes() }

// ListenAndServe listens on addr, "host:port" or "unix:path", and serves until ctx ends. Without TLS the word of a
// proxy is all there is, so addr must be of this machine.
func (s *Server) ListenAndServe(ctx context.Context, addr string) error {
	network, address := "tcp", addr
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		network, address = "unix", path
	}
	if network == "tcp" {
		if err := checkLoopback(addr); err != nil {
			return err
		}
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, network, address)
	if err != nil {
		return fmt.Errorf("listening for proxies: %w", err)
	}
	return s.Serve(ctx, l)
}

// checkLoopback refuses addresses that other machines can reach.
func checkLoopback(addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("listening for proxies: address %q: %w", addr, err)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("listening for proxies: %q is not a loopback address, and this server speaks plain text; use 127.0.0.1 or a unix socket", addr)
	}
	return nil
}

// Serve serves on l until ctx ends, and closes it. It returns when every stream has ended. A Server serves once.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	if tcp, ok := l.Addr().(*net.TCPAddr); ok && !tcp.IP.IsLoopback() {
		return errors.Join(fmt.Errorf("serving proxies: %s is not a loopback address, and this server speaks plain text", tcp), l.Close())
	}
	g := grpc.NewServer(
		grpc.MaxRecvMsgSize(maxReceive),
		grpc.KeepaliveParams(keepalive.ServerParameters{
			Time: 30 * time.Second, Timeout: 10 * time.Second,
			MaxConnectionAge: time.Hour, MaxConnectionAgeGrace: 30 * time.Second,
		}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
	)
	discovery.RegisterAggregatedDiscoveryServiceServer(g, aggregated{server: s})
	healthgrpc.RegisterHealthServer(g, s.health)
	failed := make(chan error, 1)
	go func() { failed <- g.Serve(l) }()
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
		failed <- nil
	}
	s.health.Shutdown()
	close(s.closing)
	g.Stop()
	<-failed
	s.running.Wait()
	s.ledger.close()
	s.registry.close()
	if err != nil {
		return fmt.Errorf("serving proxies on %s: %w", l.Addr(), err)
	}
	return nil
}

// aggregated is the discovery service on the wire.
type aggregated struct {
	discovery.UnimplementedAggregatedDiscoveryServiceServer
	server *Server
}

// StreamAggregatedResources serves the state of the world.
func (a aggregated) StreamAggregatedResources(stream grpc.BidiStreamingServer[discovery.DiscoveryRequest, discovery.DiscoveryResponse]) error {
	return a.server.serve(stream.Context(), sotwWire{stream: stream, identifier: a.server.identifier})
}

// DeltaAggregatedResources serves differences.
func (a aggregated) DeltaAggregatedResources(stream grpc.BidiStreamingServer[discovery.DeltaDiscoveryRequest, discovery.DeltaDiscoveryResponse]) error {
	return a.server.serve(stream.Context(), deltaWire{stream: stream, identifier: a.server.identifier})
}

// admit lets a new stream in, or says why not.
func (s *Server) admit(ctx context.Context) error {
	select {
	case <-s.open:
	default:
		return status.Error(codes.Unavailable, "the configuration is not complete yet")
	}
	wait, cancel := context.WithTimeout(ctx, newWait)
	defer cancel()
	if err := s.arrivals.Wait(wait); err != nil {
		return status.Error(codes.Unavailable, "too many new streams")
	}
	if !s.registry.reserve(maxStreams) {
		return status.Errorf(codes.Unavailable, "%d streams are open already", maxStreams)
	}
	return nil
}

func (s *Server) dismiss() { s.registry.release() }
