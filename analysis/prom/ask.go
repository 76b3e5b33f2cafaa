package prom

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-dev/sluice/analysis"
)

// ask runs an instant query and gives the body of its answer.
func (s *Server) ask(ctx context.Context, expression string, at time.Time) ([]byte, *Failure) {
	form := url.Values{
		"query":   {expression},
		"time":    {strconv.FormatFloat(float64(at.UnixMilli())/1000, 'f', 3, 64)},
		"timeout": {strconv.FormatInt(s.timeout.Milliseconds(), 10) + "ms"},
	}.Encode()
	u := s.client.URL("/api/v1/query", nil)
	code, body, err := s.send(ctx, http.MethodPost, u, form)
	if err == nil && code == http.StatusMethodNotAllowed { // a read-only proxy before it
		u.RawQuery = form
		code, body, err = s.send(ctx, http.MethodGet, u, "")
	}
	if err != nil {
		return nil, s.unread(ctx, err)
	}
	return body, refused(code, body)
}

// send gives the status and the whole body of an answer.
func (s *Server) send(ctx context.Context, method string, u *url.URL, form string) (int, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, u.String(), strings.NewReader(form))
	if err != nil {
		return 0, nil, fmt.Errorf("making the request: %w", err)
	}
	maps.Copy(req.Header, s.headers)
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, body, err := s.client.Do(ctx, req) //nolint:bodyclose // Do has closed it
	if err != nil {
		return 0, nil, err
	}
	return resp.StatusCode, body, nil
}

// unread tells apart why no whole answer came.
func (s *Server) unread(ctx context.Context, err error) *Failure {
	var timeout net.Error
	switch {
	case errors.Is(err, errTooLarge):
		return failed(analysis.TooLarge, "the answer has over %d MiB", MaxBody>>20)
	case errors.Is(err, context.Canceled):
		return failed(analysis.Timeout, "the query was given up")
	case ctx.Err() != nil, errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return failed(analysis.Timeout, "no whole answer within %v", s.timeout)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return failed(analysis.BadResponse, "the answer is cut off")
	}
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err // without the URL, which may hold credentials
	}
	return failed(analysis.Unreachable, "%v", err)
}

// refused reads the status; nil: the body should hold a result.
func refused(code int, body []byte) *Failure {
	switch {
	case code == http.StatusUnauthorized, code == http.StatusForbidden:
		return failed(analysis.Unauthorized, "the server answered %d", code)
	case code >= 200 && code < 300:
		return nil
	}
	answer := matrix{scan: scan{text: body}}
	if answer.envelope(answer.skip) == nil && answer.head.status == "error" {
		return answer.head.rejected()
	}
	return failed(analysis.HTTPStatus, "the server answered %d %s", code, http.StatusText(code))
}

// bounded lets no body grow beyond MaxBody.
type bounded struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (b bounded) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := b.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	resp.Body = &boundedBody{ReadCloser: resp.Body, left: MaxBody}
	return resp, nil
}

var errTooLarge = errors.New("the body is too large")

type boundedBody struct {
	io.ReadCloser
	left int
}

func (b *boundedBody) Read(p []byte) (int, error) {
	if len(p) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.ReadCloser.Read(p)
	if n > b.left {
		return b.left, errTooLarge
	}
	b.left -= n
	return n, err
}

// clean makes text of a server fit to show.
func clean(text string) string {
	text = text[:min(len(text), 4096)]
	text = strings.Map(func(r rune) rune {
		if r < ' ' || (r >= 0x7f && r < 0xa0) || (r >= 0x202a && r <= 0x202e) || (r >= 0x2066 && r <= 0x2069) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	for len(text) > 256 {
		text = strings.ToValidUTF8(text[:256], "")
	}
	return text
}
