package v1alpha1

import (
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/sluice-dev/sluice/api/problem"
)

// repository says what is wrong with the URL of a repository.
func (f *findings) repository(text string) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Hostname() == "" || !slices.Contains([]string{"https", "http", "ssh"}, u.Scheme):
		f.bound("spec.url", "write https://host/path, or ssh://git@host/path for git@host:path", "not an https or ssh URL")
		return
	case (u.User != nil && !account(u)) || u.RawQuery != "" || u.Fragment != "" || strings.ContainsAny(text, "?#"):
		f.bound("spec.url", "put credentials into a Secret and name it in secretRef", "the URL has a user, a query or a fragment")
	case slices.Contains(strings.Split(u.Path, "/"), "..") || !regexp.MustCompile(`^(/[A-Za-z0-9._~/+@%=,-]*)?$`).MatchString(u.EscapedPath()):
		f.bound("spec.url", "", "the path %q has .. or characters that are not allowed", u.Path)
	case u.Scheme == "ssh" && !regexp.MustCompile(`^/[A-Za-z0-9._~/+@=,-]+$`).MatchString(u.Path):
		f.bound("spec.url", "", "the path %q is empty or has characters that are not allowed", u.Path)
	case len(text) > 2048:
		f.bound("spec.url", "", "%d bytes are more than 2048", len(text))
	}
	if u.Scheme == "http" {
		f.add(CodePlainHTTP, problem.Warning, "spec.url", "the repository is fetched in clear text", "use https")
	}
}

// account reports whether the user of a URL is an account of SSH and nothing secret.
func account(u *url.URL) bool {
	_, password := u.User.Password()
	return u.Scheme == "ssh" && !password && regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]*$`).MatchString(u.User.Username())
}

// ref says what is wrong with what is followed. Whether a range of versions can be read is found where tags are compared.
func (f *findings) ref(r SourceRef) {
	name := regexp.MustCompile(`^[A-Za-z0-9._/+@=,#-]*$`)
	for _, row := range []struct{ field, value, what string }{
		{"branch", r.Branch, "a branch name"}, {"tag", r.Tag, "a tag name"}, {"tagPrefix", r.TagPrefix, "the beginning of a tag name"}, {"name", r.Name, "the name of a ref"},
	} {
		if !name.MatchString(row.value) || len(row.value) > 255 {
			f.bound("spec.ref."+row.field, "", "%q is not %s", row.value, row.what)
		}
	}
	f.text("spec.ref.semver", r.Semver, 0, 255)
	if r.Name != "" && !strings.HasPrefix(r.Name, "refs/") {
		f.bound("spec.ref.name", "write it in full, as refs/heads/main", "%q does not begin with refs/", r.Name)
	}
	if r.Commit != "" && !regexp.MustCompile(`^[0-9a-f]{40}$`).MatchString(r.Commit) {
		f.bound("spec.ref.commit", "write all of its 40 digits in lower case", "%q is not a commit id", r.Commit)
	}
	kinds := slices.DeleteFunc([]string{r.Branch, r.Tag, r.Semver, r.Commit, r.Name}, func(s string) bool { return s == "" })
	if len(kinds) > 1 {
		f.bound("spec.ref", "keep one of branch, tag, semver, commit and name", "%d of them are set", len(kinds))
	}
	if r.TagPrefix != "" && r.Semver == "" {
		f.bound("spec.ref.tagPrefix", "set semver too", "it needs semver")
	}
}
