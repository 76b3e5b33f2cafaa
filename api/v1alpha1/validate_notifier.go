package v1alpha1

import (
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-dev/sluice/api/problem"
)

// Validate gives what is wrong with the spec, as Rollout.Validate does.
func (n *Notifier) Validate() []problem.Problem {
	f := &findings{object: KindNotifier + "/" + n.Namespace + "/" + n.Name}
	s := n.Spec.DeepCopy()
	s.Default()
	f.text("metadata.name", n.Name, 0, 63)
	if _, err := metav1.LabelSelectorAsSelector(s.Selector); err != nil {
		f.bound("spec.selector", "", "%v", err)
	}
	one(f, "spec.namespaces", s.Namespaces, ScopeSame, ScopeAll)
	for i, k := range s.Kinds {
		one(f, fmt.Sprintf("spec.kinds[%d]", i), k, NoteKinds()...)
	}
	one(f, "spec.minSeverity", s.MinSeverity, SeverityInfo, SeverityWarning, SeverityError)
	f.text("spec.environment", s.Environment, 0, 32)
	f.templates(s.Templates)
	sinks := 0
	for _, set := range []bool{s.Slack != nil, s.Webhook != nil, s.Teams != nil, s.GitStatus != nil, s.Grafana != nil} {
		if set {
			sinks++
		}
	}
	if sinks != 1 {
		f.bound("spec", "set exactly one of slack, webhook, teams, gitStatus and grafana", "a Notifier has exactly one sink")
	}
	if g := s.GitStatus; g != nil {
		one(f, "spec.gitStatus.provider", g.Provider, "", ForgeGitHub, ForgeGitLab, ForgeGitea)
		f.key("spec.gitStatus.tokenSecretRef", &g.TokenSecretRef)
		f.text("spec.gitStatus.context", g.Context, 0, 200)
	}
	if s.Slack != nil {
		f.slack(s.Slack)
	}
	if s.Webhook != nil {
		f.webhook(s.Webhook)
	}
	if s.Teams != nil {
		f.key("spec.teams.urlSecretRef", &s.Teams.URLSecretRef)
	}
	if s.Grafana != nil {
		f.grafana(s.Grafana)
	}
	return f.list
}

func (f *findings) templates(all map[NoteKind]LineTemplate) {
	for _, kind := range slices.Sorted(maps.Keys(all)) {
		field := fmt.Sprintf("spec.templates.%s", kind)
		if !slices.Contains(NoteKinds(), kind) {
			f.bound(field, "name a kind of notes, such as RolledBack", "%q is no kind of notes", string(kind))
		}
		if _, err := all[kind].Parse(); err != nil {
			f.bound(field, "docs/notifier.md lists the fields and functions of templates", "%v", err)
		}
	}
}

func (f *findings) slack(s *SlackSink) {
	if (s.TokenSecretRef == nil) == (s.WebhookSecretRef == nil) {
		f.bound("spec.slack", "set exactly one of tokenSecretRef and webhookSecretRef", "messages are sent with a token or by an incoming webhook")
	}
	if (s.TokenSecretRef == nil) != (s.Channel == "") {
		f.bound("spec.slack.channel", "set it with tokenSecretRef, and only then: an incoming webhook has its own", "the channel goes with the token")
	}
	if s.TokenSecretRef == nil && (s.Plot != nil || s.APIURL != "" || s.MentionAuthor) {
		f.bound("spec.slack", "use tokenSecretRef, or leave out plot, apiURL and mentionAuthor", "an incoming webhook can do no more than post")
	}
	if s.Channel != "" {
		f.name("spec.slack.channel", s.Channel, regexp.MustCompile(`^(#[^\s#<>&,]{1,80}|[CGD][A-Z0-9]{2,20})$`))
	}
	f.key("spec.slack.tokenSecretRef", s.TokenSecretRef)
	f.key("spec.slack.webhookSecretRef", s.WebhookSecretRef)
	for i, who := range s.MentionOnRollback {
		f.name(fmt.Sprintf("spec.slack.mentionOnRollback[%d]", i), who, regexp.MustCompile(`^[UWS][A-Z0-9]{2,20}$`))
	}
	if s.APIURL != "" {
		f.httpURL("spec.slack.apiURL", s.APIURL, true)
	}
}

func (f *findings) grafana(g *GrafanaSink) {
	f.httpURL("spec.grafana.url", g.URL, g.Insecure)
	f.key("spec.grafana.tokenSecretRef", &g.TokenSecretRef)
	f.key("spec.grafana.caSecretRef", g.CASecretRef)
	f.text("spec.grafana.dashboardUID", g.DashboardUID, 0, 40)
	for i, tag := range g.Tags {
		f.text(fmt.Sprintf("spec.grafana.tags[%d]", i), tag, 1, 64)
	}
}

func (f *findings) webhook(w *WebhookSink) {
	if (w.URL == "") == (w.URLSecretRef == nil) {
		f.bound("spec.webhook", "set exactly one of url and urlSecretRef", "a webhook has exactly one URL")
	}
	if w.URL != "" {
		f.httpURL("spec.webhook.url", w.URL, w.Insecure)
	}
	switch {
	case w.SigningSecretRef == nil && !w.Unsigned:
		f.bound("spec.webhook.signingSecretRef", "set it, or unsigned: true", "nothing signs the messages")
	case w.SigningSecretRef != nil && w.Unsigned:
		f.bound("spec.webhook.unsigned", "drop one of the two", "both unsigned and signingSecretRef are set")
	case w.Unsigned:
		f.add(CodeUnsigned, problem.Warning, "spec.webhook.unsigned", "a receiver cannot tell who sent a message", "set signingSecretRef")
	}
	f.key("spec.webhook.urlSecretRef", w.URLSecretRef)
	f.key("spec.webhook.signingSecretRef", w.SigningSecretRef)
	f.key("spec.webhook.headersSecretRef", w.HeadersSecretRef)
	f.key("spec.webhook.caSecretRef", w.CASecretRef)
	f.lasts("spec.webhook.timeout", w.Timeout, time.Second, 30*time.Second)
}

// httpURL looks at the URL of a receiver; plain says that http is meant.
func (f *findings) httpURL(field, text string, plain bool) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http"):
		f.bound(field, "write https://host/path", "not an http(s) URL")
	case u.User != nil:
		f.bound(field, "put what is secret into a Secret", "the URL has a user")
	case u.Scheme == "http" && !plain:
		f.bound(field, "use https, or set insecure: true", "the URL is plain http")
	}
}

func (f *findings) key(field string, ref *SecretKeyRef) {
	if ref != nil {
		f.text(field+".name", ref.Name, 1, 253)
		f.text(field+".key", ref.Key, 1, 253)
	}
}
