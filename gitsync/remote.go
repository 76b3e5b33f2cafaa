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
	sshUser = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]*$`)
	scpForm = regexp.MustCompile(`^([A-Za-z0-9._-]+@)?[A-Za-z0-9.-]+:[^/0-9]`)
)

// CheckRemote says what is wrong with a Remote, or nil. insecure are hosts that may be asked over plain http
// besides loopback.
func CheckRemote(r Remote, insecure []string) *problem.Problem {
	refuse := func(message, hint string) *problem.Problem {
		return &problem.Problem{Code: "S205", Severity: problem.Error, Field: "spec.url", Message: message, Hint: hint}
	}
	if !strings.Contains(r.URL, "://") && scpForm.MatchString(r.URL) {
		host, rest, _ := strings.Cut(r.URL, ":")
		return refuse("the form host:path is not a URL", "use ssh://"+host+"/"+strings.TrimPrefix(rest, "/"))
	}
	u, err := url.Parse(r.URL)
	if err != nil || len(r.URL) > 2048 || u.Hostname() == "" {
		return refuse("not a valid URL", "use https://host/path or ssh://host/path")
	}
	switch {
	case u.Scheme != "https" && u.Scheme != "http" && u.Scheme != "ssh":
		return refuse(fmt.Sprintf("scheme %q is not supported", u.Scheme), "use https or ssh")
	case u.User != nil && !isSSHUser(u):
		return refuse("credentials in the URL", "put them in the Secret of spec.secretRef")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.Contains(r.URL, "#"):
		return refuse("query or fragment in the URL", "remove it")
	case !urlPath.MatchString(u.EscapedPath()) || slices.Contains(strings.Split(u.Path, "/"), ".."):
		return refuse("the path of the URL has characters that are not allowed", "use letters, digits and ._~/+@%=,-")
	}
	if u.Scheme == "ssh" {
		return checkSSH(r, u, refuse)
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

// isSSHUser reports whether the user of a URL is an account and nothing secret.
func isSSHUser(u *url.URL) bool {
	_, password := u.User.Password()
	return u.Scheme == "ssh" && !password && sshUser.MatchString(u.User.Username())
}

// checkSSH looks at what a shell at the other end would see: the path stands in quotes there.
func checkSSH(r Remote, u *url.URL, refuse func(message, hint string) *problem.Problem) *problem.Problem {
	switch {
	case !urlPath.MatchString(u.Path) || strings.Trim(u.Path, "/") == "":
		return refuse("the path of the URL is empty or has characters that are not allowed", "use letters, digits and ._~/+@=,-")
	case r.Secret.Identity == "" || r.Secret.KnownHosts == "":
		return &problem.Problem{Code: "S205", Severity: problem.Error, Field: "spec.secretRef", Message: "ssh needs a private key and host keys",
			Hint: "name a Secret with the keys identity and known_hosts"}
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
// default port and user and without a trailing slash or ".git".
func SharedURL(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return raw
	}
	host, scheme := strings.ToLower(u.Host), strings.ToLower(u.Scheme)
	if port := u.Port(); (scheme == "https" && port == "443") || (scheme == "http" && port == "80") || (scheme == "ssh" && port == "22") {
		host = strings.TrimSuffix(host, ":"+port)
	}
	if name := u.User.Username(); scheme == "ssh" && name != "" && name != "git" {
		host = name + "@" + host
	}
	return scheme + "://" + host + strings.TrimSuffix(path.Clean("/"+u.Path), ".git")
}
