package prom

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Access is how a server is asked to believe us, and how we believe it. The zero value asks without credentials and
// trusts the machine's roots.
type Access struct {
	Token    string // sent as a bearer; not together with Username
	Username string
	Password string
	Cert     []byte // of this client, in PEM, with Key
	Key      []byte
	CA       []byte // PEM; alone trusted
}

// Header is sent along with each query.
type Header struct {
	Name   string
	Value  string
	Secret bool // the value is not to be shown
}

// The keys of a Secret that say how a server is reached.
const (
	keyToken    = "token"
	keyUsername = "username"
	keyPassword = "password"
	keyCert     = "tls.crt"
	keyKey      = "tls.key"
	keyCA       = "ca.crt"
)

// accessOf takes what a Secret holds. Its errors name keys, never values.
func accessOf(data map[string][]byte) Access {
	return Access{
		Token:    strings.TrimSpace(string(data[keyToken])),
		Username: string(data[keyUsername]), Password: string(data[keyPassword]),
		Cert: data[keyCert], Key: data[keyKey], CA: data[keyCA],
	}
}

func (a Access) check(scheme string) error {
	tlsOnly := len(a.Cert) > 0 || len(a.Key) > 0 || len(a.CA) > 0
	switch {
	case a.Token != "" && (a.Username != "" || a.Password != ""):
		return errors.New("both token and username are given: a server is asked by one of them")
	case (a.Username == "") != (a.Password == ""):
		return errors.New("username and password belong together")
	case strings.Contains(a.Username, ":"):
		return errors.New("a username has no colon")
	case (len(a.Cert) == 0) != (len(a.Key) == 0):
		return errors.New("tls.crt and tls.key belong together")
	case tlsOnly && scheme != "https":
		return errors.New("certificates are of no use over plain http: write https")
	}
	for name, value := range map[string]string{keyToken: a.Token, keyUsername: a.Username, keyPassword: a.Password} {
		if !visible(value) {
			return fmt.Errorf("%s has a control character", name)
		}
	}
	return nil
}

func visible(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// tls is what a connection is held to: version 1.2 at least, and verified, always.
func (a Access) tls(serverName string) (*tls.Config, error) {
	out := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: serverName}
	if len(a.Cert) > 0 {
		pair, err := tls.X509KeyPair(a.Cert, a.Key)
		if err != nil {
			return nil, errors.New("tls.crt and tls.key are no certificate and its key in PEM")
		}
		out.Certificates = []tls.Certificate{pair}
	}
	if len(a.CA) > 0 {
		out.RootCAs = x509.NewCertPool()
		if !out.RootCAs.AppendCertsFromPEM(a.CA) {
			return nil, errors.New("ca.crt holds no certificate in PEM")
		}
	}
	return out, nil
}

// headers are those of each query.
func (a Access) headers(more []Header) (http.Header, error) {
	out := http.Header{}
	for _, h := range more {
		name := http.CanonicalHeaderKey(h.Name)
		switch {
		case h.Name == "" || strings.ContainsFunc(h.Name, func(r rune) bool { return !headerRune(r) }):
			return nil, fmt.Errorf("%q is no name of a header", h.Name)
		case slices.Contains(ownHeaders(), name):
			return nil, fmt.Errorf("header %s is not to be set by hand", name)
		case name == "Authorization" && (a.Token != "" || a.Username != ""):
			return nil, errors.New("header Authorization is given beside token or username: drop one of them")
		case !visible(h.Value):
			return nil, fmt.Errorf("header %s has a control character", name)
		case out.Get(name) != "":
			return nil, fmt.Errorf("header %s is given twice", name)
		}
		out.Set(name, h.Value)
	}
	switch {
	case a.Token != "":
		out.Set("Authorization", "Bearer "+a.Token)
	case a.Username != "":
		out.Set("Authorization", "Basic "+a.basic())
	}
	return out, nil
}

func (a Access) basic() string {
	return base64.StdEncoding.EncodeToString([]byte(a.Username + ":" + a.Password))
}

func headerRune(r rune) bool {
	return r == '-' || r == '_' || ('0' <= r && r <= '9') || ('a' <= r && r <= 'z') || ('A' <= r && r <= 'Z')
}

// ownHeaders are those that the transport and the form of a query decide.
func ownHeaders() []string {
	return []string{"Accept-Encoding", "Connection", "Content-Encoding", "Content-Length", "Content-Type", "Host", "Keep-Alive",
		"Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade"}
}

// secrets are the texts that must not be shown, as they are and as they may be echoed.
func (a Access) secrets(more []Header) []string {
	all := []string{a.Token, a.Password}
	if a.Username != "" {
		all = append(all, a.basic())
	}
	for _, h := range more {
		if h.Secret {
			all = append(all, h.Value)
		}
	}
	for _, line := range bytes.Split(a.Key, []byte("\n")) { // no server has it; an error might quote a line
		if len(line) >= 16 && !bytes.HasPrefix(line, []byte("-----")) {
			all = append(all, string(line))
		}
	}
	for _, text := range slices.Clone(all) {
		all = append(all, url.QueryEscape(text), url.PathEscape(text), base64.StdEncoding.EncodeToString([]byte(text)))
	}
	all = slices.DeleteFunc(all, func(text string) bool { return text == "" })
	slices.SortFunc(all, func(a, b string) int { return len(b) - len(a) }) // a longer one first: it may hold a shorter one
	return slices.Compact(all)
}

// scrub takes secrets out of a text.
func scrub(text string, secrets []string) string {
	for _, secret := range secrets {
		text = strings.ReplaceAll(text, secret, "***")
	}
	return text
}
