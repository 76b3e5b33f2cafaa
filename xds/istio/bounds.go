package istio

import (
	"fmt"
	"regexp"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
)

// positive reads a duration; unset it is 0. What is below a millisecond a proxy would take for none, or refuse.
func (t *translator) positive(from Meta, field string, d *durationpb.Duration) time.Duration {
	if d == nil || d.AsDuration() == 0 {
		return 0
	}
	if d.AsDuration() < time.Millisecond {
		t.found.fail(from, "S002", field, fmt.Sprintf("%v is no duration of at least 1ms", d.AsDuration()), "correct it; until then it is left out")
		return 0
	}
	return d.AsDuration()
}

// formatted reports whether a proxy takes text as the format of a header: each % begins a command that is known, or
// another % that stands for one.
func formatted(text string) bool {
	command := regexp.MustCompile(`^%([A-Z0-9_]+)(\([^()]*\))?(:[0-9]+)?%`)
	for i := 0; i < len(text); i++ {
		if text[i] != '%' {
			continue
		}
		if i+1 < len(text) && text[i+1] == '%' {
			i++
			continue
		}
		found := command.FindStringSubmatch(text[i:])
		if found == nil || !knownCommand(found[1], len(found[2]) > 2) {
			return false
		}
		i += len(found[0]) - 1
	}
	return true
}

func knownCommand(name string, argued bool) bool {
	if argued {
		return slices.Contains([]string{"REQ", "RESP", "TRAILER", "DYNAMIC_METADATA", "CLUSTER_METADATA", "UPSTREAM_METADATA", "FILTER_STATE", "START_TIME"}, name)
	}
	return slices.Contains([]string{
		"BYTES_RECEIVED", "BYTES_SENT", "CONNECTION_ID", "CONNECTION_TERMINATION_DETAILS", "DURATION", "HOSTNAME", "PROTOCOL", "REQUESTED_SERVER_NAME",
		"RESPONSE_CODE", "RESPONSE_CODE_DETAILS", "RESPONSE_FLAGS", "ROUTE_NAME", "START_TIME", "VIRTUAL_CLUSTER_NAME",
		"DOWNSTREAM_DIRECT_REMOTE_ADDRESS", "DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT", "DOWNSTREAM_LOCAL_ADDRESS",
		"DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT", "DOWNSTREAM_LOCAL_PORT", "DOWNSTREAM_LOCAL_SUBJECT", "DOWNSTREAM_LOCAL_URI_SAN",
		"DOWNSTREAM_PEER_CERT", "DOWNSTREAM_PEER_CERT_V_END", "DOWNSTREAM_PEER_CERT_V_START", "DOWNSTREAM_PEER_FINGERPRINT_256",
		"DOWNSTREAM_PEER_ISSUER", "DOWNSTREAM_PEER_SERIAL", "DOWNSTREAM_PEER_SUBJECT", "DOWNSTREAM_PEER_URI_SAN",
		"DOWNSTREAM_REMOTE_ADDRESS", "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT", "DOWNSTREAM_REMOTE_PORT", "DOWNSTREAM_TLS_CIPHER",
		"DOWNSTREAM_TLS_SESSION_ID", "DOWNSTREAM_TLS_VERSION", "UPSTREAM_CLUSTER", "UPSTREAM_HOST", "UPSTREAM_LOCAL_ADDRESS",
		"UPSTREAM_REMOTE_ADDRESS", "UPSTREAM_REQUEST_ATTEMPT_COUNT", "UPSTREAM_TRANSPORT_FAILURE_REASON",
	}, name)
}
