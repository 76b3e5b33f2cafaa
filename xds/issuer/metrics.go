package issuer

import (
	"crypto/x509"
	"encoding/pem"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
)

// The parts of a Secret that end.
const (
	partCertificate = "certificate"
	partAuthority   = "authority" // the newest of those that are trusted
)

// meters show from when and until when holds what is kept.
type meters struct {
	begins, ends *prometheus.GaugeVec
}

func newMeters() meters {
	labels := []string{"secret", "part"}
	return meters{
		begins: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "sluice_certificate_start_timestamp_seconds",
			Help: "From when the certificate in a Secret that Sluice keeps holds, and the newest authority there, in Unix time; of the gateway's only the replica that decides says so.",
		}, labels),
		ends: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "sluice_certificate_expiry_timestamp_seconds",
			Help: "When they end, in Unix time. They are renewed when a third of their time is left.",
		}, labels),
	}
}

// show takes what a Secret holds now, by its name, with the namespace where that is another one. What cannot be read has no end.
func (m meters) show(secret string, s *corev1.Secret) {
	for part, text := range map[string][]byte{partCertificate: s.Data[corev1.TLSCertKey], partAuthority: s.Data[AuthoritiesKey]} {
		cert := first(text)
		if cert == nil {
			m.begins.DeleteLabelValues(secret, part)
			m.ends.DeleteLabelValues(secret, part)
			continue
		}
		m.begins.WithLabelValues(secret, part).Set(float64(cert.NotBefore.Unix()))
		m.ends.WithLabelValues(secret, part).Set(float64(cert.NotAfter.Unix()))
	}
}

// hide forgets a Secret that this replica does not look at.
func (m meters) hide(secret string) {
	for _, all := range []*prometheus.GaugeVec{m.begins, m.ends} {
		all.DeletePartialMatch(prometheus.Labels{"secret": secret})
	}
}

// first is the first certificate in PEM; nil: there is none.
func first(text []byte) *x509.Certificate {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil
	}
	return cert
}

func (m meters) all() []prometheus.Collector { return []prometheus.Collector{m.begins, m.ends} }

// Collectors are what is measured.
func (i *Issuer) Collectors() []prometheus.Collector { return i.meters.all() }

// Measured are collectors like those of an Issuer that has read nothing: for a list of what there is.
func Measured() []prometheus.Collector { return newMeters().all() }
