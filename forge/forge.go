package forge

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// Provider is a forge whose API is known.
type Provider string

// The providers. Gitea stands for Forgejo too.
const (
	GitHub Provider = "GitHub"
	GitLab Provider = "GitLab"
	Gitea  Provider = "Gitea"
)

// Repository is where a repository is found in a forge's API.
type Repository struct {
	Provider Provider
	API      string // what stands before /repos or /projects, without a slash at its end
	Path     string // owner/name; in GitLab with all groups
}

// Request is one to send, as JSON. Header holds the credential.
type Request struct {
	Method, URL string
	Header      map[string]string
	Body        []byte
}

// Of finds a repository by the URL that Git uses. Without a provider the host must be github.com or gitlab.com; without an
// API it is the provider's at that host.
func Of(remote string, provider Provider, api string) (Repository, error) {
	u, err := url.Parse(remote)
	if err != nil || u.Hostname() == "" {
		return Repository{}, errors.New("the repository's URL cannot be read")
	}
	host := strings.ToLower(u.Hostname())
	if provider == "" {
		switch host {
		case "github.com":
			provider = GitHub
		case "gitlab.com":
			provider = GitLab
		default:
			return Repository{}, fmt.Errorf("it is not known which forge %s is: set provider to GitHub, GitLab or Gitea", host)
		}
	}
	r := Repository{Provider: provider, Path: strings.Trim(strings.TrimSuffix(strings.TrimSuffix(u.Path, "/"), ".git"), "/")}
	parts := strings.Split(r.Path, "/")
	if len(parts) < 2 {
		return Repository{}, fmt.Errorf("the path of the repository's URL, %q, has no owner and name", u.Path)
	}
	if provider != GitLab { // there may be a prefix, of a forge below a path
		r.Path = strings.Join(parts[len(parts)-2:], "/")
	}
	if u.Scheme == "http" || u.Scheme == "https" {
		host = strings.ToLower(u.Host)
	}
	r.API, err = apiOf(provider, host, strings.TrimSuffix(api, "/"))
	return r, err
}

// apiOf completes the address of the API.
func apiOf(provider Provider, host, api string) (string, error) {
	version := map[Provider]string{GitHub: "", GitLab: "/api/v4", Gitea: "/api/v1"}
	suffix, known := version[provider]
	if !known {
		return "", fmt.Errorf("%q is no forge that is known", provider)
	}
	switch {
	case api != "":
		return strings.TrimSuffix(api, suffix) + suffix, nil
	case provider == GitHub && host == "github.com":
		return "https://api.github.com", nil
	case provider == GitHub:
		return "https://" + host + "/api/v3", nil
	}
	return "https://" + host + suffix, nil
}

// credential gives the headers of a request.
func (r Repository) credential(token string) map[string]string {
	h := map[string]string{"Content-Type": "application/json", "Accept": "application/json", "User-Agent": "sluice"}
	switch r.Provider {
	case GitHub:
		h["Authorization"], h["Accept"], h["X-GitHub-Api-Version"] = "Bearer "+token, "application/vnd.github+json", "2022-11-28"
	case GitLab:
		h["PRIVATE-TOKEN"] = token
	case Gitea:
		h["Authorization"] = "token " + token
	}
	return h
}

// base is what the repository's own resources stand below.
func (r Repository) base() string {
	if r.Provider == GitLab {
		return r.API + "/projects/" + url.PathEscape(r.Path)
	}
	owner, name, _ := strings.Cut(r.Path, "/")
	return r.API + "/repos/" + url.PathEscape(owner) + "/" + url.PathEscape(name)
}
