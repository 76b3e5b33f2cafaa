package sim_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	"google.golang.org/protobuf/encoding/protojson"
	networking "istio.io/api/networking/v1alpha3"
	"sigs.k8s.io/yaml"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/xds/envoy"
	"github.com/sluice-dev/sluice/xds/ir"
	"github.com/sluice-dev/sluice/xds/istio"
	"github.com/sluice-dev/sluice/xds/manifest"
	"github.com/sluice-dev/sluice/xds/sim"
)

var rewrite = flag.Bool("rewrite", false, "write what the cases give into their files")

// story is a case of testdata: manifests, a class of proxies, questions, and what is expected.
//
//	-- with --        files of testdata to read as well
//	-- *.yaml --      manifests
//	-- secrets --     KIND NAMESPACE/NAME [HOST]... one a line: Secrets, made anew in each run (see readSecrets)
//	-- class --       gateway NAMESPACE k=v [unprivileged] | sidecar NAMESPACE [REDIRECT] | grpc NAMESPACE; default: that of the first Gateway;
//	                  with labels k=v and a locality REGION/ZONE/SUBZONE where they matter
//	-- ask --         METHOD URL [; Header: value]... one a line; SNI: NAME stands for the server name of a TLS connection;
//	                  TCP tcp://HOST:PORT and TLS tls://HOST:PORT ask for connections of other protocols
//	-- answers --     a block for each question
//	-- problems --    of this class
//	-- ir [NAME...] --      the neutral form of what the case's own objects make (not those of files read with it), or of the named
//	-- envoy [NAME...] --   the fields of the same resources that differ from a plain resource's
//	-- envoy TYPE NAME --   a whole resource as YAML
//
// Sections that a case lacks are added by -rewrite.
type story struct {
	path     string
	archive  *txtar.Archive
	own      map[string]bool // Kind/namespace/name of the case's own objects
	class    ir.ProxyClass
	cfg      ir.Config
	res      envoy.Resources
	problems []problem.Problem
	requests []sim.Request
	asked    []string
}

func stories(t *testing.T) []story {
	t.Helper()
	paths, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	var out []story
	for _, p := range paths {
		out = append(out, load(t, p))
	}
	return out
}

func load(t *testing.T, path string) story {
	t.Helper()
	archive, err := txtar.ParseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	s := story{path: path, archive: archive, own: map[string]bool{}}
	mesh, class := manifest.New(), ""
	for _, f := range archive.Files {
		switch {
		case strings.HasSuffix(f.Name, ".yaml"):
			s.owns(t, f.Data)
			if err := mesh.Read(f.Name, bytes.NewReader(f.Data)); err != nil {
				t.Fatal(err)
			}
		case f.Name == "with":
			for name := range strings.FieldsSeq(string(f.Data)) {
				data, err := os.ReadFile(filepath.Join("testdata", name))
				if err != nil {
					t.Fatal(err)
				}
				if err := mesh.Read(name, bytes.NewReader(data)); err != nil {
					t.Fatal(err)
				}
			}
		case f.Name == "secrets":
			s.readSecrets(t, mesh, string(f.Data))
		case f.Name == "class":
			class = strings.TrimSpace(string(f.Data))
		case f.Name == "ask":
			for line := range strings.Lines(string(f.Data)) {
				if strings.TrimSpace(line) == "" {
					continue
				}
				s.asked = append(s.asked, strings.TrimSpace(line))
				s.requests = append(s.requests, parse(t, line))
			}
		}
	}
	in := mesh.Input("", "")
	s.class = classOf(t, in, class)
	var problems []problem.Problem
	s.cfg, problems = istio.Translate(in, s.class)
	s.problems = mesh.Placed(problems)
	if s.res, err = envoy.Build(s.cfg); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return s
}

// owns notes the objects of one of the case's files.
func (s story) owns(t *testing.T, data []byte) {
	t.Helper()
	for doc := range strings.SplitSeq("\n"+string(data), "\n---") {
		var object struct {
			Kind     string
			Metadata struct{ Namespace, Name string }
		}
		if err := yaml.Unmarshal([]byte(doc), &object); err != nil {
			t.Fatal(err)
		}
		s.own[object.Kind+"/"+object.Metadata.Namespace+"/"+object.Metadata.Name] = true
	}
}

func classOf(t *testing.T, in istio.Input, text string) ir.ProxyClass {
	t.Helper()
	if words := strings.Fields(text); len(words) >= 2 {
		c := ir.ProxyClass{Kind: ir.Kind(words[0]), Namespace: words[1]}
		for _, word := range words[2:] {
			switch {
			case word == string(ir.CaptureRedirect):
				c.Capture = ir.CaptureRedirect
			case word == "unprivileged":
				c.Unprivileged = true
			case strings.Contains(word, "="):
				c.Labels = word
			default:
				c.Locality = word
			}
		}
		return c
	}
	for _, o := range in.Objects {
		if g, ok := o.Spec.(*networking.Gateway); ok {
			return ir.ProxyClass{Kind: ir.KindGateway, Namespace: o.Namespace, Labels: istio.FormatLabels(g.GetSelector())}
		}
	}
	t.Fatal("no class and no Gateway")
	return ir.ProxyClass{}
}

func parse(t *testing.T, line string) sim.Request {
	t.Helper()
	parts := strings.Split(strings.TrimSpace(line), ";")
	method, target, ok := strings.Cut(strings.TrimSpace(parts[0]), " ")
	u, err := url.Parse(target)
	if !ok || err != nil {
		t.Fatalf("question %q: %v", line, err)
	}
	req := sim.Request{Method: method, Host: u.Host, Path: u.RequestURI(), TLS: u.Scheme == "https", Port: 80, Headers: map[string][]string{}}
	req.Raw = u.Scheme == "tcp" || u.Scheme == "tls"
	req.TLS = req.TLS || u.Scheme == "tls"
	if req.TLS {
		req.Port, req.SNI = 443, u.Hostname()
	}
	if a, err := netip.ParseAddr(u.Hostname()); err == nil {
		req.Address = a.String()
	}
	if u.Port() != "" {
		if req.Port, err = strconv.Atoi(u.Port()); err != nil {
			t.Fatal(err)
		}
	}
	for _, h := range parts[1:] {
		name, value, _ := strings.Cut(h, ":")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		if strings.EqualFold(name, "host") {
			req.Host = value
			continue
		}
		if strings.EqualFold(name, "sni") {
			req.SNI = value
			continue
		}
		req.Headers[name] = append(req.Headers[name], value)
	}
	return req
}

func TestRoute_answersAsTheCasesSay(t *testing.T) {
	for _, s := range stories(t) {
		t.Run(strings.TrimSuffix(filepath.Base(s.path), ".txtar"), func(t *testing.T) {
			got := &txtar.Archive{Comment: s.archive.Comment}
			for _, f := range s.archive.Files {
				got.Files = append(got.Files, txtar.File{Name: f.Name, Data: s.section(t, f)})
			}
			if *rewrite {
				s.complete(t, got)
				if err := os.WriteFile(s.path, txtar.Format(got), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(txtar.Format(s.archive)), string(txtar.Format(got))); diff != "" {
				t.Errorf("%s (-want +got):\n%s", s.path, diff)
			}
		})
	}
}

// section is what a file of the case should hold.
func (s story) section(t *testing.T, f txtar.File) []byte {
	t.Helper()
	words := strings.Fields(f.Name)
	switch {
	case f.Name == "answers":
		return []byte(s.answers(t))
	case f.Name == "problems":
		var b strings.Builder
		for _, p := range s.problems {
			p.Hint, p.Line, p.Column = "", 0, 0
			fmt.Fprintln(&b, p)
		}
		return []byte(b.String())
	case f.Name == "ir" || strings.HasPrefix(f.Name, "ir "):
		return s.neutral(t, words[1:])
	case len(words) == 3 && words[0] == "envoy" && slices.Contains([]string{"listener", "route", "cluster", "endpoints"}, words[1]):
		return s.resource(t, words[1], words[2])
	case words[0] == "envoy":
		return s.different(t, words[1:])
	default:
		return f.Data
	}
}

// complete adds the sections that a case lacks.
func (s story) complete(t *testing.T, a *txtar.Archive) {
	t.Helper()
	for _, name := range []string{"answers", "ir", "envoy", "problems"} {
		if slices.ContainsFunc(a.Files, func(f txtar.File) bool { return strings.Fields(f.Name)[0] == name }) {
			continue
		}
		f := txtar.File{Name: name}
		f.Data = s.section(t, f)
		a.Files = append(a.Files, f)
	}
}

func (s story) answers(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	for i, req := range s.requests {
		r := sim.Route(s.res, req)
		fmt.Fprintf(&b, "%s\n  %s", s.asked[i], r.Outcome)
		if r.Status != 0 {
			fmt.Fprintf(&b, " %d", r.Status)
		}
		fmt.Fprintf(&b, ": %q of %q at %q\n", r.RouteName, r.VirtualHost, r.Listener)
		for _, d := range r.Destinations {
			fmt.Fprintf(&b, "  %.4g %s %s\n", d.Probability, d.Cluster, d.LB)
		}
		b.WriteString(policies(t, r))
		if r.Body != "" {
			fmt.Fprintf(&b, "  body %q\n", r.Body)
		}
	}
	return b.String()
}

// policies prints what differs from a route that sets none, which has no timeout and the usual retries.
func policies(t *testing.T, r sim.Result) string {
	t.Helper()
	p := r.Policies
	switch usual := (sim.Retries{Attempts: 2, RetryOn: plainRetry().On}); {
	case p.Retries.V != nil && *p.Retries.V == usual:
		p.Retries.V = nil
	case p.Retries.V == nil && r.Outcome == sim.Routed && !forwarded(r):
		p.Retries.V = &sim.Retries{}
	}
	plain, err := json.Marshal(sim.Route(envoy.Resources{}, sim.Request{}).Policies)
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	var none, have map[string]json.RawMessage
	if err := json.Unmarshal(plain, &none); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &have); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, key := range []string{"rewrite", "redirect", "mirrors", "timeout", "retries", "fault", "cors", "hash", "headers"} {
		if !bytes.Equal(none[key], have[key]) {
			fmt.Fprintf(&b, "  %s %s\n", key, have[key])
		}
	}
	return b.String()
}

func (s story) resource(t *testing.T, kind, name string) []byte {
	t.Helper()
	lists := map[string][]envoy.Resource{"listener": s.res.Listeners, "route": s.res.Routes, "cluster": s.res.Clusters, "endpoints": s.res.Endpoints}
	i := slices.IndexFunc(lists[kind], func(r envoy.Resource) bool { return r.Name == name })
	if i < 0 {
		return []byte("there is none\n")
	}
	m, err := lists[kind][i].Any.UnmarshalNew()
	if err != nil {
		t.Fatal(err)
	}
	data, err := protojson.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	out, err := yaml.JSONToYAML(data)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
