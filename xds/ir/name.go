package ir

import (
	"strconv"
	"strings"
)

// ClusterName is the name of the cluster of a host's port and subset (empty: all endpoints), in Envoy, in EDS and in metrics.
func ClusterName(port int, subset, host string) string {
	return "outbound|" + strconv.Itoa(port) + "|" + subset + "|" + host
}

// ParseClusterName is the inverse of ClusterName.
func ParseClusterName(name string) (port int, subset, host string, ok bool) {
	parts := strings.Split(name, "|")
	if len(parts) != 4 || parts[0] != "outbound" {
		return 0, "", "", false
	}
	port, err := strconv.Atoi(parts[1])
	if err != nil {
		return 0, "", "", false
	}
	return port, parts[2], parts[3], true
}
