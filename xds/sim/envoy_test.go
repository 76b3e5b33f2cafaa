package sim_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/xds/ir"
	"github.com/sluice-dev/sluice/xds/sim"
)

// triesOfSplit is how many requests at most show the arms of a weighted route; an arm of a fiftieth stays unseen in one
// of 10^12 runs.
const triesOfSplit = 1500

// TestRoute_saysWhatEnvoyDoes loads the resources of all cases into one real Envoy, each case under names of its own,
// holds what Envoy runs against what it was given, and asks it every question.
func TestRoute_saysWhatEnvoyDoes(t *testing.T) {
	r := newRig(t)
	all := slices.DeleteFunc(stories(t), func(s story) bool { return s.class.Kind == ir.KindGRPC || s.class.Capture == ir.CaptureRedirect })
	for _, s := range all {
		r.add(s.name(), s.res)
	}
	r.start()
	t.Run("dump", r.checkDump)
	for _, s := range all {
		t.Run(s.name(), func(t *testing.T) { r.compareAll(t, s) })
	}
}

// TestRoute_saysWhatCapturingEnvoysDo does the same for cases whose proxies get all connections, each in an Envoy of its own.
func TestRoute_saysWhatCapturingEnvoysDo(t *testing.T) {
	for _, s := range stories(t) {
		if s.class.Capture != ir.CaptureRedirect {
			continue
		}
		t.Run(s.name(), func(t *testing.T) {
			r := newRig(t)
			r.captures = s.name()
			r.add(s.name(), s.res)
			r.start()
			r.checkDump(t)
			r.compareAll(t, s)
		})
	}
}

func (r *rig) compareAll(t *testing.T, s story) {
	t.Helper()
	p := sim.New(s.res)
	for i, req := range s.requests {
		r.compare(t, s.name(), s.asked[i], req, p.Route(req))
	}
}

func (s story) name() string { return strings.TrimSuffix(filepath.Base(s.path), ".txtar") }

// compare sends a request until every cluster that it may go to was seen, and holds what Envoy does against the answer.
func (r *rig) compare(t *testing.T, mesh, asked string, req sim.Request, want sim.Result) {
	t.Helper()
	if want.Outcome == sim.NoListener {
		r.checkRefused(t, mesh, asked, req)
		return
	}
	r.expectOriginal(req, want)
	if forwarded(want) {
		r.compareConnection(t, mesh, asked, req, want)
		return
	}
	unseen := map[string]bool{}
	if want.Outcome == sim.Routed && !aborted(want) {
		for _, d := range want.Destinations {
			unseen[r.meshes[mesh].shown(d)] = true
		}
	}
	for range triesOfSplit {
		r.sent++
		resp, body := r.send(t, r.ports[mesh+"/"+want.Listener], req)
		if aborted(want) {
			checkAbort(t, asked, want.Fault.V.Abort.V, resp)
			return
		}
		if checkCors(t, asked, want.Cors.V, req, resp) {
			return
		}
		switch want.Outcome {
		case sim.Routed:
			got := r.meshes[mesh].seen(resp)
			if !slices.ContainsFunc(want.Destinations, func(d sim.Destination) bool { return r.meshes[mesh].shown(d) == got }) {
				t.Errorf("%s: Envoy chose %q (status %d), which is not among %v", asked, got, resp.StatusCode, want.Destinations)
				return
			}
			delete(unseen, got)
			checkUpstream(t, asked, req, want, resp)
		case sim.DirectResponse:
			if body != want.Body && req.Method != http.MethodHead {
				t.Errorf("%s: body %q, want %q", asked, body, want.Body)
			}
		case sim.Redirected, sim.TLSRequired:
			if got := resp.Header.Get("Location"); got != want.Redirect.V.Location {
				t.Errorf("%s: location %q, want %q", asked, got, want.Redirect.V.Location)
			}
		case sim.NoRoute, sim.NoListener, sim.NoHealthyUpstream: // the status says it all
		}
		if want.Outcome != sim.Routed && resp.StatusCode != want.Status {
			t.Errorf("%s: status %d, want %s %d", asked, resp.StatusCode, want.Outcome, want.Status)
		}
		if len(unseen) == 0 {
			return
		}
	}
	t.Errorf("%s: Envoy never chose %v of %v", asked, unseen, want.Destinations)
}

// dead is how a request looks that went to a cluster which does not exist or has no endpoint.
const dead = "503"

func (m *rigged) shown(d sim.Destination) string {
	if isOriginal(d) {
		return original
	}
	if !m.alive(d.Cluster) {
		return dead
	}
	return d.Cluster
}

// seen is the cluster that has answered.
func (m *rigged) seen(resp *http.Response) string {
	if resp.Header.Get(seenCluster) == original {
		return original
	}
	if n, err := strconv.Atoi(resp.Header.Get(seenCluster)); err == nil {
		return m.numbers[n]
	}
	return strconv.Itoa(resp.StatusCode)
}

// checkUpstream holds what an upstream was asked for against the rewrite and the changes to headers.
func checkUpstream(t *testing.T, asked string, req sim.Request, want sim.Result, resp *http.Response) {
	t.Helper()
	if resp.Header.Get(seenCluster) == "" {
		return // none was there
	}
	path, query, _ := strings.Cut(req.Path, "?")
	host, plain := req.Host, !strings.ContainsAny(path, ".%")
	if r := want.Rewrite.V; r != nil {
		path, host, plain = r.Path, cmp.Or(r.Authority, host), true
	}
	if query != "" {
		path += "?" + query
	}
	if got := resp.Header.Get(seenTarget); plain && got != path {
		t.Errorf("%s: the upstream is asked for %q, want %q", asked, got, path)
	}
	if got := resp.Header.Get(seenAuthority); got != host && len(want.Destinations) == 1 {
		t.Errorf("%s: the upstream is asked for host %q, want %q", asked, got, host)
	}
	var seen http.Header
	if err := json.Unmarshal([]byte(resp.Header.Get(seenHeaders)), &seen); err != nil {
		t.Fatal(err)
	}
	checkEdits(t, asked+": request", want.Headers.Request, seen, req.Headers)
	checkEdits(t, asked+": response", want.Headers.Response, resp.Header, nil)
}

// checkEdits holds headers that arrived against the changes that were to be made to those that were sent. What stands for
// something that only Envoy knows, between percent signs, is passed over.
func checkEdits(t *testing.T, asked string, edits sim.Edits, seen http.Header, sent map[string][]string) {
	t.Helper()
	for name, value := range edits.Set {
		if strings.Contains(value, "%") {
			continue
		}
		_, added := edits.Add[name]
		if got := seen.Values(name); !slices.Equal(got, []string{value}) && (!added || !slices.Contains(got, value)) {
			t.Errorf("%s: header %s is %q, want %q", asked, name, got, value)
		}
	}
	for name, value := range edits.Add {
		if got := seen.Values(name); !strings.Contains(value, "%") && !slices.Contains(got, value) {
			t.Errorf("%s: header %s is %q, want %q among it", asked, name, got, value)
		}
	}
	for _, name := range edits.Remove {
		_, set := edits.Set[name]
		_, added := edits.Add[name]
		if got := seen.Values(name); !set && !added && len(got) > 0 {
			t.Errorf("%s: header %s is %q of %q, want none", asked, name, got, sent)
		}
	}
}

// aborted reports whether the proxy itself answers every request, whatever the outcome would be.
func aborted(r sim.Result) bool {
	return r.Fault.V != nil && r.Fault.V.Abort.V != nil && r.Fault.V.Abort.V.Percent == 100
}

func checkAbort(t *testing.T, asked string, want *sim.Abort, resp *http.Response) {
	t.Helper()
	if want.GRPCStatus == "" {
		if resp.StatusCode != want.HTTPStatus {
			t.Errorf("%s: status %d, want the fault's %d", asked, resp.StatusCode, want.HTTPStatus)
		}
		return
	}
	code, err := strconv.Atoi(resp.Header.Get("Grpc-Status"))
	if name := ir.GRPCStatusName(uint32(code)); err != nil || name != want.GRPCStatus {
		t.Errorf("%s: gRPC status %d %s (%v), want the fault's %s", asked, code, name, err, want.GRPCStatus)
	}
}

// checkCors holds whether Envoy lets the page read the answer against what the policy says of its origin. It is true for
// a preflight that Envoy answers itself.
func checkCors(t *testing.T, asked string, want *sim.Cors, req sim.Request, resp *http.Response) bool {
	t.Helper()
	allowed := ""
	if origins := req.Headers["Origin"]; want != nil && len(origins) > 0 && slices.ContainsFunc(want.AllowOrigins, func(m sim.OriginMatch) bool {
		return m.Exact == "*" || m.Exact == origins[0] || (m.Prefix != "" && strings.HasPrefix(origins[0], m.Prefix)) ||
			(m.Regex != "" && regexp.MustCompile("^(?:"+m.Regex+")$").MatchString(origins[0]))
	}) {
		allowed = origins[0]
	}
	if got := resp.Header.Get("Access-Control-Allow-Origin"); got != allowed {
		t.Errorf("%s: the origin allowed is %q, want %q", asked, got, allowed)
	}
	if got := resp.Header.Get("Access-Control-Allow-Credentials"); allowed != "" && (got == "true") != want.AllowCredentials {
		t.Errorf("%s: credentials %q, want %v", asked, got, want.AllowCredentials)
	}
	if req.Method != http.MethodOptions || allowed == "" {
		return false
	}
	if got := resp.Header.Get("Access-Control-Allow-Methods"); got != strings.Join(want.AllowMethods, ",") || resp.StatusCode != http.StatusOK {
		t.Errorf("%s: the preflight is answered %d with methods %q, want 200 and %q", asked, resp.StatusCode, got, want.AllowMethods)
	}
	if got, _ := time.ParseDuration(resp.Header.Get("Access-Control-Max-Age") + "s"); got.String() != want.MaxAge {
		t.Errorf("%s: the preflight holds for %s, want %s", asked, got, want.MaxAge)
	}
	return true
}

// checkRefused expects that no chain of the port's listeners takes the connection, if there is such a listener.
func (r *rig) checkRefused(t *testing.T, mesh, asked string, req sim.Request) {
	t.Helper()
	for _, name := range r.meshes[mesh].listeners[req.Port] {
		if req.Raw {
			if resp, err := r.open(t, mesh, name, req); err == nil && resp.Header.Get(seenCluster) != "" {
				t.Errorf("%s: listener %s forwards, want no connection", asked, name)
			}
			continue
		}
		if resp, _, err := r.try(t, r.ports[mesh+"/"+name], req); err == nil {
			t.Errorf("%s: listener %s answers %d, want no connection", asked, name, resp.StatusCode)
		}
	}
}

func (r *rig) send(t *testing.T, port int, req sim.Request) (*http.Response, string) {
	t.Helper()
	resp, body, err := r.try(t, port, req)
	if err != nil {
		t.Fatalf("%s %s: %v", req.Method, req.Path, err)
	}
	return resp, body
}

func (r *rig) try(t *testing.T, port int, req sim.Request) (*http.Response, string, error) {
	t.Helper()
	scheme := map[bool]string{false: "http", true: "https"}[req.TLS]
	out, err := http.NewRequestWithContext(t.Context(), req.Method, fmt.Sprintf("%s://127.0.0.1:%d%s", scheme, port, req.Path), nil)
	if err != nil {
		t.Fatal(err)
	}
	out.Host = req.Host
	for name, values := range req.Headers {
		for _, v := range values {
			out.Header.Add(name, v)
		}
	}
	client := r.clientOf(req.SNI)
	if r.captures != "" {
		client = r.capturedClient(req)
	}
	resp, err := client.Do(out)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, "", err
	}
	return resp, string(body), nil
}
