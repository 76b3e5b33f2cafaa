package istio

import (
	"slices"
	"strings"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/sluice-dev/sluice/xds/ir"
	"github.com/sluice-dev/sluice/xds/registry"
)

// encrypt lets connections to the endpoints of a cluster begin with TLS where its policy says so; false: that cannot be
// done now, and the cluster is left out, for nothing may be sent in the clear that was to be encrypted.
func (t *translator) encrypt(c *ir.Cluster, p *policy, sub subset, s registry.Service) bool {
	b, ok := blockOf(p.layers(sub, c.Port), "tls", trafficPolicy.GetTls)
	if !ok {
		return true
	}
	switch b.value.GetMode() {
	case networking.ClientTLSSettings_DISABLE:
		return true
	case networking.ClientTLSSettings_SIMPLE, networking.ClientTLSSettings_MUTUAL:
	default: // ISTIO_MUTUAL, and what is not known yet
		t.found.selection(b.at, b.field+".mode", "TLS towards endpoints, mode "+b.value.GetMode().String()+",")
		return true
	}
	if t.class.Kind == ir.KindGRPC {
		t.found.policy(b.at, b.field, "TLS of a gRPC client, which brings its own credentials,")
		return true
	}
	tls := &ir.ClientTLS{SNI: b.value.GetSni(), HostAsSNI: b.value.GetSni() == ""}
	if c.HTTP2 && !c.Pool.ClientProtocol {
		tls.Protocols = []string{"h2"}
	}
	name := t.credential(b, p)
	if !t.ownCertificate(tls, b, name) || !t.endpointCheck(tls, b, name) {
		return false
	}
	tls.Peer.Names = sortedSet(b.value.GetSubjectAltNames())
	switch {
	case b.value.GetInsecureSkipVerify().GetValue():
		if len(tls.Peer.Names) > 0 {
			t.found.policy(b.at, b.field+".subjectAltNames", "subjectAltNames beside insecureSkipVerify")
		}
		tls.Peer.Names = nil
	case len(tls.Peer.Names) == 0:
		tls.Peer.Names = sortedSet(s.Names)
	}
	tls.HostAsName = tls.HostAsSNI && len(tls.Peer.Names) == 0 && !b.value.GetInsecureSkipVerify().GetValue()
	c.TLS = tls
	return true
}

// credential is the Secret that a policy names, as far as it counts for the class: for a sidecar only where the rule says
// by a workloadSelector that it is meant.
func (t *translator) credential(b block[*networking.ClientTLSSettings], p *policy) string {
	name := b.value.GetCredentialName()
	if name == "" || t.class.Kind == ir.KindGateway || slices.ContainsFunc(p.rules, func(dr *destinationRule) bool {
		return dr.ref() == b.at.ref() && dr.Spec.GetWorkloadSelector() != nil
	}) {
		return name
	}
	t.found.policy(b.at, b.field+".credentialName", "credentialName for a sidecar, in a rule without workloadSelector,")
	return ""
}

// ownCertificate is what the proxy shows to endpoints; false: it has to show one and there is none.
func (t *translator) ownCertificate(to *ir.ClientTLS, b block[*networking.ClientTLSSettings], name string) bool {
	tls := b.value
	if tls.GetMode() != networking.ClientTLSSettings_MUTUAL {
		if tls.GetClientCertificate() != "" || tls.GetPrivateKey() != "" {
			t.found.policy(b.at, b.field+".clientCertificate", "a client certificate with mode SIMPLE")
		}
		return true
	}
	switch {
	case name != "":
		if tls.GetClientCertificate() != "" || tls.GetPrivateKey() != "" {
			t.found.policy(b.at, b.field+".clientCertificate", "clientCertificate beside credentialName")
		}
		secret, ok := ask[*madeSecret](t, factKeyPair, strings.TrimPrefix(name, secretPrefix)).use(t.found, secretRef{b.at, b.field + ".credentialName"})
		to.Certificate = &ir.Certificate{Secret: secret}
		return ok
	case tls.GetClientCertificate() == "" || tls.GetPrivateKey() == "":
		t.found.fail(b.at, "S032", b.field, "mode MUTUAL is given without a certificate and its key",
			"give credentialName, or clientCertificate and privateKey; until then the host cannot be reached")
		return false
	default:
		to.Certificate = &ir.Certificate{File: tls.GetClientCertificate(), KeyFile: tls.GetPrivateKey()}
		return true
	}
}

// endpointCheck is by what the certificates of endpoints are judged; false: the Secret that says it is missing.
func (t *translator) endpointCheck(to *ir.ClientTLS, b block[*networking.ClientTLSSettings], name string) bool {
	tls := b.value
	switch {
	case tls.GetInsecureSkipVerify().GetValue():
		if tls.GetCaCertificates() != "" || tls.GetCaCrl() != "" {
			t.found.policy(b.at, b.field+".caCertificates", "caCertificates or caCrl beside insecureSkipVerify")
		}
		return true
	case name != "":
		if tls.GetCaCertificates() != "" || tls.GetCaCrl() != "" {
			t.found.policy(b.at, b.field+".caCertificates", "caCertificates or caCrl beside credentialName")
		}
		secret, ok := ask[*madeSecret](t, factAuthorities, plainSecret(name)).use(t.found, secretRef{b.at, b.field + ".credentialName"})
		to.Peer.Secret = secret
		return ok
	}
	to.Peer.CAFile, to.Peer.CRLFile = tls.GetCaCertificates(), tls.GetCaCrl()
	to.SystemRoots = to.Peer.CAFile == ""
	return true
}
