package controller

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// fragment is how many bytes of a canary may not be found anywhere: a text that was cut counts too.
const fragment = 12

// canaries are secrets that can be recognised, and what was logged.
type canaries struct {
	mu    sync.Mutex
	log   bytes.Buffer      // guarded by mu
	parts map[string]string // part of a secret -> what it is of; guarded by mu
}

func newCanaries() *canaries { return &canaries{parts: map[string]string{}} }

// logger keeps what Sluice can be told to log, and a little more. From verbosity 8 client-go writes out whole bodies; no
// handler of Sluice lets that through.
func (c *canaries) logger() logr.Logger {
	return funcr.New(func(prefix, args string) {
		c.mu.Lock()
		defer c.mu.Unlock()
		fmt.Fprintln(&c.log, prefix, args)
	}, funcr.Options{Verbosity: 6})
}

// secret makes a secret that nobody else has.
func (c *canaries) secret(of string) string {
	text := rand.Text()
	c.guard(of, text)
	return text
}

// guard looks out for a text, each line of it, also in base64 as headers hold it.
func (c *canaries) guard(of, text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if len(lines) == 1 {
		lines = append(lines, base64.StdEncoding.EncodeToString([]byte(text)))
	}
	for _, line := range lines {
		if strings.HasPrefix(line, "-----") {
			continue
		}
		for at := range max(0, len(line)-fragment+1) {
			c.parts[line[at:at+fragment]] = of
		}
	}
}

// pair guards a user and a password as basic authentication sends them, and gives the Secret's content.
func (c *canaries) pair(user, password string) map[string]string {
	c.guard("basic pair of "+user, base64.StdEncoding.EncodeToString([]byte(user+":"+password)))
	return map[string]string{"username": user, "password": password}
}

// find names the secrets of which a text shows something.
func (c *canaries) find(text string) (found []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	seen := map[string]bool{}
	for at := range max(0, len(text)-fragment+1) {
		if of, ok := c.parts[text[at:at+fragment]]; ok && !seen[of] {
			seen[of] = true
			found = append(found, fmt.Sprintf("%s in …%s…", of, text[max(0, at-80):min(len(text), at+60)]))
		}
	}
	return found
}

func (c *canaries) logged() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.log.String()
}

// TestCanaries_areFound makes sure that the search finds what it is to find.
func TestCanaries_areFound(t *testing.T) {
	t.Parallel()
	c := newCanaries()
	secret := c.secret("mine")
	pair := c.pair("ana", "a-longer-password")
	c.logger().V(6).Info("said", "what", secret)
	for _, text := range []string{secret, "x" + secret[3:3+fragment] + "y", base64.StdEncoding.EncodeToString([]byte(secret)), c.logged(),
		base64.StdEncoding.EncodeToString([]byte(pair["username"] + ":" + pair["password"]))} {
		if len(c.find(text)) == 0 {
			t.Errorf("%q is not found to show a secret", text)
		}
	}
	if found := c.find("nothing of it: " + secret[:fragment-1]); len(found) > 0 {
		t.Errorf("%v found where nothing is", found)
	}
}

// surfaces gives everything that people and tools get to see, by name.
func (w *world) surfaces(c *canaries) map[string]string {
	w.Helper()
	out := map[string]string{"log": c.logged()}
	sources := &v1alpha1.SourceList{}
	old, events := &corev1.EventList{}, &eventsv1.EventList{}
	for name, list := range map[string]client.ObjectList{"Sources": sources, "events": old, "events of events.k8s.io": events} {
		if err := w.client.List(w.Context(), list, client.InNamespace(w.ns)); err != nil {
			w.Fatal(err)
		}
		raw, err := json.Marshal(list)
		if err != nil {
			w.Fatal(err)
		}
		out[name] = string(raw)
	}
	r := prometheus.NewRegistry()
	r.MustRegister(w.controller.Collectors()...)
	for _, fetcher := range []any{w.controller.config.Fetcher} {
		if measuring, ok := fetcher.(interface{ Collectors() []prometheus.Collector }); ok {
			r.MustRegister(measuring.Collectors()...)
		}
	}
	families, err := r.Gather()
	if err != nil {
		w.Fatal(err)
	}
	for _, f := range families {
		out["metrics"] += f.String() + "\n"
	}
	return out
}
