package stack

import (
	"encoding/json"
	"fmt"
	"net"
	"strconv"
)

// object is a JSON object.
type object = map[string]any

// gatewayBootstrap gives the bootstrap of the gateway proxy as JSON: delta ADS from xds, admin on loopback, and
// statistics whose cluster names come out whole.
func gatewayBootstrap(xds, admin string, labels map[string]string) ([]byte, error) {
	xdsAddress, err := socketAddress(xds)
	if err != nil {
		return nil, err
	}
	adminAddress, err := socketAddress(admin)
	if err != nil {
		return nil, err
	}
	ads := object{"ads": object{}, "resource_api_version": "V3"}
	return json.MarshalIndent(object{
		"node": object{
			"id": gatewayName, "cluster": "sluice-gateway",
			"metadata": object{"SLUICE_KIND": "gateway", "NAMESPACE": "default", "LABELS": labels},
		},
		"admin":                object{"address": adminAddress},
		"stats_config":         statsConfig(),
		"stats_flush_on_admin": true,
		"dynamic_resources": object{
			"lds_config": ads, "cds_config": ads,
			"ads_config": object{
				"api_type": "DELTA_GRPC", "transport_api_version": "V3", "set_node_on_first_message_only": true,
				"grpc_services": []object{{"envoy_grpc": object{
					"cluster_name": "sluice-xds",
					"retry_policy": object{"retry_back_off": object{"base_interval": "0.2s", "max_interval": "5s"}},
				}}},
			},
		},
		"static_resources": object{"clusters": []object{xdsCluster(xdsAddress)}},
	}, "", "  ")
}

func xdsCluster(address object) object {
	const options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
	return object{
		"name": "sluice-xds", "alt_stat_name": "sluice-xds;", "type": "STATIC", "connect_timeout": "1s",
		"typed_extension_protocol_options": object{options: object{
			"@type":                "type.googleapis.com/" + options,
			"explicit_http_config": object{"http2_protocol_options": object{"connection_keepalive": object{"interval": "30s", "timeout": "10s"}}},
		}},
		"load_assignment": object{"cluster_name": "sluice-xds", "endpoints": []object{
			{"lb_endpoints": []object{{"endpoint": object{"address": address}}}},
		}},
	}
}

func statsConfig() object {
	tags := []object{{"tag_name": "envoy.cluster_name", "regex": `^cluster(\.(.+);)`}}
	for _, name := range []string{"response_code", "response_code_class", "http_conn_manager_prefix", "listener_address", "virtual_host"} {
		tags = append(tags, object{"tag_name": "envoy." + name})
	}
	return object{"use_all_default_tags": false, "stats_tags": tags}
}

func socketAddress(hostPort string) (object, error) {
	host, text, err := net.SplitHostPort(hostPort)
	if err != nil {
		return nil, err
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		return nil, fmt.Errorf("port %q is no number", text)
	}
	return object{"socket_address": object{"address": host, "port_value": port}}, nil
}
