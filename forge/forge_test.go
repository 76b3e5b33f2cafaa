package forge_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/forge"
)

func TestOf_findsTheAPI(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		url      string
		provider forge.Provider
		api      string
		want     forge.Repository
		fails    string
	}{
		{"https://github.com/shop/deploy.git", "", "", forge.Repository{Provider: forge.GitHub, API: "https://api.github.com", Path: "shop/deploy"}, ""},
		{"ssh://git@github.com/shop/deploy.git", "", "", forge.Repository{Provider: forge.GitHub, API: "https://api.github.com", Path: "shop/deploy"}, ""},
		{"https://git.example.com/shop/deploy", forge.GitHub, "", forge.Repository{Provider: forge.GitHub, API: "https://git.example.com/api/v3", Path: "shop/deploy"}, ""},
		{"https://gitlab.com/a/b/c/deploy.git", "", "", forge.Repository{Provider: forge.GitLab, API: "https://gitlab.com/api/v4", Path: "a/b/c/deploy"}, ""},
		{"ssh://git@git.example.com:2222/a/deploy.git", forge.GitLab, "", forge.Repository{Provider: forge.GitLab, API: "https://git.example.com/api/v4", Path: "a/deploy"}, ""},
		{"https://git.example.com:8443/shop/deploy/", forge.Gitea, "", forge.Repository{Provider: forge.Gitea, API: "https://git.example.com:8443/api/v1", Path: "shop/deploy"}, ""},
		{"https://example.com/gitea/shop/deploy", forge.Gitea, "https://example.com/gitea", forge.Repository{Provider: forge.Gitea, API: "https://example.com/gitea/api/v1", Path: "shop/deploy"}, ""},
		{"https://example.com/shop/deploy", forge.GitLab, "https://example.com/api/v4/", forge.Repository{Provider: forge.GitLab, API: "https://example.com/api/v4", Path: "shop/deploy"}, ""},
		{"https://git.example.com/shop/deploy", "", "", forge.Repository{}, "set provider"},
		{"https://github.com/deploy", "", "", forge.Repository{}, "no owner"},
		{"https://github.com/a/b", "Other", "", forge.Repository{}, "no forge"},
	} {
		got, err := forge.Of(row.url, row.provider, row.api)
		if row.fails != "" {
			if err == nil || !strings.Contains(err.Error(), row.fails) {
				t.Errorf("%s: %v, want an error that says %q", row.url, err, row.fails)
			}
			continue
		}
		if err != nil || got != row.want {
			t.Errorf("%s: %+v, %v, want %+v", row.url, got, err, row.want)
		}
	}
}

func TestStatus_saysTheStateInTheForgesWords(t *testing.T) {
	t.Parallel()
	for provider, words := range map[forge.Provider][]string{
		forge.GitHub: {"pending", "success", "failure", "failure", "error"},
		forge.GitLab: {"running", "success", "failed", "canceled", "failed"},
		forge.Gitea:  {"pending", "success", "failure", "failure", "error"},
	} {
		r, err := forge.Of("https://git.example.com/a/b", provider, "")
		if err != nil {
			t.Fatal(err)
		}
		for i, state := range []forge.State{forge.Pending, forge.Success, forge.Failure, forge.Aborted, forge.Error} {
			q := r.Status("t0ken", forge.Status{Commit: "c0ffee", Context: "sluice/a/b", State: state, Description: strings.Repeat("ä", 200)})
			if body := string(q.Body); !strings.Contains(body, `"state":"`+words[i]+`"`) || strings.Count(body, "ä") != 140 || !strings.Contains(body, `"sluice/a/b"`) || strings.Contains(q.URL, "t0ken") {
				t.Errorf("%s, %s: %s", provider, state, body)
			}
		}
	}
}

func TestJudge(t *testing.T) {
	t.Parallel()
	now := time.Unix(1767225600, 0)
	for _, row := range []struct {
		provider forge.Provider
		code     int
		header   http.Header
		body     string
		want     forge.Verdict
		wait     time.Duration
	}{
		{forge.GitHub, 201, nil, "", forge.Delivered, 0},
		{forge.GitHub, 404, nil, "", forge.Dropped, 0},
		{forge.GitHub, 422, nil, `{"message":"No commit found for SHA"}`, forge.Dropped, 0},
		{forge.GitHub, 401, nil, "", forge.Failed, 0},
		{forge.GitHub, 403, nil, "", forge.Failed, 0},
		{forge.GitHub, 403, http.Header{"X-Ratelimit-Remaining": {"0"}, "X-Ratelimit-Reset": {"1767225690"}}, "", forge.Wait, 90 * time.Second},
		{forge.GitHub, 403, http.Header{"X-Ratelimit-Remaining": {"7"}, "X-Ratelimit-Reset": {"1767225690"}}, "", forge.Failed, 0},
		{forge.GitHub, 429, http.Header{"Retry-After": {"30"}}, "", forge.Wait, 30 * time.Second},
		{forge.GitLab, 429, http.Header{"Ratelimit-Reset": {"1767225601"}}, "", forge.Wait, time.Second},
		{forge.GitLab, 400, nil, `{"message":"Cannot transition status via :run from :running (Reason(s): ...)"}`, forge.Delivered, 0},
		{forge.GitLab, 400, nil, `{"message":"Cannot transition status via :run from :success"}`, forge.Dropped, 0},
		{forge.GitLab, 400, nil, `{"message":"name is missing"}`, forge.Failed, 0},
		{forge.Gitea, 400, nil, `Cannot transition status via :run from :running`, forge.Failed, 0},
		{forge.Gitea, 500, nil, "", forge.Failed, 0},
	} {
		got, wait := forge.Repository{Provider: row.provider}.Judge(row.code, row.header.Get, []byte(row.body), forge.Pending, now)
		if got != row.want || wait != row.wait {
			t.Errorf("%s %d %v %s: %v, %v, want %v, %v", row.provider, row.code, row.header, row.body, got, wait, row.want, row.wait)
		}
	}
}

func TestMerge_requests(t *testing.T) {
	t.Parallel()
	m := forge.Merge{From: "sluice/revert/a-b-c", Into: "main", Title: "Revert", Text: "why"}
	for _, row := range []struct {
		provider  forge.Provider
		ask, find string
		taken     int
		list      string
	}{
		{forge.GitHub, "https://h/api/v3/repos/o/r/pulls", "head=o%3Asluice%2Frevert%2Fa-b-c", 422, `[{"html_url":"https://h/1","head":{"ref":"sluice/revert/a-b-c"}}]`},
		{forge.GitLab, "https://h/api/v4/projects/o%2Fr/merge_requests", "source_branch=sluice%2Frevert%2Fa-b-c", 409, `[{"web_url":"https://h/1","source_branch":"sluice/revert/a-b-c"}]`},
		{forge.Gitea, "https://h/api/v1/repos/o/r/pulls", "state=open", 409, `[{"html_url":"https://h/0","head":{"ref":"x"}},{"html_url":"https://h/1","head":{"ref":"sluice/revert/a-b-c"}}]`},
	} {
		r, err := forge.Of("https://h/o/r.git", row.provider, "")
		if err != nil {
			t.Fatal(err)
		}
		if q := r.Ask("t", m); q.URL != row.ask || q.Method != http.MethodPost || !strings.Contains(string(q.Body), `"main"`) {
			t.Errorf("%s: %+v", row.provider, q)
		}
		if q := r.Find("t", m); !strings.Contains(q.URL, row.find) {
			t.Errorf("%s: %s, want %s in it", row.provider, q.URL, row.find)
		}
		if _, exists, err := r.Asked(row.taken, []byte(`{"message":"A pull request already exists for o:x."}`)); !exists || err != nil {
			t.Errorf("%s: %v, %v, want that it exists", row.provider, exists, err)
		}
		if _, exists, err := r.Asked(403, nil); exists || err == nil {
			t.Errorf("%s: 403 is no error", row.provider)
		}
		if at, err := r.Found(200, []byte(row.list), m); at != "https://h/1" || err != nil {
			t.Errorf("%s: found %q, %v", row.provider, at, err)
		}
		if at, _, err := r.Asked(201, []byte(`{"html_url":"https://h/2","web_url":"https://h/2"}`)); at != "https://h/2" || err != nil {
			t.Errorf("%s: %q, %v", row.provider, at, err)
		}
	}
}
