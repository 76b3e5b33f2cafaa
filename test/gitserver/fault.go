package gitserver

import (
	"net/http"
	"strings"
	"time"
)

// Fault is what happens to a request instead of, or while, serving it. Exactly one of Status, Stall and CutAfter says
// what; the zero value does nothing.
type Fault struct {
	Status     int           // answer with this code and serve nothing
	RetryAfter time.Duration // with Status: the Retry-After header, whole seconds
	Location   string        // with a redirecting Status: where to
	Stall      bool          // say nothing until the fault is lifted, then serve; or until the client goes away
	CutAfter   int64         // break the connection after so many bytes of the answer's body
	Times      int           // so many requests; 0: until lifted
}

// armed is a fault in force.
type armed struct {
	Fault
	left   int
	lifted chan struct{}
}

// SetFault puts a fault on every path that begins with prefix, such as "/app.git/info/refs" or "/", in place of the
// one that was there. The longest prefix that fits a path counts.
func (s *Server) SetFault(prefix string, f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lift(prefix)
	s.faults[prefix] = &armed{Fault: f, left: f.Times, lifted: make(chan struct{})}
}

// LiftFault takes the fault of a prefix away; requests that it stalls go on.
func (s *Server) LiftFault(prefix string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lift(prefix)
}

// lift needs mu.
func (s *Server) lift(prefix string) {
	if a := s.faults[prefix]; a != nil {
		close(a.lifted)
		delete(s.faults, prefix)
	}
}

// faultFor gives the fault that hits this request, nil for none, and counts it.
func (s *Server) faultFor(path string) *armed {
	s.mu.Lock()
	defer s.mu.Unlock()
	longest, found := "", false
	for prefix := range s.faults {
		if strings.HasPrefix(path, prefix) && (!found || len(prefix) > len(longest)) {
			longest, found = prefix, true
		}
	}
	if !found {
		return nil
	}
	a := s.faults[longest]
	if a.Times > 0 {
		if a.left == 0 {
			return nil
		}
		a.left--
	}
	return a
}

// cutWriter aborts the answer once limit bytes of its body are out.
type cutWriter struct {
	http.ResponseWriter
	left int64
}

func (c *cutWriter) Write(b []byte) (int, error) {
	if int64(len(b)) <= c.left {
		c.left -= int64(len(b))
		return c.ResponseWriter.Write(b)
	}
	if _, err := c.ResponseWriter.Write(b[:c.left]); err != nil {
		return 0, err
	}
	if f, ok := c.ResponseWriter.(http.Flusher); ok {
		f.Flush()
	}
	panic(http.ErrAbortHandler)
}
