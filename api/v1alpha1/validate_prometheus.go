package v1alpha1

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/sluice-dev/sluice/api/problem"
)

// prometheus looks at a reference to a Prometheus; nil names the default one.
func (f *findings) prometheus(field string, r *PrometheusReference) {
	switch {
	case r == nil:
		return
	case (r.Name == "") == (r.URL == ""):
		f.bound(field, "set exactly one of name and url", "name is %q and url is %q", r.Name, bare(r.URL))
		return
	case r.Name != "":
		f.name(field+".name", r.Name, label())
		f.text(field+".name", r.Name, 1, 63)
		if r.SecretRef != nil || len(r.Headers) > 0 || r.ServerName != "" || r.Dialect != "" || len(r.TargetLabels) > 0 {
			f.bound(field, "drop them, or write url instead of name", "secretRef, headers, serverName, dialect and targetLabels belong to a url")
		}
		return
	}
	u, err := url.Parse(r.URL)
	switch {
	case err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http"):
		f.bound(field+".url", "write https://host/prefix", "not an http(s) URL")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.ContainsAny(r.URL, "?#"):
		f.bound(field+".url", "put credentials into a Secret and name it in secretRef", "the URL has a user, a query or a fragment")
	case u.Scheme == "http" && r.ServerName != "":
		f.bound(field+".serverName", "use https, or drop it", "there is no certificate over plain http")
	}
	f.text(field+".url", r.URL, 1, 2048)
	f.text(field+".serverName", r.ServerName, 0, 253)
	if r.SecretRef != nil {
		f.text(field+".secretRef.name", r.SecretRef.Name, 1, 253)
	}
	one(f, field+".dialect", r.Dialect, "", DialectEnvoy, DialectIstio)
	f.headers(field, r)
	if len(r.TargetLabels) > 8 {
		f.bound(field+".targetLabels", "name 8 at most", "%d labels", len(r.TargetLabels))
	}
	for i, name := range r.TargetLabels {
		f.name(fmt.Sprintf("%s.targetLabels[%d]", field, i), name, variable())
	}
}

// headers looks at those of a reference.
func (f *findings) headers(field string, r *PrometheusReference) {
	if len(r.Headers) > 16 {
		f.bound(field+".headers", "send 16 at most", "%d headers", len(r.Headers))
	}
	seen := map[string]bool{}
	for i, h := range r.Headers {
		at := fmt.Sprintf("%s.headers[%d]", field, i)
		f.name(at+".name", h.Name, regexp.MustCompile(`^[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?$`))
		if name := strings.ToLower(h.Name); seen[name] {
			f.bound(at+".name", "send each header once", "%q stands twice", h.Name)
		} else {
			seen[name] = true
		}
		switch {
		case (h.Value == "") == (h.SecretKey == ""):
			f.bound(at, "set exactly one of value and secretKey", "a header has one value")
		case h.SecretKey != "" && r.SecretRef == nil:
			f.bound(at+".secretKey", "name the Secret in secretRef", "there is no Secret to take it from")
		case problem.Clean(h.Value, len(h.Value)) != h.Value:
			f.bound(at+".value", "", "%q has control characters", h.Value)
		}
	}
}

// bare is a URL without what may be a password.
func bare(text string) string {
	if u, err := url.Parse(text); err == nil {
		return u.Scheme + "://" + u.Host
	}
	return ""
}

// Validate gives what is wrong with a reference that stands at a field.
func (r *PrometheusReference) Validate(field string) []problem.Problem {
	f := &findings{}
	f.prometheus(field, r)
	return f.list
}
