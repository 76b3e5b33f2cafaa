package gitsync

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// Remote is a Git repository and what is needed to speak to it. Secrets never appear in its String.
type Remote struct {
	URL    string
	Secret Secret
	Proxy  Proxy
	Scope  string // namespace and names of the Secrets; remotes with a Secret are not shared across scopes
}

// Secret holds credentials of one kind, and what joins any of them: roots and a client certificate. It has no readable
// String. Its zero value stands for nobody.
type Secret struct {
	Username, Password string // basic; with Identity the password is its passphrase
	BearerToken        string
	App                App
	CA                 string // PEM; then the only roots of this remote
	Certificate, Key   string // PEM of the client certificate
	Identity           string // private key for SSH, in the form of OpenSSH or PEM
	KnownHosts         string // host keys for SSH
}

// App is a GitHub App, which gets a token of its own for an hour at a time.
type App struct {
	ID, Key      string // Key is the PEM of its private RSA key
	Installation string // empty: the one that has the repository
	BaseURL      string // of the API; empty: the public one
}

// Proxy is what connections go through. Its zero value means none.
type Proxy struct {
	Address            string // http, https or socks5 URL without user
	Username, Password string
	CA                 string // PEM; then the only roots of an https proxy
}

const hidden = "(secret)"

// String hides the content.
func (s Secret) String() string { return hidden }

// GoString hides the content.
func (s Secret) GoString() string { return hidden }

// String hides the content.
func (a App) String() string { return hidden }

// GoString hides the content.
func (a App) GoString() string { return hidden }

// String hides the content.
func (p Proxy) String() string { return hidden }

// GoString hides the content.
func (p Proxy) GoString() string { return hidden }

// IsZero reports whether there are no credentials and no roots.
func (s Secret) IsZero() bool { return s == Secret{} }

// The keys of Secrets.
const (
	keyUsername     = "username"
	keyPassword     = "password"
	keyBearer       = "bearerToken"
	keyAppID        = "githubAppID"
	keyAppKey       = "githubAppPrivateKey"
	keyInstallation = "githubAppInstallationID"
	keyAppBase      = "githubAppBaseURL"
	keyCA           = "ca.crt"
	keyCertificate  = "tls.crt"
	keyPrivate      = "tls.key"
	keyIdentity     = "identity"
	keyOldIdentity  = "ssh-privatekey"
	keyKnownHosts   = "known_hosts"
	keyAddress      = "address"
)

func invalid(format string, args ...any) error {
	return Fail(SecretInvalid, fmt.Errorf(format, args...))
}

// ReadSecret makes credentials for a URL from the keys of a Secret: which kind they are follows from the URL's scheme
// and the keys. The error names keys, never values.
func ReadSecret(remote string, data map[string][]byte) (Secret, error) {
	if strings.HasPrefix(strings.ToLower(remote), "ssh://") {
		return readIdentity(data)
	}
	text := func(key string) string { return string(data[key]) }
	s := Secret{
		Username: text(keyUsername), Password: text(keyPassword), BearerToken: strings.TrimSpace(text(keyBearer)),
		App: App{ID: strings.TrimSpace(text(keyAppID)), Key: text(keyAppKey), Installation: strings.TrimSpace(text(keyInstallation)), BaseURL: strings.TrimSpace(text(keyAppBase))},
		CA:  text(keyCA), Certificate: text(keyCertificate), Key: text(keyPrivate),
	}
	if unfit := present(data, keyIdentity, keyOldIdentity, keyKnownHosts); len(unfit) > 0 {
		return Secret{}, invalid("%s is for ssh:// only: spec.url is another", strings.Join(unfit, ", "))
	}
	if err := s.checkKinds(data); err != nil {
		return Secret{}, err
	}
	if s.IsZero() {
		return Secret{}, invalid("none of the keys username with password, bearerToken, githubAppID, tls.crt, ca.crt is set")
	}
	return s, nil
}

// checkKinds refuses two kinds at once and halves of one.
func (s Secret) checkKinds(data map[string][]byte) error {
	basic := present(data, keyUsername, keyPassword)
	app := present(data, keyAppID, keyAppKey, keyInstallation, keyAppBase)
	kinds := slices.DeleteFunc([][]string{basic, present(data, keyBearer), app}, func(keys []string) bool { return len(keys) == 0 })
	switch {
	case len(kinds) > 1:
		return invalid("keys of two kinds are set: %s: keep one kind", strings.Join(slices.Concat(kinds...), ", "))
	case (s.Username == "") != (s.Password == ""):
		return invalid("username and password must both be set")
	case len(app) > 0 && (s.App.ID == "" || s.App.Key == ""):
		return invalid("githubAppID and githubAppPrivateKey must both be set")
	case !digits(s.App.ID) || !digits(s.App.Installation):
		return invalid("githubAppID and githubAppInstallationID must be numbers")
	case (s.Certificate == "") != (s.Key == ""):
		return invalid("tls.crt and tls.key must both be set")
	}
	return nil
}

// readIdentity makes credentials for SSH.
func readIdentity(data map[string][]byte) (Secret, error) {
	unfit := present(data, keyBearer, keyAppID, keyAppKey, keyInstallation, keyAppBase, keyCA, keyCertificate, keyPrivate)
	first, second := string(data[keyIdentity]), string(data[keyOldIdentity])
	s := Secret{Identity: first + second, Password: string(data[keyPassword]), KnownHosts: string(data[keyKnownHosts])}
	switch {
	case len(unfit) > 0:
		return Secret{}, invalid("%s does not go with an ssh:// URL", strings.Join(unfit, ", "))
	case first != "" && second != "":
		return Secret{}, invalid("both identity and ssh-privatekey are set: keep one")
	case s.Identity == "":
		return Secret{}, invalid("identity, the private key for ssh://, is not set")
	case s.KnownHosts == "":
		return Secret{}, invalid("known_hosts, the host keys for ssh://, is not set")
	}
	return s, nil
}

// ReadProxy makes a proxy from the keys of a Secret. The error names keys, never values.
func ReadProxy(data map[string][]byte) (Proxy, error) {
	p := Proxy{Address: strings.TrimSpace(string(data[keyAddress])), Username: string(data[keyUsername]), Password: string(data[keyPassword]), CA: string(data[keyCA])}
	if p.Address == "" {
		return Proxy{}, invalid("address, the URL of the proxy, is not set")
	}
	if (p.Username == "") != (p.Password == "") {
		return Proxy{}, invalid("username and password must both be set")
	}
	if err := p.check(); err != nil {
		return Proxy{}, invalid("address %w", err)
	}
	return p, nil
}

// check says what is wrong with the address without repeating it: people put passwords there.
func (p Proxy) check() error {
	u, err := url.Parse(p.Address)
	switch {
	case err != nil || u.Hostname() == "":
		return errors.New("is not a URL: write http://host:port")
	case u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "socks5":
		return errors.New("must begin with http://, https:// or socks5://")
	case u.User != nil:
		return errors.New("has a user: use the keys username and password")
	case u.RawQuery != "" || u.Fragment != "" || strings.Trim(u.Path, "/") != "":
		return errors.New("has more than a host and a port")
	}
	return nil
}

// present gives those of the keys that have a value.
func present(data map[string][]byte, keys ...string) []string {
	return slices.DeleteFunc(slices.Clone(keys), func(key string) bool { return len(data[key]) == 0 })
}

func digits(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r < '0' || r > '9' }) < 0
}
