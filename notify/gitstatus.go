package notify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/egress"
	"github.com/sluice-dev/sluice/forge"
)

// maxShown is how many commits are remembered with the state that their forge shows.
const maxShown = 4096

// shown remembers which state a forge shows of a commit in a context, so that none is told twice.
type shown struct {
	mu     sync.Mutex
	states map[string]string
	order  []string // oldest first
}

func (s *shown) is(key string, word string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.states[key] == word
}

func (s *shown) set(key, word string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.states == nil {
		s.states = map[string]string{}
	}
	if _, known := s.states[key]; !known {
		if s.order = append(s.order, key); len(s.order) > maxShown {
			delete(s.states, s.order[0])
			s.order = slices.Delete(s.order, 0, 1)
		}
	}
	s.states[key] = word
}

// gitStatus shows the state of commits at their forge.
type gitStatus struct {
	spec   v1alpha1.GitStatusSink
	token  string
	client *http.Client
	check  func(target string) error
	now    func() time.Time
	shown  *shown
}

func (o *opening) gitStatus(ctx context.Context, s *v1alpha1.GitStatusSink) (Sink, error) {
	token, err := o.value(ctx, s.TokenSecretRef)
	if err != nil {
		return nil, err
	}
	options := egress.Options{Timeout: sendTimeout}
	if err := o.roots(ctx, s.CASecretRef, &options); err != nil {
		return nil, err
	}
	check := func(target string) error { return o.check(target, options) }
	if s.APIURL != "" {
		if err := check(s.APIURL); err != nil {
			return nil, err
		}
	}
	return &gitStatus{spec: *s, token: strings.TrimSpace(string(token)), client: o.Guard.Client(options), check: check, now: o.Now, shown: &o.shown}, nil
}

// stateOf is what a kind of note says of the commit; empty: nothing.
func stateOf(n Note) forge.State {
	if n.Report.Note == v1alpha1.NoteAborted {
		return forge.Aborted
	}
	if n.Report.Git == nil {
		return ""
	}
	return forge.State(n.Report.Git.State)
}

// Send implements Sink. Notes about no commit, and about none that a Source has brought, have no place to be shown.
func (g *gitStatus) Send(ctx context.Context, n Note) (Receipt, error) {
	return Receipt{}, g.send(ctx, n)
}

func (g *gitStatus) send(ctx context.Context, n Note) error {
	git, state := n.Report.Git, stateOf(n)
	if git == nil || git.URL == "" || git.Commit == "" || state == "" {
		return nil
	}
	repo, err := forge.Of(git.URL, forge.Provider(g.spec.Provider), g.spec.APIURL)
	if err != nil {
		return &Failure{Reason: v1alpha1.ReasonRefused, Hope: Thrice, Err: err}
	}
	status := forge.Status{Commit: git.Commit, Context: git.Context, State: state, Description: problem.Clean(n.Report.Sentence, problem.MaxMessage), Target: page(n)}
	if g.spec.Context != "" {
		status.Context = g.spec.Context
	}
	key := fmt.Sprintf("%q", []string{repo.API, repo.Path, status.Commit, status.Context})
	if g.shown.is(key, repo.Word(state)) {
		return nil
	}
	request := repo.Status(g.token, status)
	if err := g.check(request.URL); err != nil {
		return err
	}
	if err := g.post(ctx, repo, request, state); err != nil {
		return err
	}
	g.shown.set(key, repo.Word(state))
	return nil
}

// page is where the state of a commit leads to: Sluice's own page, else the first there is; empty: there is none.
func page(n Note) string {
	links := n.Report.Links // Sluice's own page stands first
	if len(links) == 0 {
		return ""
	}
	return links[0].URL
}

// post sends one request and reads what the forge makes of it.
func (g *gitStatus) post(ctx context.Context, repo forge.Repository, r forge.Request, state forge.State) error {
	req, err := http.NewRequestWithContext(ctx, r.Method, r.URL, bytes.NewReader(r.Body))
	if err != nil {
		return &Failure{Reason: v1alpha1.ReasonRefused, Hope: Thrice, Err: errors.New("the URL cannot be read")}
	}
	for name, value := range r.Header {
		req.Header.Set(name, value)
	}
	resp, err := g.client.Do(req)
	if err != nil {
		return unsent(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil && resp.StatusCode/100 != 2 {
		return unsent(err)
	}
	verdict, wait := repo.Judge(resp.StatusCode, resp.Header.Get, answer, state, g.now())
	failed := refusal(resp, answer)
	switch verdict {
	case forge.Delivered:
		return nil
	case forge.Dropped:
		failed.Hope, failed.Err = Dropped, fmt.Errorf("%s does not take the state %s of the commit: %w", repo.Provider, state, failed.Err)
	case forge.Wait:
		failed.Reason, failed.Hope, failed.After = v1alpha1.ReasonThrottled, Retry, min(wait, maxRetryAfter)
	case forge.Failed:
	}
	return failed
}
