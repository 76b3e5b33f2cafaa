package app

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	utiljson "sigs.k8s.io/json"

	"github.com/sluice-dev/sluice/analysis"
	"github.com/sluice-dev/sluice/analysis/prom"
	"github.com/sluice-dev/sluice/api/document"
	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/egress"
)

// Prometheus says which servers can be read by name.
type Prometheus struct {
	URL    string // of the one named "default"; empty: the file's, else there is none
	Config string // file of named servers; empty: none
}

// servers are all that can be asked, for the rollout controller.
type servers struct{ pool *prom.Servers }

// newServers knows the servers of the Config.
func newServers(c Config, guard *egress.Guard, reader client.Reader) (servers, error) {
	named, err := c.Prometheus.named()
	if err != nil {
		return servers{}, err
	}
	pool, err := prom.NewServers(prom.ServersConfig{
		Named: named, Namespace: c.Namespace, Secrets: secretsOf(reader), Guard: guard, Now: Now,
	})
	return servers{pool}, err
}

// Querier implements controller.Servers.
func (s servers) Querier(namespace string, ref *v1alpha1.PrometheusReference) (analysis.Querier, error) {
	if ref == nil {
		return s.pool.Querier(namespace, prom.Reference{})
	}
	return s.pool.Querier(namespace, referenceOf(*ref))
}

func referenceOf(r v1alpha1.PrometheusReference) prom.Reference {
	out := prom.Reference{
		Name: r.Name, URL: r.URL, ServerName: r.ServerName, Dialect: prom.Dialect(r.Dialect), TargetLabels: r.TargetLabels,
	}
	if r.SecretRef != nil {
		out.Secret = r.SecretRef.Name
	}
	for _, h := range r.Headers {
		out.Headers = append(out.Headers, prom.HeaderReference{Name: h.Name, Value: h.Value, SecretKey: h.SecretKey})
	}
	return out
}

// secretsOf reads Secrets one by one. What such an error says holds nothing of their content.
func secretsOf(reader client.Reader) prom.Secrets {
	return func(ctx context.Context, namespace, name string) (map[string][]byte, error) {
		secret := &corev1.Secret{}
		switch err := reader.Get(ctx, types.NamespacedName{Namespace: namespace, Name: name}, secret); {
		case apierrors.IsNotFound(err):
			return nil, errors.New("there is no such Secret")
		case apierrors.IsForbidden(err):
			return nil, errors.New("reading it is forbidden to Sluice")
		case err != nil:
			return nil, errors.New("the API server does not give it")
		}
		return secret.Data, nil
	}
}

// namedServer is an entry of the file: a reference to a server with a URL, whose Secret is one of Sluice's own namespace.
type namedServer struct {
	v1alpha1.PrometheusReference `json:",inline"`
	Timeout                      *v1alpha1.Duration `json:"timeout,omitempty"` // of a query; 5s, at most 30s
}

// named are the servers of the flag and of the file.
func (p Prometheus) named() (map[string]prom.Reference, error) {
	out := map[string]prom.Reference{}
	if p.Config != "" {
		content, err := os.ReadFile(p.Config)
		if err != nil {
			return nil, fmt.Errorf("reading the Prometheus servers: %w", err)
		}
		file, err := parseServers(p.Config, content)
		if err != nil {
			return nil, fmt.Errorf("reading the Prometheus servers: %w", err)
		}
		out = file
	}
	if p.URL == "" {
		return out, nil
	}
	if _, twice := out[prom.Default]; twice {
		return nil, fmt.Errorf("the Prometheus %s is given by a URL and in %s: drop one of them", prom.Default, p.Config)
	}
	ref := prom.Reference{URL: p.URL}
	if err := ref.Check(); err != nil {
		return nil, err
	}
	out[prom.Default] = ref
	return out, nil
}

// parseServers reads the file. An error begins with file:line:column; all that is wrong is said, a line each.
func parseServers(name string, content []byte) (map[string]prom.Reference, error) {
	docs, found := document.Parse(content, document.Limits{})
	if len(found) == 0 && len(docs) != 1 {
		found = append(found, problem.Problem{Line: 1, Column: 1, Message: fmt.Sprintf("%d documents: want one, such as servers: {default: {url: ...}}", len(docs))})
	}
	if len(found) > 0 {
		return nil, placed(name, found)
	}
	value, bad := document.Value(docs[0])
	if bad != nil {
		return nil, placed(name, []problem.Problem{*bad})
	}
	file := struct {
		Servers map[string]any `json:"servers"`
	}{}
	found = append(found, strict(value, &file, "")...)
	out := map[string]prom.Reference{}
	for server, content := range file.Servers {
		entry, field := namedServer{}, "servers."+server
		wrong := strict(content, &entry, field)
		if len(wrong) == 0 {
			out[server], wrong = entry.reference(field)
		}
		found = append(found, wrong...)
	}
	for i, p := range found {
		if p.Line == 0 {
			found[i].Line, found[i].Column = document.Position(docs[0], p.Field)
		}
	}
	if len(found) > 0 {
		return nil, placed(name, found)
	}
	return out, nil
}

// strict decodes what stands at a field; unknown keys and other types are Problems.
func strict(content any, into any, field string) []problem.Problem {
	text, err := json.Marshal(content)
	if err != nil {
		return []problem.Problem{{Field: field, Message: err.Error()}}
	}
	under := func(path string) string { return strings.TrimPrefix(field+"."+path, ".") }
	unknown, err := utiljson.UnmarshalStrict(text, into, utiljson.DisallowUnknownFields)
	if mistyped, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		path := strings.TrimPrefix(mistyped.Field, "PrometheusReference.") // embedded: no field of the file
		return []problem.Problem{{Field: under(path), Message: fmt.Sprintf("%s is not of the type wanted", mistyped.Value), Hint: "write a value of type " + mistyped.Type.String()}}
	}
	if err != nil {
		return []problem.Problem{{Field: field, Message: err.Error()}}
	}
	var found []problem.Problem
	for _, err := range unknown {
		if at, ok := errors.AsType[utiljson.FieldError](err); ok {
			found = append(found, problem.Problem{Field: under(at.FieldPath()), Message: "unknown field"})
		}
	}
	return found
}

// reference is an entry as the reader takes it, with what is wrong with it.
func (s namedServer) reference(field string) (prom.Reference, []problem.Problem) {
	ref := referenceOf(s.PrometheusReference)
	if s.Timeout != nil {
		ref.Timeout = s.Timeout.Duration
		if ref.Timeout < time.Second || ref.Timeout > prom.MaxTimeout {
			return ref, []problem.Problem{{Field: field + ".timeout", Message: fmt.Sprintf("%v is out of bounds", s.Timeout), Hint: fmt.Sprintf("set 1s to %v", prom.MaxTimeout)}}
		}
	}
	if s.Name != "" {
		return ref, []problem.Problem{{Field: field + ".name", Message: "an entry of the file has a url", Hint: "write the url of the server"}}
	}
	if found := s.Validate(field); len(found) > 0 {
		return ref, found
	}
	if err := ref.Check(); err != nil {
		return ref, []problem.Problem{{Field: field, Message: err.Error()}}
	}
	return ref, nil
}

// placed is all that is wrong with a file, in the order of its lines.
func placed(name string, found []problem.Problem) error {
	slices.SortStableFunc(found, func(a, b problem.Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Message, b.Message))
	})
	lines := make([]string, len(found))
	for i, p := range found {
		lines[i] = fmt.Sprintf("%s:%d:%d: %s", name, p.Line, max(p.Column, 1), p.Message)
		if p.Field != "" {
			lines[i] = fmt.Sprintf("%s:%d:%d: %s: %s", name, p.Line, max(p.Column, 1), p.Field, p.Message)
		}
		if p.Hint != "" {
			lines[i] += "; " + p.Hint
		}
	}
	return errors.New(strings.Join(lines, "\n"))
}

// Open is the server that a reference of a Rollout means, for a person's own tools: by name, or one of its own. nil: the
// one named default.
func (p Prometheus) Open(ref *v1alpha1.PrometheusReference) (*prom.Server, error) {
	named, err := p.named()
	if err != nil {
		return nil, err
	}
	of := prom.Reference{Name: prom.Default}
	if ref != nil {
		of = referenceOf(*ref)
	}
	if of.URL == "" {
		name := cmp.Or(of.Name, prom.Default)
		known, ok := named[name]
		if !ok {
			return nil, fmt.Errorf("no Prometheus named %s is known here", name)
		}
		of = known
	}
	return of.Open()
}
