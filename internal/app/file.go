package app

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/sluice-dev/sluice/api/document"
	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// What a configuration file says it is.
const (
	FileVersion = "config.sluice.dev/v1alpha1"
	FileKind    = "Controller"
)

// fields are the fields of a configuration file and where each value goes: *string, *bool, *Switch, *int, *int64 (an amount such as
// 64Mi), *time.Duration or *[]string. A new setting is a line here and one in docs/configuration.md.
func (c *Config) fields() map[string]any {
	all := map[string]any{
		"namespace": &c.Namespace, "namespaces": &c.Namespaces, "replica": &c.Replica, "egress.allowLoopback": &c.Egress.AllowLoopback, "egress.deny": &c.Egress.Deny, "egress.allow": &c.Egress.Allow,
		"egress.proxy": &c.Egress.Proxy,
		"links.page":   &c.Links.Page, "links.grafana": &c.Links.Grafana, "links.kiali": &c.Links.Kiali, "links.trace": &c.Links.Trace,
		"listen.xds": &c.Listen.XDS, "listen.secureXDS": &c.Listen.SecureXDS, "listen.hooks": &c.Listen.Hooks,
		"listen.hooksCertificate": &c.Listen.HooksCert, "listen.hooksKey": &c.Listen.HooksKey,
		"listen.metrics": &c.Listen.Metrics, "listen.health": &c.Listen.Health, "listen.decisions": &c.Listen.Decisions,
		"proxies.certificate": &c.Proxies.Cert, "proxies.key": &c.Proxies.Key, "proxies.ca": &c.Proxies.CA,
		"proxies.trustDomain": &c.Proxies.TrustDomain, "proxies.identities": &c.Proxies.Identities,
		"proxies.statusReaders": &c.Proxies.StatusReaders, "proxies.loadReportInterval": &c.Proxies.LoadInterval,
		"proxies.ignoreLoadReports": &c.Proxies.IgnoreLoads, "proxies.drain.delay": &c.Proxies.Drain.Delay, "proxies.drain.time": &c.Proxies.Drain.Time,
		"proxies.issue.secret": &c.Proxies.Issue.Secret, "proxies.issue.names": &c.Proxies.Issue.Names, "proxies.issue.gatewaySecret": &c.Proxies.Issue.Gateway,
		"proxies.issue.gatewayAccount": &c.Proxies.Issue.Account, "proxies.issue.proxySecrets": &c.Proxies.Issue.Proxies, "proxies.issue.life": &c.Proxies.Issue.Life,
		"mesh.domainSuffix": &c.Mesh.DomainSuffix, "mesh.rootNamespace": &c.Mesh.RootNamespace, "mesh.registryDir": &c.Mesh.RegistryDir,
		"prometheus.url": &c.Prometheus.URL, "prometheus.servers": &c.Prometheus.Config,
		"leader.election": &c.Leader.Election, "leader.leaseDuration": &c.Leader.Lease, "leader.actionTTL": &c.Leader.ActionTTL,
		"metrics.perRollout": &c.Telemetry.PerRollout, "metrics.open": &c.Telemetry.Open, "traces.endpoint": &c.Telemetry.Traces.Endpoint,
		"traces.headersFile": &c.Telemetry.Traces.HeadersFile, "traces.environment": &c.Telemetry.Traces.Environment,
	}
	maps.Copy(all, c.Git.fields())
	return all
}

// fields are those below git.
func (g *Git) fields() map[string]any {
	fetch, build := &g.Fetch, &g.Render
	return map[string]any{
		"git.cacheDir": &g.CacheDir, "git.insecureHosts": &g.InsecureHosts, "git.defaultServiceAccount": &g.ServiceAccount, "git.resync": &g.Resync,
		"git.kinds": &g.Kinds, "git.crossNamespace": &g.CrossNamespace, "git.clusterName": &g.ClusterName,

		"git.limits.listBytes": &fetch.ListBytes, "git.limits.packBytes": &fetch.PackBytes, "git.limits.objects": &fetch.Objects,
		"git.limits.objectBytes": &fetch.ObjectBytes, "git.limits.inflatedBytes": &fetch.InflatedBytes, "git.limits.deltaDepth": &fetch.DeltaDepth,
		"git.limits.treeEntries": &fetch.TreeEntries, "git.limits.pathDepth": &fetch.PathDepth, "git.limits.pathBytes": &fetch.PathBytes,
		"git.limits.repositoryBytes": &fetch.RepositoryBytes, "git.limits.cacheBytes": &fetch.CacheBytes,

		"git.limits.files": &build.Files, "git.limits.fileBytes": &build.FileBytes, "git.limits.readBytes": &build.ReadBytes,
		"git.limits.yamlNodes": &build.Nodes, "git.limits.yamlDepth": &build.Depth, "git.limits.resources": &build.Resources,
		"git.limits.kustomizeResources": &build.KustomizeResources, "git.limits.kustomizations": &build.Kustomizations,
		"git.limits.kustomizeDepth": &build.KustomizeDepth, "git.limits.buildTime": &build.BuildTime,
	}
}

// Fields gives the fields that a configuration file may have, sorted.
func Fields() []string { return slices.Sorted(maps.Keys((&Config{}).fields())) }

// Read takes over what a configuration file says; what it leaves out stays. An error begins with file:line:column; all
// that is wrong is said, a line each, and then nothing is taken over.
func (c *Config) Read(name string, content []byte) error {
	docs, found := document.Parse(content, document.Limits{})
	if len(found) == 0 && len(docs) != 1 {
		found = append(found, problem.Problem{Line: 1, Column: 1, Message: fmt.Sprintf("%d documents: want one of apiVersion %s, kind %s", len(docs), FileVersion, FileKind)})
	}
	if len(found) > 0 {
		return placed(name, found)
	}
	value, bad := document.Value(docs[0])
	if bad != nil {
		return placed(name, []problem.Problem{*bad})
	}
	next := *c
	r := reader{known: next.fields()}
	version, kind := must(FileVersion), must(FileKind)
	r.known["apiVersion"], r.known["kind"] = &version, &kind
	r.value("", value)
	for _, field := range []string{"apiVersion", "kind"} {
		if !r.seen[field] {
			r.refuse(field, "is missing", "write apiVersion: "+FileVersion+" and kind: "+FileKind)
		}
	}
	for i, p := range r.found {
		r.found[i].Line, r.found[i].Column = document.Position(docs[0], p.Field)
	}
	if len(r.found) > 0 {
		return placed(name, r.found)
	}
	*c = next
	return nil
}

// must is a field with one possible value.
type must string

// reader sets known fields from a document.
type reader struct {
	known map[string]any
	seen  map[string]bool
	found []problem.Problem
}

func (r *reader) refuse(field, message, hint string) {
	r.found = append(r.found, problem.Problem{Field: field, Message: message, Hint: hint})
}

// value reads what stands at a field: a mapping goes down unless the field itself is known.
func (r *reader) value(field string, v any) {
	if to, ok := r.known[field]; ok {
		if r.seen == nil {
			r.seen = map[string]bool{}
		}
		r.seen[field] = true
		if wanted, wrong := set(to, v); wrong {
			r.refuse(field, "the value is not possible here", "write "+wanted)
		}
		return
	}
	inside, isMapping := v.(map[string]any)
	switch {
	case !r.isSection(field):
		r.refuse(field, "unknown field", r.nearest(field))
	case v == nil: // an empty section
	case !isMapping:
		r.refuse(field, "the value is not possible here", "write fields below it")
	default:
		for _, key := range slices.Sorted(maps.Keys(inside)) {
			r.value(strings.TrimPrefix(field+"."+key, "."), inside[key])
		}
	}
}

// isSection reports whether known fields stand below a field.
func (r *reader) isSection(field string) bool {
	for known := range r.known {
		if field == "" || strings.HasPrefix(known, field+".") {
			return true
		}
	}
	return false
}

// nearest names the known field that begins like one that is not known the longest.
func (r *reader) nearest(field string) string {
	best := slices.MaxFunc(slices.Sorted(maps.Keys(r.known)), func(a, b string) int { return cmp.Compare(alike(a, field), alike(b, field)) })
	if 2*alike(best, field) <= len(field) {
		return "docs/configuration.md lists the fields"
	}
	return "did you mean " + best + "?"
}

// alike counts what two names have in common at their beginning and end.
func alike(a, b string) int {
	n := 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	rest := 0
	for rest < min(len(a), len(b))-n && a[len(a)-1-rest] == b[len(b)-1-rest] {
		rest++
	}
	return n + rest
}

// set stores a value of a document; wrong says that it is none of what is wanted.
func set(to, v any) (wanted string, wrong bool) {
	text, isText := v.(string)
	switch to := to.(type) {
	case *must:
		return string(*to), text != string(*to)
	case *string:
		*to = text
		return "a text", !isText
	case *bool:
		yes, ok := v.(bool)
		*to = yes
		return "true or false", !ok
	case *Switch:
		yes, ok := v.(bool)
		to.off = !yes
		return "true or false", !ok
	case *[]string:
		return "a list of texts", !setList(to, v)
	case *time.Duration:
		d, err := v1alpha1.ParseDuration(text)
		*to = d.Duration
		return "a length of time above 0, such as 30s or 10m", err != nil || d.Duration <= 0
	case *int:
		n, ok := amount(v)
		*to = int(n)
		return "a whole number from 1 to 1000000000", !ok || n > 1_000_000_000
	case *int64:
		n, ok := amount(v)
		*to = n
		return "a whole number above 0, such as 1000000 or 64Mi", !ok
	}
	return fmt.Sprintf("nothing: %T cannot be set", to), true
}

func setList(to *[]string, v any) bool {
	list, ok := v.([]any)
	out := []string{}
	for _, item := range list {
		text, isText := item.(string)
		ok = ok && isText && text != ""
		out = append(out, text)
	}
	*to = out
	return ok
}

// amount reads a whole number above 0, with or without a unit of Kubernetes.
func amount(v any) (int64, bool) {
	switch v := v.(type) {
	case int64:
		return v, v > 0
	case string:
		if _, err := strconv.ParseInt(v, 10, 64); err == nil {
			return 0, false // a number in quotes is a text
		}
		q, err := resource.ParseQuantity(v)
		n, exact := q.AsInt64()
		return n, err == nil && exact && n > 0
	}
	return 0, false
}
