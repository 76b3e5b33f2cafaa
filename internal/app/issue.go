package app

import (
	"cmp"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/sluice-dev/sluice/xds/authority"
	"github.com/sluice-dev/sluice/xds/issuer"
	xdsserver "github.com/sluice-dev/sluice/xds/server"
)

const (
	day           = 24 * time.Hour
	authorityLife = 10 * 365 * day // of the authority of proxies
	leafLife      = 90 * day
	minLeafLife   = 10 * time.Second
	maxLeafLife   = 365 * day
)

// issue lets this process keep the certificates that are its business, and put its own into held.
func issue(mgr ctrl.Manager, c Config, held *xdsserver.Held, leads func() bool) error {
	cfg, err := c.issued()
	if err != nil || cfg.Server.Secret == "" {
		return err
	}
	cfg.Client, cfg.Leads, cfg.Take = mgr.GetClient(), leads, held.Put
	i, err := issuer.New(cfg)
	if err != nil {
		return err
	}
	if err := register(i.Collectors()); err != nil {
		return fmt.Errorf("registering what is measured of certificates: %w", err)
	}
	there := func(*http.Request) error {
		if !held.Any() {
			return fmt.Errorf("secret %s with the certificate for proxies is not there yet", cfg.Server.Secret)
		}
		return nil
	}
	return errors.Join(mgr.Add(i), mgr.AddReadyzCheck("certificates", there))
}

// issued says what is to be issued; no Secret for the server: nothing.
func (c Config) issued() (issuer.Config, error) {
	want := c.Proxies.Issue
	out := issuer.Config{Namespace: c.Namespace, Now: Now, Log: c.Log, Term: authority.Term{Authority: authorityLife, Leaf: cmp.Or(want.Life, leafLife)}}
	if want.Secret == "" {
		if want.Gateway != "" || want.Account != "" || len(want.Proxies)+len(want.Names) > 0 || want.Life != 0 {
			return out, errors.New("making certificates: the Secret of the xDS server is not named (--xds-secret)")
		}
		return out, nil
	}
	if out.Term.Leaf < minLeafLife || out.Term.Leaf > maxLeafLife {
		return out, fmt.Errorf("making certificates: they may last from %v to %v, not %v", minLeafLife, maxLeafLife, want.Life)
	}
	host := "sluice." + c.Namespace + ".svc"
	names := slices.Clone(want.Names)
	if len(names) == 0 {
		names = []string{host, host + "." + c.Mesh.DomainSuffix}
	}
	out.Server = issuer.Kept{Secret: want.Secret, Wanted: authority.Wanted{Name: "sluice xds", Hosts: names, Usage: x509.ExtKeyUsageServerAuth}}
	if want.Gateway != "" {
		out.Proxies = append(out.Proxies, c.proxy(c.Namespace, want.Gateway, cmp.Or(want.Account, "sluice-gateway")))
	}
	for _, text := range want.Proxies {
		parts := proxySecret.FindStringSubmatch(text)
		if parts == nil {
			return out, fmt.Errorf("making certificates: %q is not NAMESPACE/SECRET=ACCOUNT", text)
		}
		out.Proxies = append(out.Proxies, c.proxy(parts[1], parts[2], parts[3]))
	}
	return out, nil
}

// proxySecret is what Issue.Proxies are made of.
var proxySecret = regexp.MustCompile(`^([a-z0-9-]+)/([a-z0-9.-]+)=([a-z0-9.-]+)$`)

// proxy is the certificate of proxies that run as an account.
func (c Config) proxy(namespace, secret, account string) issuer.Kept {
	return issuer.Kept{Namespace: namespace, Secret: secret, Wanted: authority.Wanted{
		Name: account, URI: fmt.Sprintf("spiffe://%s/ns/%s/sa/%s", c.Proxies.TrustDomain, namespace, account), Usage: x509.ExtKeyUsageClientAuth,
	}}
}
