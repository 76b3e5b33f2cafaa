package notify_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// TestSecrets_areNeverShown sends by secret URLs and keys to receivers that repeat what they were asked, in each place of
// an answer that an error might quote.
func TestSecrets_areNeverShown(t *testing.T) {
	t.Parallel()
	const canary = "Q7ZK3MW9XR"
	token := "glsa_" + canary + canary
	key := "whsec_" + canary + canary + canary + "CAFEAB"
	for way, answer := range map[string]func(w http.ResponseWriter, told string){
		"refused": func(w http.ResponseWriter, told string) { http.Error(w, told, http.StatusNotFound) },
		"failed":  func(w http.ResponseWriter, told string) { http.Error(w, told, http.StatusInternalServerError) },
		"redirected": func(w http.ResponseWriter, told string) {
			w.Header().Set("Location", "https://elsewhere.example.com"+told)
			w.WriteHeader(http.StatusFound)
		},
		"broken": func(w http.ResponseWriter, told string) {
			if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
				_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n"+told+"\r\n\r\n")
				conn.Close()
			}
		},
		"cut": func(w http.ResponseWriter, told string) {
			http.Error(w, strings.Repeat("x", 50)+told, http.StatusBadRequest)
		},
	} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			answer(w, r.URL.RequestURI()+r.Header.Get("Authorization")+r.Header.Get("Private-Token"))
		}))
		url := srv.URL + "/services/" + canary + "?token=" + canary
		o := outlet(secrets{"bookinfo/s": {"url": []byte(url), "key": []byte(key), "token": []byte(token)}})
		for _, spec := range []v1alpha1.NotifierSpec{{Slack: &v1alpha1.SlackSink{WebhookSecretRef: ref("s", "url")}},
			{Webhook: &v1alpha1.WebhookSink{URLSecretRef: ref("s", "url"), SigningSecretRef: ref("s", "key")}},
			{Teams: &v1alpha1.TeamsSink{URLSecretRef: *ref("s", "url")}},
			{Grafana: &v1alpha1.GrafanaSink{URL: srv.URL, Insecure: true, TokenSecretRef: *ref("s", "token")}},
			{GitStatus: &v1alpha1.GitStatusSink{Provider: v1alpha1.ForgeGitLab, APIURL: srv.URL, TokenSecretRef: *ref("s", "token")}},
			{GitStatus: &v1alpha1.GitStatusSink{Provider: v1alpha1.ForgeGitHub, APIURL: srv.URL, TokenSecretRef: *ref("s", "token")}}} {
			err := show(t, o, spec, about(v1alpha1.NoteRolledBack, "https://git.example.com/shop/deploy.git"))
			if err == nil || strings.Contains(err.Error(), canary[:8]) || strings.Contains(err.Error(), canary[2:]) {
				t.Errorf("%s: %v, want a failure that shows nothing of the URL", way, err)
			}
		}
		srv.Close()
	}
	o := outlet(secrets{"bookinfo/s": {"url": []byte("::" + canary), "key": []byte(canary), "ca": []byte(canary)}})
	for _, spec := range []v1alpha1.NotifierSpec{{Slack: &v1alpha1.SlackSink{WebhookSecretRef: ref("s", "url")}},
		{Webhook: &v1alpha1.WebhookSink{URLSecretRef: ref("s", "url"), SigningSecretRef: ref("s", "key")}},
		{Webhook: &v1alpha1.WebhookSink{URL: "https://h/", SigningSecretRef: ref("s", "key")}},
		{Webhook: &v1alpha1.WebhookSink{URL: "https://h/", CASecretRef: ref("s", "ca")}}} {
		if err := send(t, o, spec); err == nil || strings.Contains(err.Error(), canary) {
			t.Errorf("%+v: %v, want a failure without what the Secret holds", spec, err)
		}
	}
}
