package notify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/egress"
)

const (
	maxAnswer     = 64 << 10      // bytes of an answer that are read
	maxRetryAfter = 6 * time.Hour // a receiver cannot ask for more patience
)

// post sends one body and reads what the receiver makes of it.
func post(ctx context.Context, client *http.Client, target string, header http.Header, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(body))
	if err != nil {
		return &Failure{Reason: v1alpha1.ReasonRefused, Hope: Thrice, Err: errors.New("the URL cannot be read")}
	}
	req.Header = header
	failure := exchange(client, req)
	if failure == nil {
		return nil
	}
	failure.Err = problem.Conceal(failure.Err, req.URL.RequestURI()) // which a receiver may repeat
	return failure
}

// exchange gives nil when the receiver took what was sent.
func exchange(client *http.Client, req *http.Request) *Failure {
	resp, err := client.Do(req)
	if err != nil {
		return unsent(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if resp.StatusCode/100 == 2 {
		return nil
	}
	if err != nil {
		return unsent(err)
	}
	return refusal(resp, answer)
}

// unsent explains a request without an answer. URLs hold secrets, so only the cause is kept.
func unsent(err error) *Failure {
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err
	}
	f := &Failure{Reason: v1alpha1.ReasonUnreachable, Err: err}
	switch {
	case errors.Is(err, egress.ErrRedirect):
		f.Reason, f.Hope = v1alpha1.ReasonRefused, None
	case errors.Is(err, egress.ErrDenied):
		f.Reason, f.Hope = v1alpha1.ReasonRefused, Thrice
	}
	return f
}

// refusal explains an answer that is no success.
func refusal(resp *http.Response, answer []byte) *Failure {
	f := &Failure{Reason: v1alpha1.ReasonRefused, Hope: Thrice, After: retryAfter(resp.Header)}
	switch code := resp.StatusCode; {
	case code == http.StatusGone:
		f.Reason, f.Hope = v1alpha1.ReasonGone, Gone
	case code == http.StatusUnauthorized || code == http.StatusForbidden:
		f.Reason = v1alpha1.ReasonUnauthorized
	case code == http.StatusTooManyRequests:
		f.Reason, f.Hope = v1alpha1.ReasonThrottled, Retry
	case code == http.StatusRequestTimeout || code == http.StatusTooEarly || code >= 500:
		f.Reason, f.Hope = v1alpha1.ReasonUnreachable, Retry
	case code/100 == 3:
		f.Hope = None
	}
	text := problem.Clean(string(answer), 64)
	f.Err = fmt.Errorf("answered %d %s", resp.StatusCode, text)
	if text == "" {
		f.Err = fmt.Errorf("answered %d", resp.StatusCode)
	}
	return f
}

// retryAfter reads the delay that an answer asks for, in seconds or as a date, RFC 9110 section 10.2.3. A date counts from
// the answer's own.
func retryAfter(h http.Header) time.Duration {
	asked := h.Get("Retry-After")
	if seconds, err := strconv.Atoi(asked); err == nil {
		return max(0, min(time.Duration(min(seconds, math.MaxInt32))*time.Second, maxRetryAfter))
	}
	at, err := http.ParseTime(asked)
	if err != nil {
		return 0
	}
	from, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		return 0
	}
	return max(0, min(at.Sub(from), maxRetryAfter))
}
