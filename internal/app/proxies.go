package app

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/sluice-dev/sluice/xds/ir"
	xdsserver "github.com/sluice-dev/sluice/xds/server"
)

// rereadAfter is how long the identities are used before it is looked whether their file has changed.
const rereadAfter = time.Second

// doors are the ways in for proxies; held is what is issued, if c says so.
func (c Config) doors(held *xdsserver.Held) ([]xdsserver.Door, error) {
	var out []xdsserver.Door
	if c.Listen.XDS != "0" {
		out = append(out, xdsserver.Door{Addr: c.Listen.XDS})
	}
	files := xdsserver.Certificates{Cert: c.Proxies.Cert, Key: c.Proxies.Key, CA: c.Proxies.CA}
	issued := c.Proxies.Issue.Secret != ""
	switch given := files != (xdsserver.Certificates{}); {
	case issued && given:
		return nil, errors.New("listening for proxies: certificates are made in a Secret or read from files, not both")
	case issued && c.Listen.SecureXDS == "0":
		return nil, errors.New("listening for proxies: certificates are made for an address that is turned off")
	case issued:
		out = append(out, xdsserver.Door{Addr: c.Listen.SecureXDS, Held: held})
	case given && (files.Cert == "" || files.Key == "" || files.CA == ""):
		return nil, errors.New("listening for proxies: a certificate, its key and the authorities of proxies are needed together")
	case !given && c.Listen.SecureXDS != "" && c.Listen.SecureXDS != "0":
		return nil, fmt.Errorf("listening for proxies: %s needs a certificate, its key and the authorities of proxies", c.Listen.SecureXDS)
	case given && c.Listen.SecureXDS != "0":
		out = append(out, xdsserver.Door{Addr: c.Listen.SecureXDS, Certificates: &files})
	}
	if len(out) == 0 {
		return nil, errors.New("listening for proxies: no address is left to listen on")
	}
	return out, nil
}

// pods knows the labels of Pods.
type pods interface {
	PodLabels(namespace, name string) (labels map[string]string, ok bool)
}

// prover proves what proxies are: by the file of identities, else by their Pods.
type prover struct {
	path string // of the file; empty: there is none
	now  func() time.Time
	warn func(err error)
	pods pods // nil: nobody proves labels but the file

	mu      sync.Mutex // guards everything below
	looked  time.Time
	stamp   os.FileInfo
	entries map[string]xdsserver.Proof // by identity
}

// newProver reads the file for the first time.
func newProver(p *prover) (*prover, error) {
	if p.path == "" {
		return p, nil
	}
	return p, p.read()
}

// Prove implements xdsserver.Prover.
func (p *prover) Prove(c xdsserver.Claim) (xdsserver.Proof, bool) {
	if proof, ok := p.listed(c.Identity); ok {
		return proof, true
	}
	if p.pods == nil {
		return xdsserver.Proof{}, false
	}
	labels, ok := p.pods.PodLabels(c.Namespace, c.Name)
	return xdsserver.Proof{Labels: labels}, ok
}

// listed looks into the file, which is read again when it has changed. One that cannot be read changes nothing.
func (p *prover) listed(identity string) (xdsserver.Proof, bool) {
	if p.path == "" {
		return xdsserver.Proof{}, false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := p.now(); now.Sub(p.looked) >= rereadAfter {
		p.looked = now
		if err := p.read(); err != nil {
			p.warn(err)
		}
	}
	proof, ok := p.entries[identity]
	return proof, ok
}

// read takes the file over, unless it is the one that was read last.
func (p *prover) read() error {
	stamp, err := os.Stat(p.path)
	if err != nil {
		return fmt.Errorf("reading the identities of proxies: %w", err)
	}
	if p.stamp != nil && os.SameFile(stamp, p.stamp) && stamp.ModTime().Equal(p.stamp.ModTime()) && stamp.Size() == p.stamp.Size() {
		return nil
	}
	data, err := os.ReadFile(p.path)
	if err != nil {
		return fmt.Errorf("reading the identities of proxies: %w", err)
	}
	p.stamp = stamp // a bad file is complained of once
	entries, err := parseIdentities(data)
	if err != nil {
		return fmt.Errorf("reading the identities of proxies in %s: %w", p.path, err)
	}
	p.entries = entries
	return nil
}

// identities is the file that says which proxies outside the cluster there are.
type identities struct {
	Proxies []struct {
		Identity string            `json:"identity"` // spiffe://<trust domain>/ns/<namespace>/sa/<service account>
		Kind     ir.Kind           `json:"kind"`
		Labels   map[string]string `json:"labels"`
	} `json:"proxies"`
}

func parseIdentities(data []byte) (map[string]xdsserver.Proof, error) {
	var file identities
	if err := yaml.UnmarshalStrict(data, &file); err != nil {
		return nil, err
	}
	out := make(map[string]xdsserver.Proof, len(file.Proxies))
	for i, p := range file.Proxies {
		switch p.Kind {
		case ir.KindGateway, ir.KindSidecar, ir.KindGRPC:
		default:
			return nil, fmt.Errorf("proxies[%d].kind: %q is not gateway, sidecar or grpc", i, p.Kind)
		}
		if !strings.HasPrefix(p.Identity, "spiffe://") {
			return nil, fmt.Errorf("proxies[%d].identity: %q does not begin with spiffe://", i, p.Identity)
		}
		if _, twice := out[p.Identity]; twice {
			return nil, fmt.Errorf("proxies[%d].identity: %s stands twice", i, p.Identity)
		}
		out[p.Identity] = xdsserver.Proof{Kind: p.Kind, Labels: p.Labels}
	}
	return out, nil
}
