package gitsync

import (
	"encoding/base64"
	"errors"

	"github.com/sluice-dev/sluice/api/problem"
)

// minToken is how long a user name is that must be a token.
const minToken = 16

// Secrets are the values of a remote that must never be shown, in each form in which they are sent.
func (r Remote) Secrets() []string {
	s, p := r.Secret, r.Proxy
	out := []string{s.Password, s.BearerToken, s.App.Key, s.Key, s.Identity, p.Password}
	for _, pair := range [][2]string{{s.Username, s.Password}, {p.Username, p.Password}} {
		if pair[1] != "" {
			out = append(out, base64.StdEncoding.EncodeToString([]byte(pair[0]+":"+pair[1])))
		}
	}
	if len(s.Username) > minToken {
		out = append(out, s.Username) // a token, as some forges want it there
	}
	return out
}

// Conceal gives err without any part of the secrets in its text or in its Problem.
func Conceal(err error, secrets []string) error {
	failure, ok := errors.AsType[*Failure](err)
	if !ok {
		return problem.Conceal(err, secrets...)
	}
	out := *failure
	out.Err = problem.Conceal(err, secrets...)
	if failure.Problem != nil {
		p := *failure.Problem
		p.Message, p.Hint = problem.Hide(p.Message, secrets...), problem.Hide(p.Hint, secrets...)
		out.Problem = &p
	}
	return &out
}
