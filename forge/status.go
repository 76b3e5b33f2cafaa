package forge

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// State is what became of a commit.
type State string

// The states.
const (
	Pending State = "pending"
	Success State = "success"
	Failure State = "failure"
	Aborted State = "aborted" // by a person
	Error   State = "error"
)

// Word gives a state as GitHub says it, who knows no Aborted.
func (s State) Word() string {
	if s == Aborted {
		return string(Failure)
	}
	return string(s)
}

// Word gives a state as the forge of the repository says it.
func (r Repository) Word(s State) string {
	if r.Provider == GitLab {
		return s.gitlab()
	}
	return s.Word()
}

// gitlab gives a state as GitLab says it, who knows no Error.
func (s State) gitlab() string {
	switch s {
	case Pending:
		return "running"
	case Success:
		return "success"
	case Aborted:
		return "canceled"
	case Failure, Error:
		return "failed"
	}
	return "failed"
}

// maxDescription is the shortest that all forges keep, in characters.
const maxDescription = 140

// Status is what a commit's page shows.
type Status struct {
	Commit, Context string
	State           State
	Description     string // cut at 140 characters
	Target          string // URL of more; empty: none
}

// Status asks to show a status.
func (r Repository) Status(token string, s Status) Request {
	text := []rune(s.Description)
	body := map[string]string{"state": s.State.Word(), "description": string(text[:min(len(text), maxDescription)])}
	if r.Provider == GitLab {
		body["state"], body["name"] = s.State.gitlab(), s.Context
	} else {
		body["context"] = s.Context
	}
	if s.Target != "" {
		body["target_url"] = s.Target
	}
	return Request{Method: http.MethodPost, URL: r.base() + "/statuses/" + s.Commit, Header: r.credential(token), Body: encode(body)}
}

func encode(body any) []byte {
	raw, err := json.Marshal(body)
	if err != nil {
		panic("strings that cannot be written as JSON: " + err.Error())
	}
	return raw
}

// Verdict is what an answer means. Its zero value is a failure that the caller explains.
type Verdict int

// The verdicts.
const (
	Failed    Verdict = iota
	Delivered         // the forge shows it
	Dropped           // the forge will never show it: it does not know the commit, or keeps another state
	Wait              // the forge asks to wait
)

// transition finds the two states in GitLab's refusal to change one.
var transition = regexp.MustCompile(`Cannot transition status via :(\w+) from :(\w+)`)

// Judge reads the answer to a Status; wait is what the forge asks for, or zero. header gives a header by its name.
func (r Repository) Judge(code int, header func(string) string, body []byte, want State, now time.Time) (v Verdict, wait time.Duration) {
	switch {
	case code/100 == 2:
		return Delivered, 0
	case code == http.StatusNotFound || code == http.StatusUnprocessableEntity:
		return Dropped, 0
	case code == http.StatusBadRequest && r.Provider == GitLab:
		m := transition.FindStringSubmatch(string(body))
		switch {
		case m == nil:
			return Failed, 0
		case m[2] == want.gitlab():
			return Delivered, 0
		}
		return Dropped, 0
	case code == http.StatusForbidden || code == http.StatusTooManyRequests:
		if wait := asked(header, now); wait > 0 {
			return Wait, wait
		}
	}
	return Failed, 0
}

// asked is how long a forge asks to be left alone: in seconds, or until an instant once nothing is left of a quota.
func asked(header func(string) string, now time.Time) time.Duration {
	if seconds, err := strconv.Atoi(header("Retry-After")); err == nil && seconds > 0 {
		return time.Duration(seconds) * time.Second
	}
	for _, prefix := range []string{"X-RateLimit-", "RateLimit-"} {
		if left := strings.TrimSpace(header(prefix + "Remaining")); left != "" && left != "0" {
			continue
		}
		if at, err := strconv.ParseInt(header(prefix+"Reset"), 10, 64); err == nil {
			return max(time.Unix(at, 0).Sub(now), time.Second)
		}
	}
	return 0
}
