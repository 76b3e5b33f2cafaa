package gitsync

import (
	"fmt"
	"net/netip"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/sluice-dev/sluice/api/problem"
)

var (
	urlPath = regexp.MustCompile(`^[A-Za-z0-9._~/+@%=,-]*$`)
	scpForm = regexp.MustCompile(`^([A-Za-z0-9._-]+@)?[A-Za-z0-9.-]+:[^/0-9]`)
)

// CheckRemote says what is wrong with a Remote, or nil. insecure are hosts that may be asked over plain http
// besides loopback.
func CheckRemote(r Remote, insecure []string) *problem.Problem {
	refuse := func(message, hint string) *problem.Problem {
		return &problem.Problem{Code: "S205", Severity: problem.Error, Field: "spec.url", Message: message, Hint: hint}
	}
	if !strings.Contains(r.URL, "://") && scpForm.MatchString(r.URL) {
		return refuse("the form host:path is not a URL", "use https://host/path")
	}
	u, err := url.Parse(r.URL)
	if err != nil || len(r.URL) > 2048 || u.Host == "" {
		return refuse("not a valid URL", "use https://host/path")
	}
	switch {
	case u.Scheme != "https" && u.Scheme != "http":
		return refuse(fmt.Sprintf("scheme %q is not supported", u.Scheme), "use https")
	case u.User != nil:
		return refuse("credentials in the URL", "put them in the Secret of spec.secretRef")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.Contains(r.URL, "#"):
		return refuse("query or fragment in the URL", "remove it")
	case !urlPath.MatchString(u.EscapedPath()) || slices.Contains(strings.Split(u.Path, "/"), ".."):
		return refuse("the path of the URL has characters that are not allowed", "use letters, digits and ._~/+@%=,-")
	}
	local := Loopback(u.Hostname())
	if u.Scheme == "http" && !local && !slices.Contains(insecure, u.Hostname()) {
		return refuse("plain http to "+u.Hostname(), "use https")
	}
	if u.Scheme == "http" && !local && !r.Secret.IsZero() {
		return refuse("credentials over plain http", "use https")
	}
	return nil
}

// Loopback reports whether host is this machine by name or address.
func Loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}

// SharedURL gives the form of a URL by which remotes are known to be the same: scheme and host in lower case, without
// default port and a trailing slash or ".git".
func SharedURL(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return raw
	}
	host, scheme := strings.ToLower(u.Host), strings.ToLower(u.Scheme)
	if port := u.Port(); (scheme == "https" && port == "443") || (scheme == "http" && port == "80") {
		host = strings.TrimSuffix(host, ":"+port)
	}
	return scheme + "://" + host + strings.TrimSuffix(path.Clean("/"+u.Path), ".git")
}

// ReadSecret makes credentials from the keys of a Secret. The error names keys, never values.
func ReadSecret(data map[string][]byte) (Secret, error) {
	s := Secret{Username: string(data["username"]), Password: string(data["password"]), BearerToken: strings.TrimSpace(string(data["bearerToken"])), CA: string(data["ca.crt"])}
	switch {
	case s.IsZero():
		return Secret{}, Fail(SecretInvalid, fmt.Errorf("none of the keys username with password, bearerToken, ca.crt is set"))
	case s.BearerToken != "" && (s.Username != "" || s.Password != ""):
		return Secret{}, Fail(SecretInvalid, fmt.Errorf("both bearerToken and username or password are set: keep one kind"))
	case (s.Username == "") != (s.Password == ""):
		return Secret{}, Fail(SecretInvalid, fmt.Errorf("username and password must both be set"))
	}
	return s, nil
}
