package server

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
)

// farewell knows whom the server has to send away before it goes down.
type farewell struct {
	mu      sync.Mutex // guards everything below
	doors   []*grpc.Server
	guests  map[*guest]struct{}
	arrived uint64
	begun   bool
}

// guest is a stream that stays until it is told to leave.
type guest struct {
	arrival uint64
	leave   chan struct{} // closed when it has to
}

// arrive enters a stream. One that comes while others are sent away goes at once.
func (f *farewell) arrive() *guest {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.arrived++
	g := &guest{arrival: f.arrived, leave: make(chan struct{})}
	if f.begun {
		close(g.leave)
		return g
	}
	if f.guests == nil {
		f.guests = map[*guest]struct{}{}
	}
	f.guests[g] = struct{}{}
	return g
}

func (f *farewell) left(g *guest) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.guests, g)
}

func (f *farewell) opened(door *grpc.Server) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.doors = append(f.doors, door)
}

// begin gives all doors, and those who are inside in the order in which they came; nil the second time.
func (f *farewell) begin() ([]*grpc.Server, []*guest) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.begun {
		return nil, nil
	}
	f.begun = true
	guests := slices.SortedFunc(maps.Keys(f.guests), func(a, b *guest) int { return cmp.Compare(a.arrival, b.arrival) })
	return f.doors, guests
}

// leaveWithin is how long those who were told to go may take.
const leaveWithin = 2 * time.Second

// Drain sends every proxy to another replica: new connections are refused, those that stand are told to go elsewhere with
// what comes next, and one stream after the other is ended, spread over the time with some chance, so that the others are
// not met by all at once. It returns when all have left, soon after the last was told, or when ctx ends.
func (s *Server) Drain(ctx context.Context, over time.Duration) {
	s.admission.health.Shutdown()
	s.ledger.sendAway()
	doors, guests := s.life.farewell.begin()
	s.log.Info(fmt.Sprintf("the proxies of %d streams are sent to other replicas within %v", len(guests), over))
	var closing sync.WaitGroup
	for _, door := range doors {
		closing.Go(door.GracefulStop) // ends with the last stream, or by Stop
	}
	empty := make(chan struct{})
	go func() {
		defer close(empty)
		closing.Wait()
	}()
	timer := time.NewTimer(over)
	defer timer.Stop()
	last := time.Duration(0)
	for i, g := range guests {
		due := time.Duration((float64(i) + rand.Float64()) / float64(len(guests)) * float64(over))
		timer.Reset(due - last)
		last = due
		select {
		case <-timer.C:
			close(g.leave)
		case <-ctx.Done():
			return
		}
	}
	timer.Reset(leaveWithin)
	select {
	case <-empty:
	case <-timer.C:
	case <-ctx.Done():
	}
}
