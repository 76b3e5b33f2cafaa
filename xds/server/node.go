package server

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/sluice-dev/sluice/xds/ir"
)

const (
	maxNodeID   = 512
	maxMetadata = 64 << 10
	maxLabels   = 128
)

// identity is what a proxy says of itself in its first message.
type identity struct {
	id     string
	class  ir.ProxyClass // without labels and locality
	labels map[string]string
	place  string // region/zone/subzone; empty: not told
	// flavour is the client's name and minor version: clients of one flavour reject the same things.
	flavour string
	claim   *Claim // of its certificate; nil: it came by this machine
}

// key names the node among those of all namespaces, as far as its namespace is known.
func (w identity) key() string { return w.class.Namespace + "/" + w.id }

// identify reads a node: Istio's ids "<type>~<ip>~<name>.<ns>~<domain>" and plain ones, with the same metadata.
func identify(n *corev3.Node) (identity, error) {
	if n.GetId() == "" || len(n.GetId()) > maxNodeID {
		return identity{}, status.Errorf(codes.InvalidArgument, "node id has %d bytes, want 1 to %d", len(n.GetId()), maxNodeID)
	}
	if size := proto.Size(n.GetMetadata()); size > maxMetadata {
		return identity{}, status.Errorf(codes.InvalidArgument, "node metadata has %d bytes, at most %d are accepted", size, maxMetadata)
	}
	fields := n.GetMetadata().GetFields()
	labels := fields["LABELS"].GetStructValue().GetFields()
	if len(labels) > maxLabels {
		return identity{}, status.Errorf(codes.InvalidArgument, "node has %d labels, at most %d are accepted", len(labels), maxLabels)
	}
	who := identity{id: n.GetId(), labels: make(map[string]string, len(labels))}
	for k, v := range labels {
		who.labels[k] = v.GetStringValue()
	}
	if l := n.GetLocality(); l.GetRegion() != "" || l.GetZone() != "" || l.GetSubZone() != "" {
		who.place = l.GetRegion() + "/" + l.GetZone() + "/" + l.GetSubZone()
	}
	who.flavour = flavourOf(n)
	who.class.Kind = kindOfProxy(n, fields)
	who.class.Namespace = fields["NAMESPACE"].GetStringValue()
	if who.class.Namespace == "" {
		who.class.Namespace = namespaceOf(n.GetId())
	}
	if fields["INTERCEPTION_MODE"].GetStringValue() == string(ir.CaptureRedirect) {
		who.class.Capture = ir.CaptureRedirect
	}
	who.class.Unprivileged = fields["UNPRIVILEGED_POD"].GetStringValue() == "true"
	return who, nil
}

// flavourOf is the name of the client with the first two numbers of its version.
func flavourOf(n *corev3.Node) string {
	version := n.GetUserAgentVersion()
	if v := n.GetUserAgentBuildVersion().GetVersion(); v != nil {
		version = fmt.Sprintf("%d.%d", v.GetMajorNumber(), v.GetMinorNumber())
	}
	if parts := strings.SplitN(version, ".", 3); len(parts) > 2 {
		version = parts[0] + "." + parts[1]
	}
	return n.GetUserAgentName() + " " + version
}

func kindOfProxy(n *corev3.Node, fields map[string]*structpb.Value) ir.Kind {
	switch k := ir.Kind(fields["SLUICE_KIND"].GetStringValue()); k {
	case ir.KindGateway, ir.KindSidecar, ir.KindGRPC:
		return k
	}
	if fields["GENERATOR"].GetStringValue() == "grpc" || strings.HasPrefix(n.GetUserAgentName(), "gRPC") {
		return ir.KindGRPC
	}
	if strings.HasPrefix(n.GetId(), "sidecar~") {
		return ir.KindSidecar
	}
	return ir.KindGateway
}

// namespaceOf reads the namespace out of an Istio node id; empty for a plain id.
func namespaceOf(id string) string {
	parts := strings.Split(id, "~")
	if len(parts) != 4 {
		return ""
	}
	if i := strings.LastIndexByte(parts[2], '.'); i >= 0 {
		return parts[2][i+1:]
	}
	namespace, _, _ := strings.Cut(parts[3], ".")
	return namespace
}

// classify is the class of the proxy when only what keys say matters.
func (w identity) classify(keys ir.ClassKeys) ir.ProxyClass {
	class := w.class
	if keys.Locality {
		class.Locality = w.place
	}
	var pairs []string
	for _, k := range slices.Sorted(maps.Keys(w.labels)) {
		if _, matters := slices.BinarySearch(keys.Labels, k); matters {
			pairs = append(pairs, k+"="+w.labels[k])
		}
	}
	class.Labels = strings.Join(pairs, ",")
	return class
}
