package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	healthgrpc "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
)

// Door is one way in for proxies.
type Door struct {
	Addr         string        // "host:port" or "unix:path"
	Certificates *Certificates // both sides prove who they are; nil: plain text, and Addr must be of this machine
	Held         *Held         // in the place of Certificates; nil: it is they
}

// ListenAndServe lets proxies in by all doors until ctx ends. A door that cannot be opened keeps the others closed.
func (s *Server) ListenAndServe(ctx context.Context, doors ...Door) error {
	entries, err := s.open(ctx, doors...)
	if err != nil {
		return err
	}
	return s.serveAll(ctx, entries)
}

func (s *Server) open(ctx context.Context, doors ...Door) ([]entrance, error) {
	var entries []entrance
	for _, d := range doors {
		e, err := s.enterBy(ctx, d)
		if err != nil {
			for _, opened := range entries {
				err = errors.Join(err, opened.listener.Close())
			}
			return nil, err
		}
		entries = append(entries, e)
	}
	return entries, nil
}

// entrance is a door that is open.
type entrance struct {
	listener net.Listener
	keys     *keyring // nil: plain text
}

func (s *Server) enterBy(ctx context.Context, d Door) (entrance, error) {
	network, address := "tcp", d.Addr
	if path, ok := strings.CutPrefix(d.Addr, "unix:"); ok {
		network, address = "unix", path
	}
	var e entrance
	var err error
	switch {
	case d.Held != nil:
		e.keys = &keyring{held: d.Held, log: s.log}
		s.life.keys.Store(e.keys)
	case d.Certificates != nil:
		if e.keys, err = newKeyring(*d.Certificates, s.log); err != nil {
			return e, fmt.Errorf("listening for proxies on %s: %w", d.Addr, err)
		}
		s.life.keys.Store(e.keys)
	case network == "tcp":
		if err = checkLoopback(d.Addr); err != nil {
			return e, err
		}
	}
	if e.listener, err = (&net.ListenConfig{}).Listen(ctx, network, address); err != nil {
		return e, fmt.Errorf("listening for proxies: %w", err)
	}
	return e, nil
}

// checkLoopback refuses addresses that other machines can reach.
func checkLoopback(addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("listening for proxies: address %q: %w", addr, err)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("listening for proxies: %q is not a loopback address, and this door speaks plain text; use 127.0.0.1, a unix socket, or certificates", addr)
	}
	return nil
}

// Serve serves in plain text on l until ctx ends, and closes it. It returns when every stream has ended. A Server
// serves once.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	if tcp, ok := l.Addr().(*net.TCPAddr); ok && !tcp.IP.IsLoopback() {
		return errors.Join(fmt.Errorf("serving proxies: %s is not a loopback address, and this door speaks plain text", tcp), l.Close())
	}
	return s.serveAll(ctx, []entrance{{listener: l}})
}

// serveAll serves by all entrances until ctx ends or one of them fails.
func (s *Server) serveAll(ctx context.Context, entries []entrance) error {
	failed := make(chan error, len(entries))
	servers := make([]*grpc.Server, 0, len(entries))
	for _, e := range entries {
		g := s.endpoint(e.keys)
		servers = append(servers, g)
		s.life.farewell.opened(g)
		go func() {
			err := g.Serve(e.listener)
			if errors.Is(err, grpc.ErrServerStopped) {
				err = nil // told to before it had begun
			}
			if err != nil {
				err = fmt.Errorf("serving proxies on %s: %w", e.listener.Addr(), err)
			}
			failed <- err
		}()
	}
	var errs []error
	proving, stop := context.WithCancel(ctx)
	var fence sync.WaitGroup
	fence.Go(func() { s.fence.run(proving) })
	running := len(entries)
	for over := false; !over && running > 0; { // doors close one by one when proxies are sent away
		select {
		case <-ctx.Done():
			over = true
		case err := <-failed:
			errs, running, over = append(errs, err), running-1, err != nil
		}
	}
	s.admission.health.Shutdown()
	close(s.life.closing)
	for _, g := range servers {
		g.Stop()
	}
	for range running {
		errs = append(errs, <-failed)
	}
	s.life.running.Wait()
	stop()
	fence.Wait()
	s.ledger.close()
	s.registry.close()
	return errors.Join(errs...)
}

// endpoint is the gRPC server of one entrance.
func (s *Server) endpoint(keys *keyring) *grpc.Server {
	options := []grpc.ServerOption{
		grpc.MaxRecvMsgSize(maxReceive),
		grpc.ForceServerCodecV2(codec{plain: encoding.GetCodecV2(proto.Name)}),
		// Fixed windows: gRPC would else measure the connection with a ping for each acknowledgement.
		grpc.InitialWindowSize(receiveWindow), grpc.InitialConnWindowSize(receiveWindow),
		grpc.KeepaliveParams(keepalive.ServerParameters{
			Time: 30 * time.Second, Timeout: 10 * time.Second,
			MaxConnectionAge: time.Hour, MaxConnectionAgeGrace: 30 * time.Second, // gRPC spreads the age by 10 %
		}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
	}
	if keys != nil {
		options = append(options, grpc.Creds(credentials.NewTLS(keys.config())))
	}
	g := grpc.NewServer(options...)
	s.register(g)
	healthgrpc.RegisterHealthServer(g, s.admission.health)
	return g
}
