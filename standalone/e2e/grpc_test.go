package e2e

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthgrpc "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/xds"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/app"
	"github.com/sluice-dev/sluice/test/load"
	"github.com/sluice-dev/sluice/xds/bootstrap"
	"github.com/sluice-dev/sluice/xds/ir"
)

// startGRPC is a version of the service that speaks gRPC and says in a header which one it is.
func startGRPC(t *testing.T, name string) *version {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := grpc.NewServer(grpc.UnaryInterceptor(func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		if err := grpc.SetHeader(ctx, metadata.Pairs(load.VersionHeader, name)); err != nil {
			return nil, err
		}
		return next(ctx, req)
	}))
	healthgrpc.RegisterHealthServer(srv, health.NewServer())
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(l) }()
	t.Cleanup(func() { srv.Stop(); <-done })
	return &version{name: name, ports: []int{l.Addr().(*net.TCPAddr).Port}}
}

// callers calls the service through gRPC's own xDS client until the end of the test, and records every answer.
func (sh *shop) callers(rps int) *load.Record {
	sh.t.Helper()
	file, err := bootstrap.JSON(bootstrap.Options{Kind: ir.KindGRPC, ID: "caller-1", Namespace: sh.namespace, XDS: sh.site.stack.Document().XDS})
	if err != nil {
		sh.t.Fatal(err)
	}
	resolver, err := xds.NewXDSResolverWithConfigForTesting(file)
	if err != nil {
		sh.t.Fatal(err)
	}
	conn, err := grpc.NewClient(fmt.Sprintf("xds:///reviews.%s.svc.cluster.local:80", sh.namespace),
		grpc.WithResolvers(resolver), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		sh.t.Fatal(err)
	}
	client, record := healthgrpc.NewHealthClient(conn), load.NewRecord()
	ctx, cancel := context.WithCancel(sh.t.Context())
	var calling sync.WaitGroup
	const abreast = 8 // a slow answer holds up few others
	for range abreast {
		calling.Go(func() {
			tick := time.NewTicker(abreast * time.Second / time.Duration(rps))
			defer tick.Stop()
			for {
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
					if a := callOnce(ctx, client); ctx.Err() == nil { // what the end of the test broke off is no failure
						record.Add(a)
					}
				}
			}
		})
	}
	sh.t.Cleanup(func() { cancel(); calling.Wait(); _ = conn.Close() })
	return record
}

func callOnce(ctx context.Context, c healthgrpc.HealthClient) load.Answer {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var header metadata.MD
	a := load.Answer{Start: app.Now()}
	a.Due = a.Start
	if _, err := c.Check(ctx, &healthgrpc.HealthCheckRequest{}, grpc.Header(&header), grpc.WaitForReady(true)); err == nil {
		a.Status = 200
	}
	a.End = app.Now()
	if v := header.Get(load.VersionHeader); len(v) == 1 {
		a.Version = v[0]
	}
	return a
}

func TestRelease_throughGRPCsOwnClient(t *testing.T) {
	t.Parallel()
	s := theSite(t)
	sh := openShop(t, s)
	for _, name := range []string{"v1", "v2", "v3"} {
		sh.versions[name] = startGRPC(t, name)
	}
	changes := func() map[string]string {
		files := sh.files()
		return map[string]string{
			"deploy/gateway.yaml": "", "deploy/virtualservice.yaml": "",
			"deploy/serviceentry.yaml": strings.Replace(files["deploy/serviceentry.yaml"], "name: http, protocol: HTTP", "name: http, protocol: GRPC", 1),
			// No Envoy is in the path, so no counter judges: time alone passes the steps.
			"deploy/rollout.yaml": strings.NewReplacer("bake: {min: 3s", "promotion: timeOnly, bake: {min: 5s", "bake: {min: 2s", "promotion: timeOnly, bake: {min: 5s",
				`{name: errors, window: 1s, warmup: 1s, harmful: {ratio: "2", rate: 2%}}`, "{name: errors, disabled: true}").Replace(files["deploy/rollout.yaml"]),
		}
	}
	sh.push("shop: first version", changes())
	sh.until("v1 adopted", 30*time.Second, func(st *v1alpha1.RolloutStatus) bool { return st.Stable.Name == "v1" && ready(st) })
	record := sh.callers(200)
	start := app.Now()
	sh.rollout.subset = "v2"
	sh.push("reviews: v2", changes())
	sh.until("v2 promoted", 90*time.Second, func(st *v1alpha1.RolloutStatus) bool { return st.Stable.Name == "v2" && ready(st) })
	checkShares(t, sh, record, start)
	tally := record.Tally(start, time.Time{})
	if n := tally.FailedBut(nobody); n != 0 {
		t.Errorf("%d calls failed: %+v", n, tally)
	}
}
