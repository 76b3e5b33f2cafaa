package gogit

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-dev/sluice/egress"
	"github.com/sluice-dev/sluice/gitsync"
)

// transport speaks with one remote, as one identity.
type transport interface {
	// advertise gives the server's first answer: of protocol version 2 where it knows that.
	advertise(ctx context.Context) (io.ReadCloser, error)
	// ask sends one request of a protocol version to upload-pack and gives the answer to it alone.
	ask(ctx context.Context, body []byte, version2 bool) (io.ReadCloser, error)
	// explain finds the reason of an error of the network.
	explain(ctx context.Context, err error) error
	// spoken gives what it proved itself by that is not among the remote's secrets.
	spoken() []string
	// rest is called at the end of each fetch.
	rest()
	// hangUp drops connections.
	hangUp()
}

// client speaks smart HTTP.
type client struct {
	http   *http.Client
	base   string
	origin string // scheme and host that credentials are sent to
	secret gitsync.Secret
	app    *appTokens // nil: the credentials are in secret
}

func newClient(remote gitsync.Remote, dial Dial, cfg Config) (*client, error) {
	u, err := url.Parse(remote.URL)
	if err != nil {
		return nil, gitsync.Fail(gitsync.AddressRefused, errors.New("the URL cannot be parsed"))
	}
	security, err := readTLS(remote.Secret)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{
		DialContext: dial, TLSClientConfig: security, TLSHandshakeTimeout: 10 * time.Second, ForceAttemptHTTP2: true,
		ResponseHeaderTimeout: defaultTimeout, IdleConnTimeout: 90 * time.Second, MaxIdleConnsPerHost: 2, MaxResponseHeaderBytes: 64 << 10,
	}
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c := &client{
		http: &http.Client{Transport: transport, CheckRedirect: stay},
		base: strings.TrimSuffix(remote.URL, "/"), origin: u.Scheme + "://" + u.Host, secret: remote.Secret,
	}
	if remote.Secret.App.ID != "" {
		c.app, err = newAppTokens(remote.Secret.App, u, c.http, cfg.Now)
	}
	return c, err
}

// advertise implements transport.
func (c *client) advertise(ctx context.Context) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+"/info/refs?service=git-upload-pack", nil)
	if err != nil {
		return nil, gitsync.Fail(gitsync.Unreachable, err)
	}
	req.Header.Set("Git-Protocol", "version=2")
	return c.do(req, "application/x-git-upload-pack-advertisement")
}

// spoken implements transport.
func (c *client) spoken() []string {
	if c.app == nil {
		return nil
	}
	return c.app.spoken()
}

// rest implements transport. Connections are kept for the next fetch.
func (c *client) rest() {}

// hangUp implements transport.
func (c *client) hangUp() { c.http.CloseIdleConnections() }

// ask implements transport.
func (c *client) ask(ctx context.Context, body []byte, version2 bool) (io.ReadCloser, error) {
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
	case c.app != nil:
		token, err := c.app.get(req.Context())
		if err != nil {
			return nil, err
		}
		req.SetBasicAuth(appUser, token)
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
	body := newPatient(owned{res.Body, cancel}, cancel)
	if err := c.judge(res, want); err != nil {
		body.Close()
		if c.app != nil {
			c.app.forget()
		}
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

// explain implements transport.
func (c *client) explain(ctx context.Context, err error) error {
	if known, ok := errors.AsType[*gitsync.Failure](err); ok {
		return known
	}
	if inner, ok := errors.AsType[*url.Error](err); ok {
		err = inner.Err // its text would repeat the URL
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return gitsync.Fail(gitsync.TLSFailed, fmt.Errorf("%s: %w", c.origin, err))
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "remote error" { // an alert of TLS
		return gitsync.Fail(gitsync.TLSFailed, fmt.Errorf("%s refuses the connection: %w", c.origin, op.Err))
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok || errors.Is(err, http.ErrSchemeMismatch) {
		return gitsync.Fail(gitsync.TLSFailed, fmt.Errorf("%s does not speak TLS", c.origin))
	}
	return explainNetwork(ctx, c.origin, err)
}

// explainNetwork finds the reason of an error below the protocols.
func explainNetwork(ctx context.Context, origin string, err error) error {
	if known, ok := errors.AsType[*gitsync.Failure](err); ok {
		return known
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) {
		return gitsync.Fail(gitsync.Timeout, fmt.Errorf("%s did not answer in time", origin))
	}
	if errors.Is(err, egress.ErrDenied) {
		return gitsync.Fail(gitsync.AddressRefused, fmt.Errorf("%s: %w", origin, err))
	}
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		return gitsync.Fail(gitsync.Timeout, fmt.Errorf("%s: %w", origin, err))
	}
	return gitsync.Fail(gitsync.Unreachable, fmt.Errorf("%s: %w", origin, err))
}
