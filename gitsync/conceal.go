package gitsync

import (
	"encoding/base64"
	"errors"
	"strings"
)

// window is how many bytes of a secret may not stand in a text. A server's answer that repeats a secret may be cut and
// escaped before it gets here, so parts count as much as the whole.
const window = 8

// Secrets are the values of a remote that must never be shown, in each form in which they are sent.
func (r Remote) Secrets() []string {
	s, p := r.Secret, r.Proxy
	out := []string{s.Password, s.BearerToken, s.App.Key, s.Key, s.Identity, p.Password}
	for _, pair := range [][2]string{{s.Username, s.Password}, {p.Username, p.Password}} {
		if pair[1] != "" {
			out = append(out, base64.StdEncoding.EncodeToString([]byte(pair[0]+":"+pair[1])))
		}
	}
	if len(s.Username) > 2*window {
		out = append(out, s.Username) // a token, as some forges want it there
	}
	return out
}

// Conceal gives err without any part of the secrets in its text or in its Problem. What it wraps stays as it is, for
// errors.Is; only the text of the outermost error is for people.
func Conceal(err error, secrets []string) error {
	if err == nil {
		return nil
	}
	v := newConcealer(secrets)
	text := v.hide(err.Error())
	failure, ok := errors.AsType[*Failure](err)
	if !ok {
		if text == err.Error() {
			return err
		}
		return &concealed{text, err}
	}
	out := *failure
	out.Err = &concealed{text, err}
	if failure.Problem != nil {
		p := *failure.Problem
		p.Message, p.Hint = v.hide(p.Message), v.hide(p.Hint)
		out.Problem = &p
	}
	return &out
}

// concealed is an error whose text shows less than what it wraps.
type concealed struct {
	text  string
	cause error
}

// Error implements error.
func (c *concealed) Error() string { return c.text }

// Unwrap gives the cause, whose text is not for people.
func (c *concealed) Unwrap() error { return c.cause }

// concealer finds parts of secrets in texts.
type concealer struct {
	parts map[string]bool
	sizes [window + 1]bool // that parts have
}

func newConcealer(secrets []string) *concealer {
	v := &concealer{parts: map[string]bool{}}
	for _, secret := range secrets {
		for line := range strings.Lines(secret) {
			line = strings.TrimSpace(line)
			size := min(window, len(line))
			if size < minHidden || strings.HasPrefix(line, "-----") {
				continue
			}
			v.sizes[size] = true
			for at := range len(line) - size + 1 {
				v.parts[line[at:at+size]] = true
			}
		}
	}
	return v
}

// hide gives the text with a word in place of each stretch that stands in a secret too.
func (v *concealer) hide(text string) string {
	var out strings.Builder
	shown, until := 0, 0 // bytes of the text that are written, and that are to be left out
	for at := range len(text) {
		for size, used := range v.sizes {
			if !used || at+size > len(text) || !v.parts[text[at:at+size]] {
				continue
			}
			if at > until || until == 0 {
				out.WriteString(text[shown:at])
				out.WriteString(hidden)
			}
			until = max(until, at+size)
			shown = until
		}
	}
	out.WriteString(text[shown:])
	return out.String()
}
