package bootstrap_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/xds/bootstrap"
	"github.com/sluice-dev/sluice/xds/ir"
)

func TestJSON_ready(t *testing.T) {
	o := gateway()
	o.Ready = "0.0.0.0:15021"
	data, err := bootstrap.JSON(o)
	if err != nil {
		t.Fatal(err)
	}
	var doc any
	if err := json.Unmarshal(data, &doc); err != nil {
		t.Fatal(err)
	}
	manager := []any{"static_resources", "listeners", 0, "filter_chains", 0, "filters", 0, "typed_config", "route_config", "virtual_hosts", 0, "routes", 0}
	for _, tt := range []struct {
		path []any
		want any
	}{
		{[]any{"dynamic_resources", "lds_config"}, map[string]any{"ads": map[string]any{}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"}},
		{[]any{"dynamic_resources", "cds_config"}, map[string]any{"ads": map[string]any{}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"}},
		{[]any{"static_resources", "listeners", 0, "address", "socket_address"}, map[string]any{"address": "0.0.0.0", "port_value": 15021.0}},
		{manager, map[string]any{"match": map[string]any{"path": bootstrap.ReadyPath}, "direct_response": map[string]any{"status": 200.0}}},
	} {
		if diff := cmp.Diff(tt.want, at(t, doc, tt.path...)); diff != "" {
			t.Errorf("%v (-want +got):\n%s", tt.path, diff)
		}
	}
	for _, addr := range []string{"15021", "somewhere:15021", ":15021", "0.0.0.0:x", "0.0.0.0:70000"} {
		o.Ready = addr
		if _, err := bootstrap.JSON(o); err == nil || !strings.Contains(err.Error(), "address of readiness") {
			t.Errorf("%q: %v", addr, err)
		}
	}
	grpc := bootstrap.Options{Kind: ir.KindGRPC, Namespace: "shop", XDS: "127.0.0.1:15010", Ready: "0.0.0.0:15021"}
	if _, err := bootstrap.JSON(grpc); err == nil || !strings.Contains(err.Error(), "ready") {
		t.Errorf("a gRPC client that says whether it is ready: %v", err)
	}
}
