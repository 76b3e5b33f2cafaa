package server

import (
	"context"
	"slices"
	"time"

	loadservice "github.com/envoyproxy/go-control-plane/envoy/service/load_stats/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/sluice-dev/sluice/xds/ir"
	"github.com/sluice-dev/sluice/xds/load"
)

// sendsAll is what a client calls its ability to report all its clusters without being told their names.
const sendsAll = "envoy.lrs.supports_send_all_clusters"

type loadReporting struct {
	loadservice.UnimplementedLoadReportingServiceServer
	server *Server
}

// StreamLoadStats takes the load reports of one proxy.
func (l loadReporting) StreamLoadStats(stream loadStream) error {
	return l.server.takeLoads(stream.Context(), stream)
}

type loadStream = grpc.BidiStreamingServer[loadservice.LoadStatsRequest, loadservice.LoadStatsResponse]

// reporter serves one stream of load reports. Its receiving goroutine hands reports to its sending goroutine, which owns
// everything else here but the channels.
type reporter struct {
	server *Server
	stream loadStream

	inbox    chan incoming
	grown    chan struct{} // of size one: the proxy has a cluster that it did not have
	relisted chan struct{} // of size one: splits give weight to other clusters
	stalled  chan struct{} // of size one: an answer could not be written in time
	done     chan struct{} // closed when the stream is over

	who identity // not changed after the first message
	listing
	tally load.Reporter
	rhythm
	wrong bool // it was said that a report makes no sense
}

// rhythm is when a proxy reports; guarded by the loads'.
type rhythm struct {
	every time.Duration // as it was told
	heard time.Time     // up to then it has reported
}

// listing is what a proxy was told to report.
type listing struct {
	all      bool      // everything, whatever there is
	clusters []string  // else these, sorted
	each     bool      // by their endpoints too
	again    time.Time // it may be told anew from then on: each answer makes it wait a full interval
	due      bool      // it must be told anew, though nothing else is said
}

// incoming is what came in, or the error that ended it.
type incoming struct {
	request *loadservice.LoadStatsRequest
	err     error
}

// takeLoads runs a stream to its end.
func (s *Server) takeLoads(ctx context.Context, stream loadStream) error {
	if err := s.admitReporter(ctx); err != nil {
		return err
	}
	defer s.loads.dismiss()
	guest := s.life.farewell.arrive()
	defer s.life.farewell.left(guest)
	rp := &reporter{
		server: s, stream: stream, inbox: make(chan incoming), grown: make(chan struct{}, 1),
		relisted: make(chan struct{}, 1), stalled: make(chan struct{}, 1), done: make(chan struct{}),
	}
	defer close(rp.done)
	ended := make(chan error, 1)
	s.life.running.Add(2)
	go func() {
		defer s.life.running.Done()
		rp.read()
	}()
	go func() {
		defer s.life.running.Done()
		ended <- s.contain(&rp.who, func() error { return rp.run(ctx) })
	}()
	select {
	case err := <-ended:
		return err
	case <-rp.stalled:
		return status.Errorf(codes.Unavailable, "the client has not read for %s", s.timing.Stall)
	case <-guest.leave:
		return status.Error(codes.Unavailable, "this replica is going down: come to another")
	case <-s.life.closing:
		return status.Error(codes.Unavailable, "the server is going down")
	}
}

// read passes reports on until the stream ends.
func (rp *reporter) read() {
	for {
		in, err := rp.stream.Recv()
		select {
		case rp.inbox <- incoming{request: in, err: err}:
		case <-rp.done:
			return
		}
		if err != nil {
			return
		}
	}
}

// run is the sending goroutine.
func (rp *reporter) run(ctx context.Context) error {
	first, err := rp.firstMessage(ctx)
	if err != nil {
		return err
	}
	said, err := identify(first.GetNode())
	if err != nil {
		return err
	}
	if rp.who, err = rp.server.trust.authenticate(ctx, said); err != nil {
		return err
	}
	rp.all = slices.Contains(first.GetNode().GetClientFeatures(), sendsAll)
	rp.server.loads.join(rp)
	defer rp.server.loads.leave(rp)
	rp.due = true
	if _, err := rp.tell(); err != nil {
		return err
	}
	if err := rp.take(first); err != nil { // of the time since an earlier stream
		return err
	}
	return rp.loop(ctx)
}

func (rp *reporter) firstMessage(ctx context.Context) (*loadservice.LoadStatsRequest, error) {
	limit := time.NewTimer(rp.server.timing.FirstMessage)
	defer limit.Stop()
	select {
	case in := <-rp.inbox:
		return in.request, in.err
	case <-limit.C:
		return nil, status.Errorf(codes.DeadlineExceeded, "no message within %s", rp.server.timing.FirstMessage)
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-rp.done:
		return nil, context.Canceled
	}
}

// loop takes reports, and tells the proxy anew what to report when that has changed.
func (rp *reporter) loop(ctx context.Context) error {
	timer := time.NewTimer(0)
	timer.Stop()
	defer timer.Stop()
	for {
		look := true // whether it must be told anew; reports say nothing of that where all is reported
		select {
		case in := <-rp.inbox:
			if in.err != nil {
				return in.err
			}
			if err := rp.take(in.request); err != nil {
				return err
			}
			look = !rp.all
		case <-rp.grown:
			rp.due = true
		case <-rp.relisted:
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		case <-rp.done:
			return context.Canceled
		}
		if !look || rp.who.class.Kind == ir.KindGRPC {
			continue // gRPC goes by the first answer for ever
		}
		wait, err := rp.tell()
		if err != nil {
			return err
		}
		if wait > 0 {
			timer.Reset(wait)
		}
	}
}

// tell says what to report, when that is not known or has changed: at once, or gives the time to wait for it. What a
// proxy counts of a cluster that is new to it is void until it is told, even if the answer says the same as before.
func (rp *reporter) tell() (wait time.Duration, err error) {
	clusters, each, err := rp.wanted()
	if err != nil || !rp.due && each == rp.each && slices.Equal(clusters, rp.clusters) {
		return 0, err
	}
	now := rp.server.now()
	if wait := rp.again.Sub(now); wait > 0 && (rp.each || !each) {
		return wait, nil // but not where it is to report sooner
	}
	interval := rp.server.loads.pace(rp, each && rp.who.class.Kind != ir.KindGRPC)
	rp.due, rp.clusters, rp.each, rp.again = false, clusters, each, now.Add(2*interval)
	limit := time.AfterFunc(rp.server.timing.Stall, func() { poke(rp.stalled) })
	defer limit.Stop()
	return 0, rp.stream.Send(&loadservice.LoadStatsResponse{
		SendAllClusters: rp.all, Clusters: clusters, LoadReportingInterval: durationpb.New(interval), ReportEndpointGranularity: each,
	})
}

// wanted are the clusters to name: those that splits of the class give weight to. each: what single endpoints answered is
// wanted too.
func (rp *reporter) wanted() (clusters []string, each bool, err error) {
	who, err := rp.server.trust.proven(rp.who)
	if err != nil {
		return nil, false, err
	}
	s := rp.server.servedTo(who)
	if s == nil {
		return nil, false, nil
	}
	if rp.all {
		return nil, s.compared(), nil
	}
	return s.fed(), s.compared(), nil
}

// take adds a report to the sums. Clusters that the proxy is not served do not count: they are its own, or not its
// business.
func (rp *reporter) take(in *loadservice.LoadStatsRequest) error {
	now := rp.server.now()
	defer rp.server.loads.heard(rp, now)
	if len(in.GetClusterStats()) == 0 {
		return nil
	}
	who, err := rp.server.trust.proven(rp.who)
	if err != nil {
		return err
	}
	served := rp.server.servedTo(who)
	if served == nil {
		return nil
	}
	stats, err := load.ReadAll(in.GetClusterStats(), func(name string) bool { return served.of[clusters].get(name) != nil })
	if err != nil {
		rp.complain(err)
	}
	if rp.server.loads.add(&rp.tally, stats, now) {
		rp.server.log.Warn(noRoom)
	}
	return nil
}

// complain logs the first report that makes no sense.
func (rp *reporter) complain(err error) {
	if !rp.wrong {
		rp.server.log.Warn("a load report is left out", "proxy", rp.who.id, "err", err)
	}
	rp.wrong = true
}
