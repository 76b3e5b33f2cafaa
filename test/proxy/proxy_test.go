package proxy_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/sluice-dev/sluice/test/proxy"
)

// direct is the bootstrap of an Envoy that answers every request on the port by itself.
func direct(port int) []byte {
	return fmt.Appendf(nil, `
admin: {address: {socket_address: {address: 127.0.0.1, port_value: 0}}}
static_resources:
  listeners:
  - name: in
    address: {socket_address: {address: 127.0.0.1, port_value: %d}}
    filter_chains:
    - filters:
      - name: http
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: in
          http_filters:
          - name: router
            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
          route_config:
            name: all
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
              - match: {prefix: /}
                direct_response: {status: 200, body: {inline_string: hello}}
`, port)
}

func TestStart_servesTwoProxiesAtOnce(t *testing.T) {
	port := proxy.FreePort(t)
	p := proxy.Start(t, direct(port))
	other := proxy.Start(t, direct(proxy.FreePort(t)))
	p.WaitLive(t)
	other.WaitLive(t)

	resp, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/", port))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || string(body) != "hello" {
		t.Errorf("got %q, %v; want hello", body, err)
	}
	if dump := string(p.ConfigDump(t)); !strings.Contains(dump, fmt.Sprintf(`"port_value": %d`, port)) {
		t.Errorf("config_dump does not name port %d:\n%.2000s", port, dump)
	}
	p.Stop(t)
	if err := syscall.Kill(p.Pid(), 0); err != syscall.ESRCH {
		t.Errorf("after Stop: signal 0 gives %v, want %v", err, syscall.ESRCH)
	}
}

func TestFreePort_isNobodyElses(t *testing.T) {
	taken := map[int]bool{}
	for range 300 {
		port := proxy.FreePort(t)
		if taken[port] {
			t.Fatalf("port %d is given twice", port)
		}
		taken[port] = true
	}
	port := 0
	t.Run("listening", func(t *testing.T) { port = proxy.FreePort(t) })
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
}
