package istio

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/sluice-dev/sluice/xds/ir"
)

// defaultRetryOn holds what a retry cannot make worse; a plain 503 is not among it.
const defaultRetryOn = "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes"

const onCodes = "retriable-status-codes"

func defaultRetry() *ir.Retry { return &ir.Retry{Attempts: 2, On: defaultRetryOn, OtherHosts: true} }

// retry reads when a failed try is made again. Whether hosts already tried are avoided is by default decided by hashBy.
func (t *translator) retry(r rule) *ir.Retry {
	in, at := r.spec.GetRetries(), r.field+".retries"
	if in == nil {
		return defaultRetry()
	}
	if in.GetAttempts() <= 0 {
		return nil
	}
	out := defaultRetry()
	out.Attempts = uint32(in.GetAttempts())
	out.PerTry = t.positive(r.from, at+".perTryTimeout", in.GetPerTryTimeout())
	out.Backoff = t.positive(r.from, at+".backoff", in.GetBackoff())
	if in.GetRetryOn() != "" {
		t.retryOn(r, at+".retryOn", out)
	}
	if t.class.Kind == ir.KindGRPC {
		if in.GetRetryRemoteLocalities().GetValue() {
			t.found.policy(r.from, at+".retryRemoteLocalities", "retryRemoteLocalities in a gRPC client")
		}
		if in.GetRetryIgnorePreviousHosts() != nil {
			t.found.policy(r.from, at+".retryIgnorePreviousHosts", "retryIgnorePreviousHosts in a gRPC client")
		}
		return out
	}
	out.OtherLocalities = in.GetRetryRemoteLocalities().GetValue()
	if in.GetRetryIgnorePreviousHosts() != nil {
		out.OtherHosts = in.GetRetryIgnorePreviousHosts().GetValue()
	}
	return out
}

// retryOn reads conditions; numbers among them are status codes of answers.
func (t *translator) retryOn(r rule, at string, out *ir.Retry) {
	var on []string
	for word := range strings.SplitSeq(r.spec.GetRetries().GetRetryOn(), ",") {
		word = strings.TrimSpace(word)
		code, err := strconv.Atoi(word)
		switch {
		case word == "":
		case err == nil && code >= 100 && code <= 599:
			out.Codes = append(out.Codes, uint32(code))
		case slices.Contains(retryConditions(), word):
			on = append(on, word)
		default:
			t.found.fail(r.from, "S002", at, fmt.Sprintf("%q is no condition for a retry", word), "use conditions of Envoy, or status codes; until then it is left out")
		}
	}
	if len(out.Codes) > 0 && !slices.Contains(on, onCodes) {
		on = append(on, onCodes)
	}
	out.On = strings.Join(on, ",")
}

// retryConditions are those that Envoy knows.
func retryConditions() []string {
	return []string{
		"5xx", "gateway-error", "reset", "reset-before-request", "connect-failure", "envoy-ratelimited", "retriable-4xx", "refused-stream", onCodes,
		"retriable-headers", "http3-post-connect-failure", "cancelled", "deadline-exceeded", "internal", "resource-exhausted", "unavailable",
	}
}
