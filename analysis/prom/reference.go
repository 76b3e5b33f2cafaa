package prom

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Reference says which server is read: one that is known by name, or one of one's own.
type Reference struct {
	Name         string // with it all else is empty
	URL          string
	Secret       string // of the namespace of the reference; empty: none
	Headers      []HeaderReference
	ServerName   string
	Dialect      Dialect
	TargetLabels []string
	Timeout      time.Duration // 0: DefaultTimeout
}

// HeaderReference is a header with its value, or with the key of the Secret that holds it.
type HeaderReference struct {
	Name      string
	Value     string
	SecretKey string
}

// Secrets reads one Secret. Its errors hold nothing of what a Secret holds; one that is not there is an error too.
type Secrets func(ctx context.Context, namespace, name string) (map[string][]byte, error)

// key tells references apart.
func (r Reference) key(namespace string) string {
	text, err := json.Marshal(r)
	if err != nil { // it has texts and a number only
		text = fmt.Appendf(nil, "%+v", r)
	}
	return namespace + " " + string(text)
}

// config is how the server is reached with what the Secret holds.
func (r Reference) config(data map[string][]byte) (Config, error) {
	out := Config{URL: r.URL, Timeout: r.Timeout, ServerName: r.ServerName, Dialect: r.Dialect, TargetLabels: r.TargetLabels}
	used := false
	for _, h := range r.Headers {
		header := Header{Name: h.Name, Value: h.Value}
		if h.SecretKey != "" {
			value, known := data[h.SecretKey]
			if !known {
				return out, fmt.Errorf("it has no key %s, which header %s wants", h.SecretKey, h.Name)
			}
			header.Value, header.Secret, used = string(value), true, true
		}
		out.Headers = append(out.Headers, header)
	}
	out.Access = accessOf(data)
	for _, key := range []string{keyToken, keyUsername, keyPassword, keyCert, keyKey, keyCA} {
		_, has := data[key]
		used = used || has
	}
	if r.Secret != "" && !used {
		return out, errors.New("it has none of token, username and password, tls.crt and tls.key, ca.crt")
	}
	return out, nil
}

// Check says what is wrong with a reference to a server of one's own, as far as that is known without its Secret.
func (r Reference) Check() error {
	cfg := Config{URL: r.URL, Timeout: r.Timeout, ServerName: r.ServerName, Dialect: r.Dialect, TargetLabels: r.TargetLabels}
	for _, h := range r.Headers {
		switch {
		case (h.SecretKey == "") == (h.Value == ""):
			return fmt.Errorf("header %s needs either a value or the key of a Secret", h.Name)
		case h.SecretKey != "" && r.Secret == "":
			return fmt.Errorf("header %s takes its value from a Secret, and none is named", h.Name)
		case h.SecretKey != "":
			h.Value = "known later"
		}
		cfg.Headers = append(cfg.Headers, Header{Name: h.Name, Value: h.Value})
	}
	server, err := New(cfg)
	if err == nil {
		server.Close()
	}
	return err
}

// Open connects a person's own tools to the server that a reference describes; it needs no Secret.
func (r Reference) Open() (*Server, error) {
	if r.Secret != "" {
		return nil, fmt.Errorf("it is read with Secret %s, which only the controller knows", r.Secret)
	}
	cfg, err := r.config(nil)
	if err != nil {
		return nil, err
	}
	cfg.Gather = -1 // nobody else asks
	return New(cfg)
}
