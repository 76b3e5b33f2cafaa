package gogit

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sluice-dev/sluice/gitsync"
)

const (
	appAPI      = "https://api.github.com"
	appUser     = "x-access-token"
	assertedFor = 9 * time.Minute
	skew        = 30 * time.Second // that the forge's clock may be behind
	renewBefore = 5 * time.Minute
	answerBytes = 64 << 10
)

// appTokens gets tokens of a GitHub App and keeps the newest, in memory only.
type appTokens struct {
	id    string
	key   *rsa.PrivateKey
	base  string
	owner string // owner/repository
	http  *http.Client
	now   func() time.Time

	mu           sync.Mutex // guards all below
	installation string
	token        string
	until        time.Time
	said         [2]string // the newest assertion and token, which no text may repeat
}

// newAppTokens reads the key of an App. remote is the repository that tokens are for.
func newAppTokens(app gitsync.App, remote *url.URL, client *http.Client, now func() time.Time) (*appTokens, error) {
	refuse := func(text string) (*appTokens, error) {
		return nil, gitsync.Fail(gitsync.SecretInvalid, errors.New(text))
	}
	block, _ := pem.Decode([]byte(app.Key))
	if block == nil {
		return refuse("key githubAppPrivateKey is not PEM")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		parsed, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	}
	key, ok := parsed.(*rsa.PrivateKey)
	if err != nil || !ok || key.N.BitLen() < leastRSA {
		return refuse("key githubAppPrivateKey is not an RSA key of at least 2048 bits")
	}
	base := strings.TrimSuffix(app.BaseURL, "/")
	if base == "" {
		base = appAPI
	}
	u, err := url.Parse(base)
	plain := err == nil && u.Scheme == "http" && gitsync.Loopback(u.Hostname())
	if err != nil || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || (u.Scheme != "https" && !plain) {
		return refuse("key githubAppBaseURL is not https://host/path")
	}
	part := strings.Split(strings.Trim(remote.Path, "/"), "/")
	if len(part) != 2 && app.Installation == "" {
		return refuse("githubAppInstallationID must be set: the path of spec.url is not owner/repository")
	}
	return &appTokens{id: app.ID, key: key, base: base, owner: strings.TrimSuffix(strings.Join(part, "/"), ".git"), installation: app.Installation, http: client, now: now}, nil
}

// get gives a token that is good for some minutes at least.
func (a *appTokens) get(ctx context.Context) (string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.token != "" && a.now().Before(a.until.Add(-renewBefore)) {
		return a.token, nil
	}
	if a.installation == "" {
		var found struct {
			ID int64 `json:"id"`
		}
		if err := a.call(ctx, http.MethodGet, "/repos/"+a.owner+"/installation", http.StatusOK, &found); err != nil {
			return "", fmt.Errorf("finding the installation of the GitHub App: %w", err)
		}
		a.installation = strconv.FormatInt(found.ID, 10)
	}
	var made struct {
		Token   string    `json:"token"`
		Expires time.Time `json:"expires_at"`
	}
	if err := a.call(ctx, http.MethodPost, "/app/installations/"+a.installation+"/access_tokens", http.StatusCreated, &made); err != nil {
		return "", fmt.Errorf("getting a token of the GitHub App: %w", err)
	}
	if made.Token == "" {
		return "", gitsync.Fail(gitsync.AuthFailed, fmt.Errorf("%s gave no token", a.base))
	}
	a.token, a.until, a.said[1] = made.Token, made.Expires, made.Token
	return a.token, nil
}

// Token gives the token by which the App of a remote's credentials speaks with the forge's API.
func (r *Repositories) Token(ctx context.Context, remote gitsync.Remote) (string, error) {
	h, err := r.vetted(remote)
	if err != nil {
		return "", err
	}
	c, ok := h.remote.(*client)
	if !ok || c.app == nil {
		return "", gitsync.Fail(gitsync.SecretInvalid, errors.New("the credential is no GitHub App"))
	}
	token, err := c.app.get(ctx)
	return token, gitsync.Conceal(err, append(remote.Secrets(), c.spoken()...))
}

// spoken gives what the App has proved itself by.
func (a *appTokens) spoken() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append(gitsync.Remote{Secret: gitsync.Secret{Username: appUser, Password: a.said[1]}}.Secrets(), a.said[0])
}

// forget drops a token that was not taken.
func (a *appTokens) forget() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.token = ""
}

// call asks the forge's API as the App. Nothing of an answer that is not the wanted one is repeated.
func (a *appTokens) call(ctx context.Context, method, path string, want int, into any) error {
	assertion, err := a.assertion()
	if err != nil {
		return gitsync.Fail(gitsync.SecretInvalid, errors.New("key githubAppPrivateKey cannot sign"))
	}
	a.said[0] = assertion
	req, err := http.NewRequestWithContext(ctx, method, a.base+path, nil)
	if err != nil {
		return gitsync.Fail(gitsync.SecretInvalid, errors.New("key githubAppBaseURL is not a URL"))
	}
	req.Header.Set("Authorization", "Bearer "+assertion)
	req.Header.Set("Accept", "application/vnd.github+json")
	req.Header.Set("User-Agent", "sluice")
	res, err := a.http.Do(req)
	if err != nil {
		return (&client{origin: a.base}).explain(ctx, err)
	}
	defer res.Body.Close()
	switch code := res.StatusCode; {
	case code == want:
	case code >= 300 && code < 400:
		return gitsync.Fail(gitsync.RedirectRefused, fmt.Errorf("%s answers with a redirect: correct key githubAppBaseURL", a.base))
	case code == http.StatusUnauthorized, code == http.StatusForbidden, code == http.StatusNotFound:
		return gitsync.Fail(gitsync.AuthFailed, fmt.Errorf("%s answers %d: check the App's id, key and installation", a.base, code))
	case code == http.StatusTooManyRequests:
		return &gitsync.Failure{Reason: gitsync.Throttled, Err: fmt.Errorf("%s asks to wait (429)", a.base), RetryAfter: retryAfter(res)}
	default:
		return gitsync.Fail(gitsync.Unreachable, fmt.Errorf("%s answers %d", a.base, code))
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, answerBytes)).Decode(into); err != nil {
		return gitsync.Fail(gitsync.Unreachable, fmt.Errorf("%s answers with something that is not JSON", a.base))
	}
	return nil
}

// assertion makes the JSON web token by which the App proves itself.
func (a *appTokens) assertion() (string, error) {
	now := a.now()
	claims, err := json.Marshal(map[string]any{"iss": a.id, "iat": now.Add(-skew).Unix(), "exp": now.Add(assertedFor).Unix()})
	if err != nil {
		return "", err
	}
	encode := base64.RawURLEncoding.EncodeToString
	text := encode([]byte(`{"alg":"RS256","typ":"JWT"}`)) + "." + encode(claims)
	sum := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(rand.Reader, a.key, crypto.SHA256, sum[:])
	if err != nil {
		return "", err
	}
	return text + "." + encode(signature), nil
}
