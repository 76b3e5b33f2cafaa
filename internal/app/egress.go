package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/sluice-dev/sluice/egress"
)

// Egress says what may be dialled because an object asks for it, besides what never may.
type Egress struct {
	AllowLoopback bool // addresses of this machine (standalone)

	Deny  []string // "private": networks of private addresses; nothing else can be written
	Allow []string // networks, such as 10.1.0.0/16, although Deny says private
	Proxy string   // URL of an HTTP proxy that notes and requests to forges go through; empty: none
}

// denyPrivate is the one thing that Egress.Deny can say.
const denyPrivate = "private"

// lookUp is how long the name of the API server may take to resolve.
const lookUp = 5 * time.Second

// guard dials for Sources, Notifiers and Prometheus; server is the URL of the API server, which none of them may be.
func (c Config) guard(ctx context.Context, server string) (*egress.Guard, error) {
	p := egress.Policy{AllowLoopback: c.Egress.AllowLoopback}
	for _, what := range c.Egress.Deny {
		if what != denyPrivate {
			return nil, fmt.Errorf("egress.deny: %q cannot be denied, only %s", what, denyPrivate)
		}
		p.DenyPrivate = true
	}
	for _, text := range c.Egress.Allow {
		network, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("egress.allow: %q is not a network such as 10.1.0.0/16", text)
		}
		p.Allow = append(p.Allow, network.Masked())
	}
	if c.Egress.Proxy != "" {
		u, err := url.Parse(c.Egress.Proxy)
		if err != nil || u.Host == "" || u.User != nil || u.Path != "" || u.Scheme != "http" && u.Scheme != "https" {
			return nil, errors.New("egress.proxy: not the URL of a proxy, such as http://proxy.example.com:3128, without user, password and path")
		}
		p.Proxy = u
	}
	ctx, cancel := context.WithTimeout(ctx, lookUp)
	defer cancel()
	p.Deny = ofServer(ctx, server, c.Log)
	return egress.New(p), nil
}

// ofServer are the addresses of the API server. One on this machine is left out: whether that may be dialled is said by
// AllowLoopback, for everything on it.
func ofServer(ctx context.Context, server string, log *slog.Logger) []netip.Prefix {
	if !strings.Contains(server, "://") {
		server = "https://" + server
	}
	u, err := url.Parse(server)
	var addrs []netip.Addr
	if err == nil {
		addrs, err = addresses(ctx, u.Hostname())
	}
	if err != nil {
		log.Warn("the addresses of the API server are not known, so that receivers are not kept from them", "err", err)
	}
	var out []netip.Prefix
	for _, a := range addrs {
		if a = a.Unmap(); !a.IsLoopback() {
			out = append(out, netip.PrefixFrom(a, a.BitLen()))
		}
	}
	return out
}

func addresses(ctx context.Context, host string) ([]netip.Addr, error) {
	if host == "" {
		return nil, errors.New("its URL has no host")
	}
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a.WithZone("")}, nil
	}
	return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
}
