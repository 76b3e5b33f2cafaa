package sim_test

import (
	"cmp"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	adminv3 "github.com/envoyproxy/go-control-plane/envoy/admin/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/sluice-dev/sluice/test/poll"
	"github.com/sluice-dev/sluice/test/proxy"
	"github.com/sluice-dev/sluice/xds/bootstrap"
	"github.com/sluice-dev/sluice/xds/envoy"
	"github.com/sluice-dev/sluice/xds/ir"
	"github.com/sluice-dev/sluice/xds/server"
)

const (
	rigPatience   = 30 * time.Second
	rigNamespace  = "rig"
	seenTarget    = "X-Seen-Target"    // in which an upstream says which path and query it was asked for
	seenHeaders   = "X-Seen-Headers"   // likewise, with which headers
	seenAuthority = "X-Seen-Authority" // likewise, for which host
	seenCluster   = "X-Seen-Cluster"   // the number of the cluster that an upstream stands for
)

// rig is one real Envoy that runs the resources of many meshes, each under names of its own and on ports of Envoy's
// choice, as our own server hands them out. What stands behind a cluster says which.
type rig struct {
	t         testing.TB
	res       envoy.Resources
	meshes    map[string]*rigged
	shared    map[string]shared       // clusters, by what they and their endpoints are: those that are equal stand once
	backends  map[standIn]int         // ports
	clients   map[string]*http.Client // by the server name that they ask for
	proxy     *proxy.Proxy
	server    *server.Server
	drain     time.Duration   // 0: a second
	sent      int             // requests
	ports     map[string]int  // of listeners, by mesh and name; with @ and an address those at other addresses
	originals map[string]bool // addresses that clients mean to reach, which somebody listens on
	captures  string          // the name of its one mesh, where that captures connections
}

// shared is a cluster in the rig.
type shared struct {
	name   string
	number int // of its backends
	alive  bool
}

// rigged is one mesh of a rig.
type rigged struct {
	prefix    string
	clusters  map[string]shared
	numbers   map[int]string   // clusters by the number of their backends
	listeners map[int][]string // names, by the port that they had
}

func (m *rigged) alive(cluster string) bool { return m.clusters[cluster].alive }

// rename gives the name in the rig of a resource, by the kind that renamed says.
func (m *rigged) rename(kind, name string) string {
	bare, isStat := strings.CutSuffix(name, ";")
	c, ok := m.clusters[bare]
	switch {
	case kind != "cluster" || !ok:
		return m.prefix + name
	case isStat:
		return c.name + ";"
	default:
		return c.name
	}
}

func newRig(t testing.TB) *rig {
	return &rig{
		t: t, meshes: map[string]*rigged{}, ports: map[string]int{}, clients: map[string]*http.Client{},
		backends: map[standIn]int{}, originals: map[string]bool{}, shared: map[string]shared{},
	}
}

// clientOf is a client that follows no redirect, believes every certificate, has one of its own, and asks for a server
// name if it speaks TLS.
func (r *rig) clientOf(sni string) *http.Client {
	if c := r.clients[sni]; c != nil {
		return c
	}
	transport := &http.Transport{
		MaxIdleConnsPerHost: 4, DisableCompression: true,
		TLSClientConfig: &tls.Config{ServerName: sni, InsecureSkipVerify: true, GetClientCertificate: r.identity}, //nolint:gosec // whom a test speaks to is not the question
	}
	r.clients[sni] = &http.Client{
		Timeout: 10 * time.Second, Transport: transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	r.t.Cleanup(transport.CloseIdleConnections)
	return r.clients[sni]
}

// add puts the resources of a mesh into the rig. No two meshes may share a name.
func (r *rig) add(mesh string, res envoy.Resources) {
	r.t.Helper()
	m := &rigged{prefix: mesh + "/", clusters: map[string]shared{}, numbers: map[int]string{}, listeners: map[int][]string{}}
	r.meshes[mesh] = m
	endpoints := map[string]envoy.Resource{}
	for _, x := range res.Endpoints {
		endpoints[x.Name] = x
	}
	for _, x := range res.Clusters {
		r.addCluster(m, x, endpoints[x.Name])
	}
	for _, x := range res.Routes {
		r.res.Routes = append(r.res.Routes, m.repacked(r.t, x, decoded(r.t, x, &routev3.RouteConfiguration{})))
	}
	for _, x := range res.Listeners {
		l := decoded(r.t, x, &listenerv3.Listener{})
		port := int(l.GetAddress().GetSocketAddress().GetPortValue())
		m.listeners[port] = append(m.listeners[port], x.Name)
		r.place(l)
		r.res.Listeners = append(r.res.Listeners, m.repacked(r.t, x, l))
	}
	for _, x := range res.Secrets {
		r.res.Secrets = append(r.res.Secrets, m.repacked(r.t, x, decoded(r.t, x, &tlsv3.Secret{})))
	}
}

// addCluster adds a cluster with its endpoints, unless another mesh has the very same: each costs Envoy milliseconds.
func (r *rig) addCluster(m *rigged, x, endpoints envoy.Resource) {
	r.t.Helper()
	key := x.Name + " " + x.Version + " " + endpoints.Version
	s, ok := r.shared[key]
	if !ok {
		s = shared{name: m.prefix + x.Name, number: len(r.shared)}
	}
	m.clusters[x.Name], m.numbers[s.number] = s, x.Name
	if ok {
		return
	}
	c := decoded(r.t, x, &clusterv3.Cluster{})
	if endpoints.Any != nil {
		assignment := decoded(r.t, endpoints, &endpointv3.ClusterLoadAssignment{})
		s.alive = r.redirect(assignment, s.number, c.GetTransportSocket() != nil)
		r.res.Endpoints = append(r.res.Endpoints, m.repacked(r.t, endpoints, assignment))
	}
	if c.GetLoadAssignment() != nil {
		s.alive = r.redirect(c.GetLoadAssignment(), s.number, c.GetTransportSocket() != nil)
	}
	r.res.Clusters = append(r.res.Clusters, m.repacked(r.t, x, c))
	r.shared[key], m.clusters[x.Name] = s, s
}

// redirect puts backends in the place of a cluster's endpoints; false: there are none.
func (r *rig) redirect(a *endpointv3.ClusterLoadAssignment, cluster int, secure bool) bool {
	n := 0
	for _, l := range a.GetEndpoints() {
		for _, e := range l.GetLbEndpoints() {
			e.GetEndpoint().Address = loopback(r.backend(standIn{cluster, n, secure}))
			n++
		}
	}
	return n > 0
}

// standIn stands for an endpoint of the cluster of that number in every mesh.
type standIn struct {
	cluster, endpoint int
	secure            bool // it speaks TLS, with a certificate for whatever name it is asked for
}

// sayAll answers with what was asked, and by which name it was reached.
func sayAll(name string) http.HandlerFunc {
	return func(out http.ResponseWriter, in *http.Request) {
		out.Header().Set(seenTarget, in.RequestURI)
		headers, _ := json.Marshal(in.Header) // a map of strings
		out.Header().Set(seenHeaders, string(headers))
		out.Header().Set(seenAuthority, in.Host)
		out.Header().Set(seenCluster, name)
		fmt.Fprint(out, name)
	}
}

// backend gives the port of a stand-in.
func (r *rig) backend(b standIn) int {
	if port, ok := r.backends[b]; ok {
		return port
	}
	number := strconv.Itoa(b.cluster)
	s := httptest.NewUnstartedServer(sayAll(number))
	s.Config.Protocols = &http.Protocols{}
	s.Config.Protocols.SetHTTP1(true)
	if b.secure {
		s.Config.Protocols.SetHTTP2(true)
		s.EnableHTTP2, s.TLS = true, r.believable()
		s.StartTLS()
	} else {
		s.Listener = newEither(s.Listener) // TLS that the proxy does not end is the client's own
		s.Config.Protocols.SetUnencryptedHTTP2(true)
		s.Start()
	}
	r.t.Cleanup(s.Close)
	r.backends[b] = s.Listener.Addr().(*net.TCPAddr).Port
	return r.backends[b]
}

func loopback(port int) *corev3.Address {
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address: "127.0.0.1", PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: uint32(port)}}}}
}

func decoded[M proto.Message](t testing.TB, r envoy.Resource, m M) M {
	t.Helper()
	if err := proto.Unmarshal(r.Any.GetValue(), m); err != nil {
		t.Fatal(err)
	}
	return m
}

// repacked is a resource with new content, and with the names that it has in the rig.
func (m *rigged) repacked(t testing.TB, r envoy.Resource, content proto.Message) envoy.Resource {
	t.Helper()
	m.renameIn(t, content.ProtoReflect())
	value, err := proto.MarshalOptions{Deterministic: true}.Marshal(content)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(value)
	kind := map[string]string{envoy.TypeCluster: "cluster", envoy.TypeEndpoint: "cluster"}[r.Any.GetTypeUrl()]
	return envoy.Resource{
		Name: m.rename(kind, r.Name), Version: hex.EncodeToString(sum[:16]), Any: &anypb.Any{TypeUrl: r.Any.GetTypeUrl(), Value: value},
		Refs: m.renameAll("cluster", r.Refs), Tables: m.renameAll("table", r.Tables), Secrets: m.renameAll("secret", r.Secrets),
	}
}

func (m *rigged) renameAll(kind string, names []string) []string {
	out := slices.Clone(names)
	for i := range out {
		out[i] = m.rename(kind, out[i])
	}
	slices.Sort(out)
	return out
}

// renamed are the fields that name a resource, by message, and of which kind.
func renamed() map[string]map[string]string {
	return map[string]map[string]string{
		"envoy.config.listener.v3.Listener":                                                    {"name": "listener"},
		"envoy.config.route.v3.RouteConfiguration":                                             {"name": "table"},
		"envoy.config.cluster.v3.Cluster":                                                      {"name": "cluster", "alt_stat_name": "cluster"},
		"envoy.config.cluster.v3.Cluster.EdsClusterConfig":                                     {"service_name": "cluster"},
		"envoy.config.endpoint.v3.ClusterLoadAssignment":                                       {"cluster_name": "cluster"},
		"envoy.extensions.filters.network.http_connection_manager.v3.Rds":                      {"route_config_name": "table"},
		"envoy.config.route.v3.RouteAction":                                                    {"cluster": "cluster"},
		"envoy.config.route.v3.RouteAction.RequestMirrorPolicy":                                {"cluster": "cluster"},
		"envoy.config.route.v3.WeightedCluster.ClusterWeight":                                  {"name": "cluster"},
		"envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy":                               {"cluster": "cluster"},
		"envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy.WeightedCluster.ClusterWeight": {"name": "cluster"},
		"envoy.extensions.transport_sockets.tls.v3.Secret":                                     {"name": "secret"},
		"envoy.extensions.transport_sockets.tls.v3.SdsSecretConfig":                            {"name": "secret"},
	}
}

// renameIn renames what in a message names a resource, packed messages included.
func (m *rigged) renameIn(t testing.TB, in protoreflect.Message) {
	t.Helper()
	if packed, ok := in.Interface().(*anypb.Any); ok {
		inner, err := packed.UnmarshalNew()
		if err != nil {
			t.Fatal(err)
		}
		m.renameIn(t, inner.ProtoReflect())
		if packed.Value, err = (proto.MarshalOptions{Deterministic: true}).Marshal(inner); err != nil {
			t.Fatal(err)
		}
		return
	}
	onDisk(t, in)
	kinds := renamed()[string(in.Descriptor().FullName())]
	in.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		kind, named := kinds[string(f.Name())]
		switch {
		case named:
			in.Set(f, protoreflect.ValueOfString(m.rename(kind, v.String())))
		case f.IsMap() && f.MapValue().Message() != nil:
			v.Map().Range(func(_ protoreflect.MapKey, v protoreflect.Value) bool { m.renameIn(t, v.Message()); return true })
		case f.IsList() && f.Message() != nil:
			for i := range v.List().Len() {
				m.renameIn(t, v.List().Get(i).Message())
			}
		case !f.IsMap() && !f.IsList() && f.Message() != nil:
			m.renameIn(t, v.Message())
		}
		return true
	})
}

// start runs Envoy until the end of the test, and returns when it listens everywhere.
func (r *rig) start() {
	r.t.Helper()
	s, err := server.New(server.Config{Now: time.Now})
	if err != nil {
		r.t.Fatal(err)
	}
	r.server = s
	l, err := (&net.ListenConfig{}).Listen(r.t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, done := r.t.Context(), make(chan error, 1) // the test's context ends before its clean-ups
	go func() { done <- s.Serve(ctx, l) }()
	r.t.Cleanup(func() {
		if err := <-done; err != nil {
			r.t.Error(err)
		}
	})
	r.publish()
	s.Open()
	file, err := bootstrap.JSON(bootstrap.Options{Kind: ir.KindGateway, Namespace: rigNamespace, XDS: l.Addr().String(), Admin: "127.0.0.1:0"})
	if err != nil {
		r.t.Fatal(err)
	}
	r.proxy = proxy.StartDraining(r.t, file, cmp.Or(r.drain, time.Second))
	r.proxy.WaitLive(r.t)
	r.readPorts()
}

// publish gives Envoy what the rig holds now.
func (r *rig) publish() {
	r.t.Helper()
	for _, list := range []*[]envoy.Resource{&r.res.Listeners, &r.res.Routes, &r.res.Clusters, &r.res.Endpoints, &r.res.Secrets} {
		slices.SortFunc(*list, func(a, b envoy.Resource) int {
			if a.Name < b.Name {
				return -1
			}
			return 1
		})
	}
	if err := r.server.Publish(r.t.Context(), ir.ProxyClass{Kind: ir.KindGateway, Namespace: rigNamespace}, r.res); err != nil {
		r.t.Fatal(err)
	}
}

// readPorts waits until Envoy has all listeners, and learns their ports.
func (r *rig) readPorts() {
	r.t.Helper()
	err := poll.Until(rigPatience, func() error {
		data, err := r.proxy.Get("/listeners?format=json")
		if err != nil {
			return err
		}
		var list adminv3.Listeners
		if err := protojson.Unmarshal(data, &list); err != nil {
			return err
		}
		for _, l := range list.GetListenerStatuses() {
			r.ports[l.GetName()] = int(l.GetLocalAddress().GetSocketAddress().GetPortValue())
			for _, more := range l.GetAdditionalLocalAddresses() {
				r.ports[l.GetName()+"@"+more.GetSocketAddress().GetAddress()] = int(more.GetSocketAddress().GetPortValue())
			}
		}
		if n := len(list.GetListenerStatuses()); n < len(r.res.Listeners) {
			return fmt.Errorf("%d of %d listeners", n, len(r.res.Listeners))
		}
		return nil
	})
	if err != nil {
		r.t.Fatalf("waiting for Envoy's listeners: %v", err)
	}
}
