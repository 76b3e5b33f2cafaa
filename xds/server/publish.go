package server

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/sluice-dev/sluice/xds/envoy"
	"github.com/sluice-dev/sluice/xds/ir"
)

// maxClasses bounds the sets that are kept and compiled.
const maxClasses = 256

// class is all proxies that get the same set.
type class struct {
	of       ir.ProxyClass
	served   atomic.Pointer[served] // nil until something is published
	sessions map[*session]struct{}
	lapse    *time.Timer // runs while nobody is connected

	lowerings atomic.Uint64 // sets that took weight from a canary
	hush      hush
}

// served are the sets of a class.
type served struct {
	base     *set
	variants map[string]*set // instead of base, for the kinds of proxies that reject a part of it
}

// to is the set of one kind of proxy.
func (s *served) to(flavour string) *set {
	if v := s.variants[flavour]; v != nil {
		return v
	}
	return s.base
}

// base is what the class should have; nil: nothing is published yet.
func (c *class) base() *set {
	if s := c.served.Load(); s != nil {
		return s.base
	}
	return nil
}

// registry knows the classes and who is in them.
type registry struct {
	mu      *sync.Mutex // guards everything below
	classes map[ir.ProxyClass]*class
	keys    ir.ClassKeys
	streams int
	changed chan struct{} // closed when the classes change
	bytes   map[content]*shared

	looking chan struct{} // of size one: the place of whoever asks all streams for what they have
}

// content names the bytes of a resource: its version is a hash of them.
type content struct {
	kind    kind
	version string
}

// shared are bytes that several classes use.
type shared struct {
	any  *anypb.Any
	uses int
}

func newRegistry() registry {
	return registry{
		mu: &sync.Mutex{}, classes: map[ir.ProxyClass]*class{},
		changed: make(chan struct{}), bytes: map[content]*shared{},
		looking: make(chan struct{}, 1),
	}
}

// Publish makes r what the proxies of the class should have, and returns when their streams are told. Resources whose
// version did not change are sent to nobody. No part of r may be changed afterwards.
func (s *Server) Publish(ctx context.Context, of ir.ProxyClass, r envoy.Resources) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.registry.mu.Lock()
	defer s.registry.mu.Unlock()
	c, err := s.class(of)
	if err != nil {
		return err
	}
	before := c.base()
	r.Secrets = s.ownSecrets(of, r.Secrets)
	next, err := newSet(before, r)
	if err != nil {
		return fmt.Errorf("publishing to %s proxies of namespace %q: %w", of.Kind, of.Namespace, err)
	}
	if next.equal(before) {
		return nil
	}
	next.mark = s.fence.mark()
	next.bear(before, s.now())
	s.registry.adoptBytes(next, before)
	s.registry.count(next, before, 1)
	s.registry.count(before, next, -1)
	c.served.Store(&served{base: next, variants: s.ledger.publish(of, next)})
	s.loads.follow(of, next)
	if next.lowers(before) {
		c.hush.begin(s.now(), len(c.sessions))
		c.lowerings.Add(1)
	}
	minor := next.movesOnly(before)
	for ss := range c.sessions {
		if !minor || !ss.wake.later.Load() {
			ss.poke()
		}
	}
	return nil
}

// ownSecrets are those that are held in the namespace of the class: whoever compiled, no proxy gets another's.
func (s *Server) ownSecrets(of ir.ProxyClass, in []envoy.Resource) []envoy.Resource {
	foreign := func(r envoy.Resource) bool {
		return slices.ContainsFunc(r.Origins, func(o ir.Origin) bool { return o.Kind == "Secret" && o.Namespace != of.Namespace })
	}
	if !slices.ContainsFunc(in, foreign) {
		return in
	}
	return slices.DeleteFunc(slices.Clone(in), func(r envoy.Resource) bool {
		if !foreign(r) {
			return false
		}
		s.log.Error("a secret was published to proxies of another namespace and is left out", "reason", r.Name, "namespace", of.Namespace)
		return true
	})
}

// Classes gives the classes to compile for, sorted: those with a stream now or a while ago. The channel is closed when
// they change.
func (s *Server) Classes() ([]ir.ProxyClass, <-chan struct{}) {
	s.registry.mu.Lock()
	defer s.registry.mu.Unlock()
	out := make([]ir.ProxyClass, 0, len(s.registry.classes))
	for of := range s.registry.classes {
		out = append(out, of)
	}
	slices.SortFunc(out, compareClasses)
	return out, s.registry.changed
}

func compareClasses(a, b ir.ProxyClass) int {
	flag := func(b bool) int {
		if b {
			return 1
		}
		return 0
	}
	return cmp.Or(
		cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Labels, b.Labels),
		cmp.Compare(a.Locality, b.Locality), cmp.Compare(a.Capture, b.Capture), cmp.Compare(flag(a.Unprivileged), flag(b.Unprivileged)))
}

// SetClassKeys tells what of proxies tells classes apart. Streams move to their new classes; what is equal there is not
// sent again. It is called whenever the cluster has changed, and looks whether something else is proven of the connected
// proxies now.
func (s *Server) SetClassKeys(keys ir.ClassKeys) {
	keys.Labels = slices.Clone(keys.Labels)
	slices.Sort(keys.Labels)
	keys.Labels = slices.Compact(keys.Labels)
	all := s.registry.adopt(keys)
	for ss, who := range all {
		if fresh, err := s.trust.proven(who); err != nil || !maps.Equal(fresh.labels, who.labels) {
			ss.move()
		}
	}
}

// adopt takes over the keys. When they differ it wakes all streams, else it gives those that came with a certificate.
func (r *registry) adopt(keys ir.ClassKeys) map[*session]identity {
	r.mu.Lock()
	defer r.mu.Unlock()
	same := keys.Equal(r.keys)
	r.keys = keys
	proven := map[*session]identity{}
	for _, c := range r.classes {
		for ss := range c.sessions {
			if !same {
				ss.move()
			} else if ss.who.claim != nil {
				proven[ss] = ss.who
			}
		}
	}
	return proven
}

// class finds or makes a class; the registry is locked.
func (s *Server) class(of ir.ProxyClass) (*class, error) {
	if c := s.registry.classes[of]; c != nil {
		return c, nil
	}
	if len(s.registry.classes) >= maxClasses {
		return nil, status.Errorf(codes.ResourceExhausted, "there are %d classes of proxies already", maxClasses)
	}
	c := &class{of: of, sessions: map[*session]struct{}{}}
	s.registry.classes[of] = c
	s.registry.announce()
	s.lapseLater(c)
	return c, nil
}

// lapseLater drops the class when nobody connects for a while; the registry is locked. What it is served would grow
// old, since nothing is compiled for it.
func (s *Server) lapseLater(c *class) {
	c.lapse = time.AfterFunc(s.timing.Demand, func() {
		s.registry.mu.Lock()
		defer s.registry.mu.Unlock()
		if len(c.sessions) > 0 || s.registry.classes[c.of] != c {
			return
		}
		delete(s.registry.classes, c.of)
		s.registry.count(c.base(), nil, -1)
		s.registry.announce()
		s.ledger.forget(c.of)
		s.loads.follow(c.of, nil)
	})
}

// enter puts a stream into its class.
func (s *Server) enter(ss *session) (*class, error) {
	s.registry.mu.Lock()
	defer s.registry.mu.Unlock()
	c, err := s.class(ss.who.classify(s.registry.keys))
	if err != nil {
		return nil, err
	}
	c.lapse.Stop()
	c.sessions[ss] = struct{}{}
	return c, nil
}

// exit takes a stream out of its class.
func (s *Server) exit(ss *session) {
	s.registry.mu.Lock()
	defer s.registry.mu.Unlock()
	s.part(ss)
}

func (s *Server) part(ss *session) {
	delete(ss.class.sessions, ss)
	if len(ss.class.sessions) == 0 {
		s.lapseLater(ss.class)
	}
}

// reenter moves a stream to the class that it belongs to now.
func (s *Server) reenter(ss *session) (*class, error) {
	who, err := s.trust.proven(ss.who)
	if err != nil {
		return nil, err
	}
	s.registry.mu.Lock()
	defer s.registry.mu.Unlock()
	ss.who = who
	of := who.classify(s.registry.keys)
	if of == ss.class.of {
		return ss.class, nil
	}
	c, err := s.class(of)
	if err != nil {
		return nil, err
	}
	s.part(ss)
	c.lapse.Stop()
	c.sessions[ss] = struct{}{}
	return c, nil
}

// fresh are the items of a set that another does not have (nil: it has none), with their kinds.
func (s *set) fresh(other *set) iter.Seq2[kind, *item] {
	return func(yield func(kind, *item) bool) {
		if s == nil {
			return
		}
		for k, c := range s.of {
			if other != nil && other.of[k] == c {
				continue
			}
			for at, i := range c.items {
				if other != nil && other.of[k].has(i, at) {
					continue
				}
				if !yield(kind(k), i) {
					return
				}
			}
		}
	}
}

// has reports whether an item is in the collection, most likely at a place.
func (c *collection) has(i *item, at int) bool {
	return at < len(c.items) && c.items[at] == i || c.get(i.name) == i
}

// adoptBytes lets the items that before does not have use the bytes that another class uses already, where they are
// equal. Nobody knows the items yet.
func (r *registry) adoptBytes(next, before *set) {
	for k, i := range next.fresh(before) {
		if same := r.bytes[content{kind: k, version: i.version}]; same != nil {
			i.any = same.any
		}
	}
}

// count adds n uses to the bytes of a set that another does not have.
func (r *registry) count(s, other *set, n int) {
	for k, i := range s.fresh(other) {
		at := content{kind: k, version: i.version}
		if r.bytes[at] == nil {
			r.bytes[at] = &shared{any: i.any}
		}
		if r.bytes[at].uses += n; r.bytes[at].uses <= 0 {
			delete(r.bytes, at)
		}
	}
}

func (r *registry) announce() {
	close(r.changed)
	r.changed = make(chan struct{})
}

func (r *registry) reserve(limit int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.streams >= limit {
		return false
	}
	r.streams++
	return true
}

func (r *registry) release() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.streams--
}

func (r *registry) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.classes {
		c.lapse.Stop()
	}
}
