package server

import (
	"context"
	"crypto/x509"
	"maps"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/sluice-dev/sluice/xds/ir"
)

// Claim is what is known of a proxy that came with a certificate: whose it is, and which one of them it says it is.
type Claim struct {
	Identity  string // SPIFFE id of its certificate
	Namespace string // in that id
	Name      string // of the Pod, by the word of the proxy
}

// Proof is what holds of a proxy whatever it says.
type Proof struct {
	Kind   ir.Kind // empty: the word of the proxy counts
	Labels map[string]string
}

// Prover knows what is proven of proxies. It is asked often and must not wait for anything.
type Prover interface {
	// Prove gives what holds of the proxy; ok is false when nothing but its certificate is known.
	Prove(c Claim) (p Proof, ok bool)
}

// trust is what decides who a proxy is.
type trust struct {
	domain  string   // of the certificates of proxies
	prover  Prover   // nil: nothing is proven
	readers []string // identities that may see what all clients have
}

// authenticate holds what a proxy says of itself against its certificate. Without one it has come by this machine, and
// its word counts.
func (t trust) authenticate(ctx context.Context, who identity) (identity, error) {
	secured, claim, err := t.peer(ctx)
	if err != nil || !secured {
		return who, err
	}
	for _, said := range []string{who.class.Namespace, namespaceOf(who.id)} {
		if said != "" && said != claim.Namespace {
			return who, status.Errorf(codes.PermissionDenied, "node %q says it is of namespace %q, and its certificate is of namespace %q", who.id, said, claim.Namespace)
		}
	}
	who.class.Namespace = claim.Namespace
	claim.Name = podOf(who.id)
	who.claim = &claim
	return t.proven(who)
}

// peer reads the certificate of whoever is at the other end; secured is false where it has come by this machine.
func (t trust) peer(ctx context.Context) (secured bool, c Claim, err error) {
	from, ok := peer.FromContext(ctx)
	if !ok {
		return false, Claim{}, nil
	}
	info, ok := from.AuthInfo.(credentials.TLSInfo)
	if !ok {
		return false, Claim{}, nil
	}
	if len(info.State.VerifiedChains) == 0 {
		return true, Claim{}, status.Error(codes.Unauthenticated, "the proxy has no certificate")
	}
	c, err = claimOf(info.State.VerifiedChains[0][0], t.domain)
	return true, c, err
}

// claimOf reads the identity of a certificate: exactly one URI, spiffe://<trust domain>/ns/<namespace>/sa/<account>.
func claimOf(cert *x509.Certificate, trustDomain string) (Claim, error) {
	if len(cert.URIs) != 1 {
		return Claim{}, status.Errorf(codes.PermissionDenied, "the certificate has %d URI names, want one", len(cert.URIs))
	}
	id := cert.URIs[0]
	parts := strings.Split(id.Path, "/")
	if id.Scheme != "spiffe" || len(parts) != 5 || parts[1] != "ns" || parts[2] == "" || parts[3] != "sa" || parts[4] == "" {
		return Claim{}, status.Errorf(codes.PermissionDenied, "the certificate's name %q is not spiffe://<trust domain>/ns/<namespace>/sa/<service account>", id)
	}
	if id.Host != trustDomain {
		return Claim{}, status.Errorf(codes.PermissionDenied, "the certificate is of trust domain %q, want %q", id.Host, trustDomain)
	}
	return Claim{Identity: id.String(), Namespace: parts[2]}, nil
}

// podOf reads the name of the Pod out of a node id; a plain id is taken as such.
func podOf(id string) string {
	parts := strings.Split(id, "~")
	if len(parts) != 4 {
		return id
	}
	return parts[2][:max(0, strings.LastIndexByte(parts[2], '.'))]
}

// proven puts what is proven in the place of what a proxy with a certificate says. Labels that are not proven do not
// count: they would let it take the routes of others.
func (t trust) proven(who identity) (identity, error) {
	if who.claim == nil {
		return who, nil
	}
	var proof Proof
	if t.prover != nil {
		proof, _ = t.prover.Prove(*who.claim)
	}
	if proof.Kind != "" && proof.Kind != who.class.Kind {
		return who, status.Errorf(codes.PermissionDenied, "node %q says it is a %s, and %s is a %s", who.id, who.class.Kind, who.claim.Identity, proof.Kind)
	}
	who.labels = maps.Clone(proof.Labels)
	return who, nil
}
