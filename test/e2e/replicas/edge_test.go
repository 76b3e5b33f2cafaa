package replicas

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/test/load"
	"github.com/sluice-dev/sluice/test/poll"
	"github.com/sluice-dev/sluice/test/proxy"
	"github.com/sluice-dev/sluice/xds/bootstrap"
	"github.com/sluice-dev/sluice/xds/ir"
)

// edge is an Envoy as one of the site's gateways, with users.
type edge struct {
	t     *testing.T
	site  *site
	node  string
	port  int
	file  []byte
	envoy *proxy.Proxy
	users *load.Generator
}

// edge starts gateway i, from 0, as a client of a discovery service.
func (s *site) edge(i int, xds string, files bootstrap.TLS, edit ...func([]byte) []byte) *edge {
	s.t.Helper()
	e := &edge{t: s.t, site: s, node: fmt.Sprintf("edge-%d", i+1), port: s.gateways[i]}
	var err error
	e.file, err = bootstrap.JSON(bootstrap.Options{
		Kind: ir.KindGateway, ID: e.node, Namespace: s.shop, Labels: map[string]string{"istio": fmt.Sprintf("%s-%d", s.shop, i+1)},
		XDS: xds, TLS: files, Admin: "127.0.0.1:0",
	})
	if err != nil {
		s.t.Fatal(err)
	}
	for _, change := range edit {
		e.file = change(e.file)
	}
	e.start()
	return e
}

// strict makes an Envoy take no regular expression of more than a hundred instructions, as one does that others configure.
func strict(file []byte) []byte {
	return regexp.MustCompile(`("re2\.max_program_size\.error_level":\s*)\d+`).ReplaceAll(file, []byte("${1}100"))
}

func (e *edge) start() {
	e.t.Helper()
	e.envoy = proxy.Start(e.t, e.file)
	e.envoy.WaitLive(e.t)
}

// visit lets users come through this gateway until the end of the test. They are patient: late is not failed.
func (e *edge) visit(rps float64) {
	e.t.Helper()
	var err error
	e.users, err = load.Start(e.t.Context(), load.Config{URL: fmt.Sprintf("http://127.0.0.1:%d/", e.port), Host: e.site.host(), RPS: rps, Seed: uint64(e.port), Timeout: time.Minute})
	if err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(e.users.Stop)
}

// failed counts the requests since an instant that were not answered by a version.
func (e *edge) failed(since time.Time) int {
	return e.users.Record().Tally(since, time.Time{}).FailedBut("nobody")
}

// signal stops or continues Envoy.
func (e *edge) signal(sig syscall.Signal) {
	e.t.Helper()
	if err := syscall.Kill(e.envoy.Pid(), sig); err != nil {
		e.t.Fatal(err)
	}
}

// weight is the canary's share of the service's routes that Envoy serves, in percent.
func (e *edge) weight() (int, error) {
	body, err := e.envoy.Get("/config_dump?resource=dynamic_route_configs")
	if err != nil {
		return 0, err
	}
	var dump struct {
		Configs []struct {
			Table struct {
				Hosts []struct {
					Domains []string `json:"domains"`
					Routes  []struct {
						Route struct {
							Cluster  string
							Weighted struct {
								Clusters []struct {
									Name   string
									Weight int
								}
							} `json:"weighted_clusters"`
						}
					}
				} `json:"virtual_hosts"`
			} `json:"route_config"`
		}
	}
	if err := json.Unmarshal(body, &dump); err != nil {
		return 0, err
	}
	canary, total := 0, 0
	for _, c := range dump.Configs {
		for _, h := range c.Table.Hosts {
			if !slices.ContainsFunc(h.Domains, func(d string) bool { return strings.HasPrefix(d, e.site.host()) }) {
				continue
			}
			for _, r := range h.Routes {
				for _, w := range r.Route.Weighted.Clusters {
					total += w.Weight
					if strings.Contains(w.Name, "|v2|") {
						canary += w.Weight
					}
				}
				if r.Route.Cluster != "" {
					total++
				}
			}
		}
	}
	if total == 0 {
		return 0, errors.New("no route of the service is served")
	}
	return canary * 100 / total, nil
}

// serves waits until Envoy serves a weight, and says when it was seen.
func (e *edge) serves(want int) time.Time {
	e.t.Helper()
	err := poll.Until(patience, func() error {
		got, err := e.weight()
		if err == nil && got != want {
			err = fmt.Errorf("%s serves weight %d, want %d", e.node, got, want)
		}
		return err
	})
	if err != nil {
		e.t.Fatal(err)
	}
	return time.Now()
}

// counter sums Envoy's statistics whose names match.
func (e *edge) counter(pattern string) int {
	e.t.Helper()
	sum := 0
	for _, n := range e.counters(pattern) {
		sum += n
	}
	return sum
}

// counters are Envoy's statistics whose names match.
func (e *edge) counters(pattern string) map[string]int {
	e.t.Helper()
	body, err := e.envoy.Get("/stats?format=json&filter=" + url.QueryEscape(pattern))
	if err != nil {
		e.t.Fatal(err)
	}
	var list struct {
		Stats []struct {
			Name  string
			Value int
		}
	}
	if err := json.Unmarshal(body, &list); err != nil {
		e.t.Fatal(err)
	}
	out := map[string]int{}
	for _, s := range list.Stats {
		if s.Name != "" { // a histogram has none
			out[s.Name] = s.Value
		}
	}
	return out
}

// tables is how often Envoy has been given a table.
func (e *edge) tables() int { return e.counter(`\.rds\..*update_(success|rejected)$`) }

// updates are how often Envoy has been given a configuration, by statistic. Its own way to the discovery service is none.
func (e *edge) updates() map[string]int {
	out := e.counters(`update_(success|rejected)$`)
	maps.DeleteFunc(out, func(name string, _ int) bool { return strings.HasPrefix(name, "cluster.sluice-xds") })
	return out
}

// digest is a hash of all that Envoy runs, but for its bootstrap and the instants at which things came.
func (e *edge) digest() string {
	e.t.Helper()
	var dump struct {
		Configs []map[string]any
	}
	if err := json.Unmarshal(e.envoy.ConfigDump(e.t), &dump); err != nil {
		e.t.Fatal(err)
	}
	sum := sha256.New()
	for _, c := range dump.Configs {
		if kind, _ := c["@type"].(string); strings.HasSuffix(kind, ".BootstrapConfigDump") {
			continue
		}
		text, err := json.Marshal(timeless(c)) // with sorted keys
		if err != nil {
			e.t.Fatal(err)
		}
		sum.Write(text)
	}
	return hex.EncodeToString(sum.Sum(nil)[:8])
}

// timeless is a value of JSON without instants.
func timeless(v any) any {
	switch v := v.(type) {
	case map[string]any:
		delete(v, "last_updated")
		for name, one := range v {
			v[name] = timeless(one)
		}
	case []any:
		for i, one := range v {
			v[i] = timeless(one)
		}
	}
	return v
}
