package controller

import (
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// silent makes sure that what became of a revert shows nothing of a secret, nor does anything else.
func (f *teller) silent(t *testing.T) {
	t.Helper()
	for name, text := range f.surfaces(f.canaries) {
		if len(text) < 1000 {
			t.Errorf("%s: %d bytes only; is this all? %s", name, len(text), text)
		}
		for _, found := range f.find(text) {
			t.Errorf("%s: %s", name, found)
		}
	}
}

// A key that is to sign reverts and cannot be read, or not be opened, keeps them from being made and is never shown; neither is
// one that signs them.
func TestSecrets_ofSigningAreNeverShown(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{"garbage": backFailed, "torn": backFailed, "wrong phrase": backFailed, "locked": backPushed} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCanaries()
			f := &teller{world: newWorldThatLogs(t, c.logger()), canaries: c}
			phrase := f.secret("passphrase of the signing key")
			key, _ := f.sshKey(phrase)
			secret := map[string]string{"identity": key, "password": phrase}
			switch name {
			case "garbage":
				secret["identity"] = f.secret("garbage for the signing key")
			case "torn":
				secret["identity"] = string(pem.EncodeToMemory(&pem.Block{Type: "OPENSSH PRIVATE KEY", Bytes: []byte(f.secret("torn signing key"))}))
				f.guard("torn signing key", secret["identity"])
			case "wrong phrase":
				secret["password"] = f.secret("wrong passphrase of the signing key")
			}
			f.writes(f.pair("writer", f.secret("write password")))
			f.world.create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "sign"}, StringData: secret})
			_, _, third := f.broken(v1alpha1.RevertCommit, func(s *v1alpha1.SourceSpec) {
				s.WriteBack.SigningSecretRef = &v1alpha1.LocalRef{Name: "sign"}
			}, map[string]string{"app/rollout.yaml": rolloutV2}, map[string]string{"app/other.yaml": configMap("other", "two")})
			s := f.until("told", func(s v1alpha1.SourceStatus) bool { return reverted(s) != nil })
			e := reverted(s)
			if e.Result != want || (want == backFailed) != (f.tip("refs/heads/main") == third) || (want == backFailed) != (e.Message != "") {
				t.Errorf("write back: %+v, want %s", e, want)
			}
			f.silent(t)
		})
	}
}

// The API of a forge that is asked to merge a revert may say back the token that it was told, in whichever place.
func TestSecrets_ofForgesAreNeverShown(t *testing.T) {
	t.Parallel()
	for way, row := range map[string]struct {
		want string
		say  func(w http.ResponseWriter, told string)
	}{
		"refuse": {backFailed, func(w http.ResponseWriter, told string) {
			http.Error(w, `{"message":"`+told+`"}`, http.StatusForbidden)
		}},
		"fail":   {backFailed, func(w http.ResponseWriter, told string) { http.Error(w, told, http.StatusInternalServerError) }},
		"broken": {backFailed, func(w http.ResponseWriter, told string) { sayRaw(w, "HTTP/1.1 200 OK\r\n"+told+"\r\n\r\n") }},
		"text":   {backFailed, func(w http.ResponseWriter, told string) { http.Error(w, told, http.StatusCreated) }},
		"exists": {backFailed, func(w http.ResponseWriter, told string) {
			http.Error(w, `{"message":"`+told+`","errors":[{"message":"A pull request already exists for `+told+`"}]}`, http.StatusUnprocessableEntity)
		}},
		"address": {backProposed, func(w http.ResponseWriter, told string) {
			http.Error(w, `{"html_url":"https://forge.example.com/1?by=`+strings.TrimPrefix(told, "Bearer ")+`"}`, http.StatusCreated)
		}},
	} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			c := newCanaries()
			f := &teller{world: newWorldThatLogs(t, c.logger()), canaries: c}
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { row.say(w, r.Header.Get("Authorization")) }))
			t.Cleanup(s.Close)
			f.forges = func([]byte) (*http.Client, error) { return s.Client(), nil }
			f.owned()
			f.writes(f.pair("writer", f.secret("token for the forge")))
			f.broken(v1alpha1.RevertPullRequest, func(spec *v1alpha1.SourceSpec) {
				spec.URL = f.git.URL("shop/app")
				spec.WriteBack.Provider, spec.WriteBack.APIURL = v1alpha1.ForgeGitHub, s.URL
			}, map[string]string{"app/rollout.yaml": rolloutV2}, map[string]string{"app/other.yaml": configMap("other", "two")})
			e := reverted(f.until("told", func(s v1alpha1.SourceStatus) bool { return reverted(s) != nil }))
			if e.Result != row.want || e.URL != "" {
				t.Errorf("write back: %+v, want %s and no address", e, row.want)
			}
			f.silent(t)
		})
	}
}
