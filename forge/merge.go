package forge

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// Merge is a wish to merge one branch of a repository into another.
type Merge struct{ From, Into, Title, Text string }

// Ask asks to merge: a pull request, or a merge request.
func (r Repository) Ask(token string, m Merge) Request {
	body := map[string]any{"title": m.Title, "body": m.Text, "head": m.From, "base": m.Into}
	path := "/pulls"
	if r.Provider == GitLab {
		path = "/merge_requests"
		body = map[string]any{"title": m.Title, "description": m.Text, "source_branch": m.From, "target_branch": m.Into, "remove_source_branch": true}
	}
	return Request{Method: http.MethodPost, URL: r.base() + path, Header: r.credential(token), Body: encode(body)}
}

// Asked reads the answer to Ask: the URL of the request. exists says that there was one already, which Find then finds.
func (r Repository) Asked(code int, body []byte) (address string, exists bool, err error) {
	if code == http.StatusConflict || code == http.StatusUnprocessableEntity && strings.Contains(string(body), "already exists") {
		return "", true, nil
	}
	if code/100 != 2 {
		return "", false, fmt.Errorf("answered %d", code)
	}
	var one request
	if err := json.Unmarshal(body, &one); err != nil {
		return "", false, fmt.Errorf("the answer cannot be read: %w", err)
	}
	return one.address(), false, nil
}

// Find asks for the open request of a branch.
func (r Repository) Find(token string, m Merge) Request {
	owner, _, _ := strings.Cut(r.Path, "/")
	query := url.Values{"state": {"open"}, "head": {owner + ":" + m.From}, "base": {m.Into}}
	path := "/pulls"
	switch r.Provider {
	case GitLab:
		path, query = "/merge_requests", url.Values{"state": {"opened"}, "source_branch": {m.From}, "target_branch": {m.Into}}
	case Gitea:
		query = url.Values{"state": {"open"}, "limit": {"50"}}
	case GitHub:
	}
	return Request{Method: http.MethodGet, URL: r.base() + path + "?" + query.Encode(), Header: r.credential(token)}
}

// Found reads the answer to Find; an empty address: there is none.
func (r Repository) Found(code int, body []byte, m Merge) (address string, err error) {
	if code/100 != 2 {
		return "", fmt.Errorf("answered %d", code)
	}
	var all []request
	if err := json.Unmarshal(body, &all); err != nil {
		return "", fmt.Errorf("the answer cannot be read: %w", err)
	}
	for _, one := range all {
		if one.Head.Ref == m.From || one.SourceBranch == m.From {
			return one.address(), nil
		}
	}
	return "", nil
}

// request is what is read of a pull or merge request.
type request struct {
	HTMLURL string `json:"html_url"`
	WebURL  string `json:"web_url"`
	Head    struct {
		Ref string `json:"ref"`
	} `json:"head"`
	SourceBranch string `json:"source_branch"`
}

func (r request) address() string {
	if r.HTMLURL != "" {
		return r.HTMLURL
	}
	return r.WebURL
}
