package gogit

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sluice-dev/sluice/egress"
	"github.com/sluice-dev/sluice/gitsync"
)

// client speaks smart HTTP with one remote, as one identity.
type client struct {
	http   *http.Client
	base   string
	origin string // scheme and host that credentials are sent to
	secret gitsync.Secret
	limits Limits
}

func newClient(remote gitsync.Remote, cfg Config) (*client, error) {
	u, err := url.Parse(remote.URL)
	if err != nil {
		return nil, gitsync.Fail(gitsync.AddressRefused, errors.New("the URL cannot be parsed"))
	}
	security := &tls.Config{MinVersion: tls.VersionTLS12}
	if remote.Secret.CA != "" {
		security.RootCAs = x509.NewCertPool()
		if !security.RootCAs.AppendCertsFromPEM([]byte(remote.Secret.CA)) {
			return nil, gitsync.Fail(gitsync.SecretInvalid, errors.New("key ca.crt holds no PEM certificate"))
		}
	}
	transport := &http.Transport{
		DialContext: cfg.Dial, TLSClientConfig: security, TLSHandshakeTimeout: 10 * time.Second, ForceAttemptHTTP2: true,
		ResponseHeaderTimeout: defaultTimeout, IdleConnTimeout: 90 * time.Second, MaxIdleConnsPerHost: 2, MaxResponseHeaderBytes: 64 << 10,
	}
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &client{
		http: &http.Client{Transport: transport, CheckRedirect: stay},
		base: strings.TrimSuffix(remote.URL, "/"), origin: u.Scheme + "://" + u.Host, secret: remote.Secret, limits: cfg.Limits,
	}, nil
}

// get asks for the advertisement; version 2 where the server can.
func (c *client) get(ctx context.Context) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+"/info/refs?service=git-upload-pack", nil)
	if err != nil {
		return nil, gitsync.Fail(gitsync.Unreachable, err)
	}
	req.Header.Set("Git-Protocol", "version=2")
	return c.do(req, "application/x-git-upload-pack-advertisement")
}

// post sends a request to upload-pack.
func (c *client) post(ctx context.Context, body []byte, version2 bool) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+"/git-upload-pack", bytes.NewReader(body))
	if err != nil {
		return nil, gitsync.Fail(gitsync.Unreachable, err)
	}
	req.Header.Set("Content-Type", "application/x-git-upload-pack-request")
	req.Header.Set("Accept", "application/x-git-upload-pack-result")
	if version2 {
		req.Header.Set("Git-Protocol", "version=2")
	}
	return c.do(req, "application/x-git-upload-pack-result")
}

func (c *client) do(req *http.Request, want string) (io.ReadCloser, error) {
	req.Header.Set("User-Agent", "sluice")
	switch {
	case c.secret.BearerToken != "":
		req.Header.Set("Authorization", "Bearer "+c.secret.BearerToken)
	case c.secret.Username != "":
		req.SetBasicAuth(c.secret.Username, c.secret.Password)
	}
	ctx, cancel := context.WithCancel(req.Context())
	res, err := c.http.Do(req.WithContext(ctx)) //nolint:bodyclose // patient closes it, here or at the caller's
	if err != nil {
		cancel()
		return nil, c.explain(req.Context(), err)
	}
	body := newPatient(res.Body, cancel)
	if err := c.judge(res, want); err != nil {
		body.Close()
		return nil, err
	}
	return body, nil
}

// judge turns everything but the wanted answer into a Failure.
func (c *client) judge(res *http.Response, want string) error {
	fail := func(r gitsync.Reason, format string, args ...any) error {
		return &gitsync.Failure{Reason: r, Err: fmt.Errorf(format, args...), RetryAfter: retryAfter(res)}
	}
	switch code := res.StatusCode; {
	case code >= 300 && code < 400:
		to := "another place"
		if u, err := res.Location(); err == nil {
			to = u.Scheme + "://" + u.Host
		}
		return fail(gitsync.RedirectRefused, "%s answers with a redirect to %s: set spec.url to the final address", c.origin, to)
	case code == http.StatusUnauthorized || code == http.StatusForbidden:
		return fail(gitsync.AuthFailed, "%s answers %d: check the Secret and the rights of its account", c.origin, code)
	case code == http.StatusNotFound || code == http.StatusGone:
		return fail(gitsync.Unreachable, "%s has no such repository, or shows it only with credentials (%d)", c.origin, code)
	case code == http.StatusTooManyRequests:
		return fail(gitsync.Throttled, "%s asks to wait (429)", c.origin)
	case code != http.StatusOK:
		return fail(gitsync.Unreachable, "%s answers %d", c.origin, code)
	}
	if got := res.Header.Get("Content-Type"); got != want {
		return fail(gitsync.Unreachable, "%s is not a smart Git server: content type %.60q", c.origin, got)
	}
	return nil
}

func retryAfter(res *http.Response) time.Duration {
	seconds, err := strconv.Atoi(res.Header.Get("Retry-After"))
	if err != nil || seconds < 0 {
		return 0
	}
	return min(time.Duration(seconds)*time.Second, 10*time.Minute)
}

// explain finds the reason of an error of the network.
func (c *client) explain(ctx context.Context, err error) error {
	if known, ok := errors.AsType[*gitsync.Failure](err); ok {
		return known
	}
	if inner, ok := errors.AsType[*url.Error](err); ok {
		err = inner.Err // its text would repeat the URL
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) {
		return gitsync.Fail(gitsync.Timeout, fmt.Errorf("%s did not answer in time", c.origin))
	}
	if errors.Is(err, egress.ErrDenied) {
		return gitsync.Fail(gitsync.AddressRefused, fmt.Errorf("%s: %w", c.origin, err))
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return gitsync.Fail(gitsync.TLSFailed, fmt.Errorf("%s: %w", c.origin, err))
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok || errors.Is(err, http.ErrSchemeMismatch) {
		return gitsync.Fail(gitsync.TLSFailed, fmt.Errorf("%s does not speak TLS", c.origin))
	}
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		return gitsync.Fail(gitsync.Timeout, fmt.Errorf("%s: %w", c.origin, err))
	}
	return gitsync.Fail(gitsync.Unreachable, fmt.Errorf("%s: %w", c.origin, err))
}

// patient is a body that gives up when no byte comes for a while.
type patient struct {
	body    io.ReadCloser
	cancel  context.CancelFunc
	timer   *time.Timer
	stalled atomic.Bool
}

func newPatient(body io.ReadCloser, cancel context.CancelFunc) *patient {
	p := &patient{body: body, cancel: cancel}
	p.timer = time.AfterFunc(stallAfter, func() {
		p.stalled.Store(true)
		cancel()
	})
	return p
}

// Read implements io.Reader.
func (p *patient) Read(b []byte) (int, error) {
	n, err := p.body.Read(b)
	if n > 0 {
		p.timer.Reset(stallAfter)
	}
	if err != nil && p.stalled.Load() {
		err = gitsync.Fail(gitsync.Timeout, fmt.Errorf("the server stopped sending for %s", stallAfter))
	}
	return n, err
}

// Close implements io.Closer.
func (p *patient) Close() error {
	p.timer.Stop()
	p.cancel()
	return p.body.Close()
}

// bounded reads at most a number of bytes and then fails.
type bounded struct {
	from io.Reader
	left int64
	what string
}

// Read implements io.Reader.
func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, gitsync.Fail(gitsync.LimitExceeded, fmt.Errorf("the %s is larger than allowed", b.what))
	}
	if int64(len(p)) > b.left {
		p = p[:b.left]
	}
	n, err := b.from.Read(p)
	b.left -= int64(n)
	return n, err
}
