package prom

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sluice-dev/sluice/analysis"
)

// defaultLookback is how old the sample of an instant selector may be where nothing is said.
const defaultLookback = 5 * time.Minute

// expression is what is asked for.
type inquiry struct {
	text   string
	oldest time.Duration // samples that are older count for nothing in instant selectors; zero: as the server holds it
	size   int           // that the answer is expected to have, in bytes; zero: not known
}

// ask runs an instant query and gives the body of its answer.
func (s *Server) ask(ctx context.Context, e inquiry, at time.Time) (*page, *Failure) {
	values := url.Values{
		"query":   {e.text},
		"time":    {strconv.FormatFloat(float64(at.UnixMilli())/1000, 'f', 3, 64)},
		"timeout": {strconv.FormatInt(s.timeout.Milliseconds(), 10) + "ms"},
	}
	if e.oldest > 0 && e.oldest < defaultLookback {
		values.Set("lookback_delta", strconv.FormatInt(e.oldest.Milliseconds(), 10)+"ms")
	}
	form := values.Encode()
	code, body, err := s.send(ctx, http.MethodPost, s.url, form, e.size)
	if err == nil && code == http.StatusMethodNotAllowed { // a read-only proxy before it
		s.pages.put(body)
		get := *s.url
		get.RawQuery = form
		code, body, err = s.send(ctx, http.MethodGet, &get, "", e.size)
	}
	if err != nil {
		return nil, s.unread(ctx, err)
	}
	if fail := refused(code, body.Bytes()); fail != nil {
		s.pages.put(body)
		return nil, fail
	}
	return body, nil
}

// send gives the status and the whole body of an answer, which is expected to have that size. It is asked for as it is: to unpack it would cost more than to read it.
func (s *Server) send(ctx context.Context, method string, u *url.URL, form string, size int) (int, *page, error) {
	req, err := http.NewRequestWithContext(ctx, method, u.String(), strings.NewReader(form))
	if err != nil {
		return 0, nil, fmt.Errorf("making the request: %w", err)
	}
	maps.Copy(req.Header, s.headers)
	req.Header.Set("Accept-Encoding", "identity")
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	body := s.pages.get(size)
	_, err = body.ReadFrom(resp.Body)
	if closed := resp.Body.Close(); err == nil {
		err = closed
	}
	if err != nil {
		s.pages.put(body)
		return 0, nil, err
	}
	return resp.StatusCode, body, nil
}

// page is room for an answer, used again and again. What was read from one must not be held any more when it is put back.
type page struct {
	bytes.Buffer
	series []gathered
	points []analysis.Point
}

// pages are those that nobody uses. Garbage is collected several times in a round, so that a sync.Pool would hardly ever give one.
type pages struct {
	mu   sync.Mutex // guards the rest
	free []*page
	size int // of them
}

// Bounds of what is kept for the next answers, in bytes. One that brings all samples of many series is seldom followed by another.
const (
	keptPages = 16 << 20
	keptPage  = 4 << 20
)

// What one takes, in bytes.
const (
	sizeOfSeries = 64
	sizeOfPoint  = 16
)

// get gives the smallest that has room for an answer of a size, or a new one: large answers would make all of them large else.
func (p *pages) get(size int) *page {
	size += 2 * bytes.MinRead // it is read until nothing more comes
	p.mu.Lock()
	best := -1
	for i, one := range p.free {
		if one.Cap() >= size && (best < 0 || one.Cap() < p.free[best].Cap()) {
			best = i
		}
	}
	if best >= 0 {
		used := p.free[best]
		p.free = slices.Delete(p.free, best, best+1)
		p.size -= used.size()
		p.mu.Unlock()
		return used
	}
	p.mu.Unlock()
	fresh := &page{}
	fresh.Grow(min(size, keptPage))
	return fresh
}

func (p *pages) put(used *page) {
	used.Reset()
	clear(used.series)
	used.series, used.points = used.series[:0], used.points[:0]
	p.mu.Lock()
	defer p.mu.Unlock()
	size := used.size()
	if size > keptPage {
		return
	}
	p.free, p.size = append(p.free, used), p.size+size
	for p.size > keptPages { // those that were not of use for longest
		p.size -= p.free[0].size()
		p.free = slices.Delete(p.free, 0, 1)
	}
}

// size is how much memory it holds.
func (p *page) size() int {
	return p.Cap() + cap(p.series)*sizeOfSeries + cap(p.points)*sizeOfPoint
}

// unread tells apart why no whole answer came.
func (s *Server) unread(ctx context.Context, err error) *Failure {
	if f, ok := errors.AsType[*Failure](err); ok {
		return f
	}
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
	body := &boundedBody{Reader: resp.Body, Closer: resp.Body, left: MaxBody}
	switch packed := resp.Header.Get("Content-Encoding"); packed {
	case "", "identity":
	case "gzip": // although it was not asked for
		body.Reader = &unpacked{packed: resp.Body}
	default:
		_ = resp.Body.Close()
		return nil, failed(analysis.BadResponse, "the answer is packed as %.40q", packed)
	}
	resp.Body = body
	return resp, nil
}

var errTooLarge = errors.New("the body is too large")

type boundedBody struct {
	io.Reader
	io.Closer
	left int
}

// unpacked reads what was packed, from the first read on.
type unpacked struct {
	packed io.Reader
	plain  *gzip.Reader
}

// Read implements io.Reader.
func (u *unpacked) Read(p []byte) (int, error) {
	if u.plain == nil {
		plain, err := gzip.NewReader(u.packed)
		if err != nil {
			return 0, errPacked(err)
		}
		u.plain = plain
	}
	n, err := u.plain.Read(p)
	return n, errPacked(err)
}

// errPacked tells what is not gzip from what did not arrive.
func errPacked(err error) error {
	if errors.Is(err, gzip.ErrHeader) || errors.Is(err, gzip.ErrChecksum) {
		return failed(analysis.BadResponse, "the answer is not the gzip that it says")
	}
	return err
}

func (b *boundedBody) Read(p []byte) (int, error) {
	if len(p) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.Reader.Read(p)
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
