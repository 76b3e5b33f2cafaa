package server

import (
	"context"
	"sync"
	"time"

	"golang.org/x/time/rate"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	healthgrpc "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

const (
	maxStreams   = 5000
	newPerSecond = 200
	newWait      = 10 * time.Second
	maxReceive   = 4 << 20

	receiveWindow = 256 << 10 // of HTTP/2, per stream and per connection
)

// admission decides which streams are let in.
type admission struct {
	arrivals *rate.Limiter
	health   *health.Server
	open     chan struct{} // closed when streams are accepted
	opened   *sync.Once
}

func newAdmission() admission {
	a := admission{
		arrivals: rate.NewLimiter(newPerSecond, newPerSecond), health: health.NewServer(),
		open: make(chan struct{}), opened: &sync.Once{},
	}
	a.health.SetServingStatus("", healthgrpc.HealthCheckResponse_NOT_SERVING)
	return a
}

// Open makes the server accept streams. Call it when everything that resources are made from is known: until then a
// proxy keeps what it has. A second call does nothing.
func (s *Server) Open() {
	s.admission.opened.Do(func() {
		s.admission.health.SetServingStatus("", healthgrpc.HealthCheckResponse_SERVING)
		close(s.admission.open)
	})
}

// pass lets a new stream of one sort through when it is its turn.
func (s *Server) pass(ctx context.Context, arrivals *rate.Limiter) error {
	select {
	case <-s.admission.open:
	default:
		return s.refuse(refusedNotComplete, status.Error(codes.Unavailable, "the configuration is not complete yet"))
	}
	wait, cancel := context.WithTimeout(ctx, newWait)
	defer cancel()
	if err := arrivals.Wait(wait); err != nil {
		return s.refuse(refusedTooFast, status.Error(codes.Unavailable, "too many new streams"))
	}
	return nil
}

// admit lets a new stream in, or says why not.
func (s *Server) admit(ctx context.Context) error {
	if err := s.pass(ctx, s.admission.arrivals); err != nil {
		return err
	}
	if !s.registry.reserve(maxStreams) {
		return s.refuse(refusedTooMany, status.Errorf(codes.Unavailable, "%d streams are open already", maxStreams))
	}
	return nil
}

// refuse counts a stream that is turned away with err.
func (s *Server) refuse(reason string, err error) error {
	s.meters.refused.WithLabelValues(reason).Inc()
	return err
}

func (s *Server) dismiss() { s.registry.release() }
