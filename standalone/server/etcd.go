package server

import (
	"context"
	"fmt"
	"net/url"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	"go.etcd.io/etcd/server/v3/embed"

	"github.com/sluice-dev/sluice/standalone/pki"
)

// store is the embedded etcd. It listens on free loopback ports and talks only to who has a certificate of its own
// authority: this process.
type store struct {
	etcd     *embed.Etcd
	endpoint string
}

func startStore(ctx context.Context, f files, space int64) (*store, error) {
	e, err := embed.StartEtcd(storeConfig(f, space))
	if err != nil {
		return nil, fmt.Errorf("starting etcd: %w", err)
	}
	s := &store{etcd: e, endpoint: "https://" + e.Clients[0].Addr().String()}
	select {
	case <-e.Server.ReadyNotify():
		return s, nil
	case err = <-e.Err():
	case <-ctx.Done():
		err = ctx.Err()
	}
	s.stop()
	return nil, fmt.Errorf("waiting for etcd: %w (its log: %s)", err, f.log("etcd.log"))
}

func storeConfig(f files, space int64) *embed.Config {
	c := embed.NewConfig()
	c.Name = "sluice"
	c.Dir, c.QuotaBackendBytes = f.path("etcd"), space
	c.LogLevel, c.LogOutputs = "warn", []string{f.log("etcd.log")}
	anyPort := []url.URL{{Scheme: "https", Host: "127.0.0.1:0"}}
	c.ListenClientUrls, c.ListenPeerUrls = anyPort, anyPort
	// The advertised addresses are a member's identity for its peers. There are none, so any constant will do.
	constant := []url.URL{{Scheme: "https", Host: "127.0.0.1:2380"}}
	c.AdvertiseClientUrls, c.AdvertisePeerUrls = constant, constant
	c.InitialCluster = c.InitialClusterFromName(c.Name)
	tls := transport.TLSInfo{
		CertFile: f.cert(pki.Etcd), KeyFile: f.key(pki.Etcd), TrustedCAFile: f.cert(pki.EtcdAuthority), ClientCertAuth: true,
	}
	c.ClientTLSInfo, c.PeerTLSInfo = tls, tls
	c.TickMs, c.ElectionMs = 20, 100 // alone, it elects itself: the shorter, the sooner it is ready
	c.EnableGRPCGateway = false
	return c
}

func (s *store) stop() { s.etcd.Close() }
