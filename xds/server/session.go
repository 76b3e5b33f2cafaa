package server

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// session serves one stream. Its receiving goroutine hands requests to its sending goroutine, which owns the
// conversation and everything else here but the channels.
type session struct {
	server *Server
	wire   wire

	channels

	who    identity // changed under the lock of the registry only
	class  *class
	client *client
	talk   *conversation
	opened moment
	queue  queueing
}

// channels are how others speak to the sending goroutine.
type channels struct {
	inbox   chan received    // unbuffered: a client is not read faster than it is answered
	wake    bell             // something may have changed
	looks   chan chan<- look // of size one: somebody asks what the client has; the answer waits for nobody
	stalled chan struct{}    // of size one: a message could not be written in time
	done    chan struct{}    // closed when the stream is over
}

// moment is when a stream was opened.
type moment struct {
	at    time.Time
	mark  uint64 // of the fence
	leave func() // takes it off the count of streams
}

// received is what came in, or the error that ended it.
type received struct {
	request request
	node    *corev3.Node
	err     error
}

// serve runs a stream to its end.
func (s *Server) serve(ctx context.Context, w wire) error {
	if err := s.admit(ctx); err != nil {
		return err
	}
	defer s.dismiss()
	guest := s.life.farewell.arrive()
	defer s.life.farewell.left(guest)
	ss := &session{server: s, wire: w, channels: channels{
		inbox: make(chan received), wake: bell{rung: make(chan struct{}, 1)}, looks: make(chan chan<- look, 1),
		stalled: make(chan struct{}, 1), done: make(chan struct{}),
	}}
	defer close(ss.done)
	ended := make(chan error, 2)
	s.life.running.Add(2)
	go func() {
		defer s.life.running.Done()
		if err := ss.contain(func() error { ss.read(); return nil }); err != nil {
			ended <- err
		}
	}()
	go func() {
		defer s.life.running.Done()
		ended <- ss.contain(func() error { return ss.run(ctx) })
	}()
	select {
	case err := <-ended:
		return err
	case <-ss.stalled:
		return status.Errorf(codes.Unavailable, "the client has not read for %s", s.timing.Stall)
	case <-guest.leave:
		return status.Error(codes.Unavailable, "this replica is going down: come to another")
	case <-s.life.closing:
		return status.Error(codes.Unavailable, "the server is going down")
	}
}

// contain runs f. A panic ends this stream and no other.
func (ss *session) contain(f func() error) error { return ss.server.contain(&ss.who, f) }

func (s *Server) contain(who *identity, f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			s.log.Error("an xds stream panicked", "proxy", who.id, "err", fmt.Sprintf("%v\n%s", p, debug.Stack()))
			err = status.Error(codes.Internal, "internal error")
		}
	}()
	return f()
}

// read passes requests on until the stream ends.
func (ss *session) read() {
	for {
		r, node, err := ss.wire.receive()
		select {
		case ss.inbox <- received{request: r, node: node, err: err}:
		case <-ss.done:
			return
		}
		if err != nil {
			return
		}
	}
}

// run is the sending goroutine.
func (ss *session) run(ctx context.Context) error {
	defer ss.leave()
	first, err := ss.firstMessage(ctx)
	if err != nil {
		return err
	}
	said, err := identify(first.node)
	if err != nil {
		return ss.server.refuse(refusedBadNode, err)
	}
	if ss.who, err = ss.server.trust.authenticate(ctx, said); err != nil {
		return ss.server.refuse(refusedNotProven, err)
	}
	if err := ss.join(); err != nil {
		return ss.server.refuse(refusedTooManyClasses, err)
	}
	if err := ss.take(first); err != nil {
		return err
	}
	return ss.loop(ctx)
}

func (ss *session) firstMessage(ctx context.Context) (received, error) {
	limit := time.NewTimer(ss.server.timing.FirstMessage)
	defer limit.Stop()
	select {
	case in := <-ss.inbox:
		return in, in.err
	case <-limit.C:
		return received{}, ss.server.refuse(refusedSilent, status.Errorf(codes.DeadlineExceeded, "no message within %s", ss.server.timing.FirstMessage))
	case <-ctx.Done():
		return received{}, ctx.Err()
	case <-ss.done:
		return received{}, context.Canceled
	}
}

// join enters the stream into its class and the ledger.
func (ss *session) join() error {
	class, err := ss.server.enter(ss)
	if err != nil {
		return err
	}
	ss.class, ss.opened = class, moment{
		at: ss.server.now(), mark: ss.server.fence.mark(), leave: ss.server.meters.opened(class.of.Kind, ss.wire.sotw()),
	}
	ss.queue.lowerings = class.lowerings.Load()
	ss.queue.heeded = ss.queue.lowerings
	ss.client = ss.server.ledger.join(ss.who, class.of)
	ss.talk = &conversation{
		sotw: ss.wire.sotw(), timing: ss.server.timing,
		memory: recollection{ledger: ss.server.ledger, client: ss.client},
	}
	return nil
}

func (ss *session) leave() {
	if ss.class == nil {
		return
	}
	ss.enter()
	ss.heed(ss.class.lowerings.Load())
	ss.await(false)
	ss.opened.leave()
	ss.server.ledger.leave(ss.client)
	ss.server.fence.forget(ss)
	ss.server.exit(ss)
}

// take handles one incoming message.
func (ss *session) take(in received) error {
	if in.err != nil {
		return in.err
	}
	in.request.at = ss.server.now()
	if err := ss.talk.receive(in.request); err != nil {
		return err
	}
	if r, ok := ss.talk.unsupported(in.request); ok {
		ss.queue.replies = append(ss.queue.replies, r)
	}
	return nil
}

// loop works whenever something has happened and it is the stream's turn to write. Until then requests are read on:
// what is sent is computed when it can be.
func (ss *session) loop(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for due := true; ; {
		inbox, turn := ss.inbox, ss.server.writers.turns
		if !due {
			turn = nil
		}
		if len(ss.queue.replies) >= maxReplies {
			inbox = nil
		}
		var err error
		if due && ss.hurried() {
			err = ss.work(timer)
			due = false
		} else {
			select {
			case turn <- struct{}{}:
				ss.queue.begin(ss.server.writers.turns)
				err = ss.work(timer)
				ss.queue.end()
				due = false
			case in := <-inbox:
				err = ss.take(in)
				due = due || err == nil && !ss.learned()
			case <-ss.wake.rung:
				err, due = ss.reclassify(), true
			case answer := <-ss.looks:
				answer <- ss.look()
			case <-timer.C:
				due = true
			case <-ctx.Done():
				err = ctx.Err()
			case <-ss.done:
				err = context.Canceled
			}
		}
		if err != nil {
			ss.queue.end()
			return err
		}
	}
}

// work sends what is due, and sets the timer for when to look again.
func (ss *session) work(timer *time.Timer) error {
	again, err := ss.deliver()
	timer.Stop()
	if err == nil && !again.IsZero() {
		timer.Reset(max(again.Sub(ss.server.now()), time.Millisecond))
	}
	return err
}

// deliver sends what is due and says when to look again.
func (ss *session) deliver() (time.Time, error) {
	now := ss.server.now()
	ss.wake.later.Store(false)                     // before the set is read: whoever publishes a newer one rings
	ss.queue.lowerings = ss.class.lowerings.Load() // before the set: one that is lower still is hurried, too
	if now := ss.class.served.Load(); now != nil {
		ss.talk.use(now.to(ss.who.flavour))
	}
	if ss.talk.set == nil {
		limit := ss.opened.at.Add(ss.server.timing.FirstSet)
		if !now.Before(limit) {
			err := status.Errorf(codes.Unavailable, "nothing is known yet for proxies of kind %s in namespace %q", ss.class.of.Kind, ss.class.of.Namespace)
			return time.Time{}, ss.server.refuse(refusedNothingKnown, err)
		}
		return limit, nil
	}
	ss.talk.unproven, ss.talk.emptied = !ss.server.fence.since(ss.opened.mark), !ss.server.fence.since(ss.talk.set.mark)
	ss.talk.calm.hush = ss.class.hush.end(now)
	out, again := ss.talk.plan(now)
	ss.wake.later.Store(ss.talk.calm.waiting)
	switch barred := ss.talk.barred; {
	case barred.unproven:
		ss.server.fence.await(ss, ss.opened.mark)
	case barred.emptied:
		ss.server.fence.await(ss, ss.talk.set.mark)
	}
	out = append(ss.queue.replies, out...)
	ss.queue.replies = nil
	ss.enter()
	if ss.talk.timeouts > 0 {
		ss.server.meters.gateTimeouts.Add(float64(ss.talk.timeouts))
		ss.server.log.Warn("routes went out before their clusters were acknowledged", "proxy", ss.who.id, "reason", fmt.Sprintf("%d of them", ss.talk.timeouts))
		ss.talk.timeouts = 0
	}
	for _, r := range out {
		if err := ss.send(r); err != nil {
			return time.Time{}, err
		}
	}
	return again, nil
}

// learned enters what the client has said into the ledger when nothing has to be sent because of it: no turn is needed
// for that.
func (ss *session) learned() bool {
	if len(ss.queue.replies) > 0 || !ss.talk.quiet() {
		return false
	}
	ss.enter()
	return true
}

// enter puts what the client has said into the ledger, and tells those whom it concerns.
func (ss *session) enter() {
	now, outcomes := ss.server.now(), ss.talk.collect()
	ss.server.meters.answers(&ss.talk.notes, now)
	ss.server.meters.applied(outcomes, ss.opened.at, now)
	ss.await(ss.talk.awaits())
	if !ss.talk.awaitsSteering() {
		ss.heed(ss.queue.lowerings)
	}
	if ss.server.ledger.record(ss.client, outcomes) {
		ss.server.quarantined(ss.class)
		ss.tell(outcomes)
	}
	if ss.client.grown {
		ss.client.grown = false
		ss.server.loads.grown(ss.client.key)
	}
}

// await counts the stream while its client has not answered everything.
func (ss *session) await(awaited bool) {
	switch {
	case awaited && !ss.queue.awaited:
		ss.server.meters.pending.Inc()
	case !awaited && ss.queue.awaited:
		ss.server.meters.pending.Dec()
	}
	ss.queue.awaited = awaited
}

// reclassify moves the stream when the labels that matter have changed. It keeps what it has until the new class is
// served; equal bytes are not sent again.
func (ss *session) reclassify() error {
	if !ss.wake.moved.Swap(false) {
		return nil
	}
	class, err := ss.server.reenter(ss)
	if err != nil || class == ss.class {
		return err
	}
	ss.heed(ss.class.lowerings.Load())
	ss.class, ss.queue.lowerings = class, class.lowerings.Load()
	ss.queue.heeded = ss.queue.lowerings
	ss.server.ledger.move(ss.client, class.of)
	return nil
}
