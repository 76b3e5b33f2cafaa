package replicas

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sluice-dev/sluice/test/proxy"
	"github.com/sluice-dev/sluice/xds/bootstrap"
	"github.com/sluice-dev/sluice/xds/ir"
)

// TestReady_aProxyWithoutConfigurationIsNotReady starts an Envoy while there is no replica, as the chart's gateway starts: it is
// not ready. It becomes ready once a replica serves it, even if that gives it no port to listen on, and stays so without any.
func TestReady_aProxyWithoutConfigurationIsNotReady(t *testing.T) {
	s := open(t, 1)
	door, at := fmt.Sprintf("127.0.0.1:%d", proxy.FreePort(t)), fmt.Sprintf("127.0.0.1:%d", proxy.FreePort(t))
	file, err := bootstrap.JSON(bootstrap.Options{Kind: ir.KindGateway, ID: "lonely", Namespace: s.shop, Labels: map[string]string{"istio": "nobody-selects-it"},
		XDS: door, Admin: "127.0.0.1:0", Ready: at})
	if err != nil {
		t.Fatal(err)
	}
	envoy := proxy.Start(t, file)
	state := func() string {
		body, err := envoy.Get("/server_info")
		if err != nil {
			return err.Error()
		}
		return string(body)
	}
	ready := func() error {
		_, err := fetch("http://" + at + bootstrap.ReadyPath)
		return err
	}
	eventually(t, "Envoy to wait for its configuration", func() error {
		if text := state(); !strings.Contains(text, `"PRE_INITIALIZING"`) && !strings.Contains(text, `"INITIALIZING"`) {
			return fmt.Errorf("it says %.300s", text)
		}
		return nil
	})
	if err := ready(); err == nil {
		t.Error("it is ready without a configuration")
	}
	r := s.replicaAt("sluice-0", door)
	eventually(t, "Envoy to be ready", ready)
	r.kill()
	if err := ready(); err != nil {
		t.Errorf("without a replica it is not ready any more: %v", err)
	}
}
