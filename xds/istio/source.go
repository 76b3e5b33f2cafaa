package istio

import (
	"slices"

	networking "istio.io/api/networking/v1alpha3"
)

// applies reports whether a match entry is meant for the rule's place and class at all. Where it names gateways, what it
// says of the client's labels and namespace does not count.
func (t *translator) applies(r rule, m *networking.HTTPMatchRequest) bool {
	if m.GetPort() != 0 && int(m.GetPort()) != r.place.port {
		return false
	}
	if len(m.GetGateways()) > 0 {
		return slices.ContainsFunc(gatewayNames(m.GetGateways(), r.from.Namespace), func(n string) bool { return r.place.gateways[n] })
	}
	return t.isSource(m.GetSourceNamespace(), m.GetSourceLabels())
}

// isSource reports whether the class is of a namespace (empty: any) and has the labels.
func (t *translator) isSource(namespace string, labels map[string]string) bool {
	return (namespace == "" || namespace == t.class.Namespace) && contains(t.labels, labels)
}

// choosesClients reports whether a match entry is for some clients only. Where it names gateways, what it says of clients
// does not count.
func choosesClients(gateways []string, namespace string, labels map[string]string) bool {
	return len(gateways) == 0 && (namespace != "" || len(labels) > 0)
}

// sourceKeys adds the labels that the matches of a VirtualService ask of clients.
func sourceKeys(keys map[string]bool, spec *networking.VirtualService) {
	for _, r := range spec.GetHttp() {
		for _, m := range r.GetMatch() {
			selects(keys, m.GetSourceLabels())
		}
	}
	for _, r := range spec.GetTcp() {
		for _, m := range r.GetMatch() {
			selects(keys, m.GetSourceLabels())
		}
	}
	for _, r := range spec.GetTls() {
		for _, m := range r.GetMatch() {
			selects(keys, m.GetSourceLabels())
		}
	}
}
