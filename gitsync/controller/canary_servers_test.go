package controller

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// gate lets in who proves itself, and says back what it was told to who comes by one of its other ways: in each place of
// an answer that an error might quote.
type gate struct {
	next  http.Handler
	proof func(header string) bool // of Authorization
}

// ServeHTTP implements http.Handler.
func (g gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	way, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	told := r.Header.Get("Authorization")
	if user, password, ok := r.BasicAuth(); ok {
		told += " " + password + " " + user
	}
	kind := "application/x-git-upload-pack-advertisement"
	if r.Method == http.MethodPost {
		kind = "application/x-git-upload-pack-result"
	}
	if strings.HasSuffix(r.URL.Path, "/git-receive-pack") {
		kind = "application/x-git-receive-pack-result"
	}
	switch way {
	case "refuse":
		w.Header().Set("WWW-Authenticate", "Basic realm="+told)
		http.Error(w, told, http.StatusForbidden)
	case "fail":
		http.Error(w, told, http.StatusInternalServerError)
	case "packet":
		w.Header().Set("Content-Type", kind)
		_, _ = io.WriteString(w, packet("ERR "+told))
	case "kind":
		w.Header().Set("Content-Type", told)
	case "redirect":
		w.Header().Set("Location", "https://"+strings.NewReplacer(" ", ".", "=", "", "/", "", "+", "").Replace(told)+".example.com/r")
		w.WriteHeader(http.StatusFound)
	case "broken":
		sayRaw(w, "HTTP/1.1 200 OK\r\n"+told+"\r\n\r\n")
	case "list":
		w.Header().Set("Content-Type", kind)
		_, _ = io.WriteString(w, packet("# service=git-upload-pack\n")+"0000"+packet("version 2\n")+packet("object-format="+told+"\n")+"0000")
	case "band":
		if r.Method == http.MethodPost && r.Header.Get("Git-Protocol") == "" {
			w.Header().Set("Content-Type", kind)
			_, _ = io.WriteString(w, packet("NAK\n")+packet("\x03"+told+"\n")+"0000")
			return
		}
		r.URL.Path = "/" + rest
		g.next.ServeHTTP(w, r)
	default:
		if !g.proof(r.Header.Get("Authorization")) {
			http.Error(w, told, http.StatusUnauthorized)
			return
		}
		g.next.ServeHTTP(w, r)
	}
}

// writers is a gate for those who prove themselves: who does not is let in to read.
type writers struct{ gate }

// ServeHTTP implements http.Handler.
func (g writers) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "" {
		g.gate.ServeHTTP(w, r)
		return
	}
	way, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	if _, known := wants()[way]; known {
		r.URL.Path = "/" + rest
	}
	g.next.ServeHTTP(w, r)
}

func packet(line string) string { return fmt.Sprintf("%04x%s", len(line)+4, line) }

func sayRaw(w http.ResponseWriter, text string) {
	if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
		_, _ = io.WriteString(conn, text)
		conn.Close()
	}
}

// parrot is the API of a forge: it gives a token to anybody, or repeats what it was asked.
type parrot struct {
	token string
	way   string
	heard func(assertion string)
}

// ServeHTTP implements http.Handler.
func (p parrot) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	told := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	p.heard(told)
	switch p.way {
	case "":
		w.WriteHeader(http.StatusCreated)
		_ = json.NewEncoder(w).Encode(map[string]any{"token": p.token, "expires_at": time.Now().Add(time.Hour)})
	case "refuse":
		http.Error(w, told, http.StatusUnauthorized)
	case "broken":
		sayRaw(w, "HTTP/1.1 200 OK\r\n"+told+"\r\n\r\n")
	default:
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, told)
	}
}

// leakyProxy connects who knows the password, and tells everybody else what they said.
type leakyProxy struct{ password string }

// ServeHTTP implements http.Handler.
func (p leakyProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	told := r.Header.Get("Proxy-Authorization")
	_, password, _ := (&http.Request{Header: http.Header{"Authorization": {told}}}).BasicAuth()
	if password != p.password {
		if strings.HasPrefix(password, "BROKEN") {
			sayRaw(w, "HTTP/1.1 "+told+" "+password+"\r\n\r\n")
			return
		}
		sayRaw(w, "HTTP/1.1 502 "+told+" "+password+"\r\n\r\n"+told)
		return
	}
	out, err := (&net.Dialer{}).DialContext(r.Context(), "tcp", r.Host)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer out.Close()
	in, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer in.Close()
	_, _ = io.WriteString(in, "HTTP/1.1 200 OK\r\n\r\n")
	go func() { _, _ = io.Copy(out, in); out.Close() }()
	_, _ = io.Copy(in, out)
}
