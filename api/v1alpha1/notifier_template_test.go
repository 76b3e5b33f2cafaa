package v1alpha1_test

import (
	"strings"
	"testing"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

func TestLineTemplate_gives(t *testing.T) {
	t.Parallel()
	note := v1alpha1.NoteLine{Environment: "prod-eu", Kind: "RolledBack", Name: "reviews", Step: 1, Weight: 15, Version: "v3", Author: `A "x" <b>`, Sentence: "rolled back to v2: errors"}
	for source, want := range map[string]string{
		"{{.Environment | upper}} {{.Name}} {{.Version}}: {{.Sentence | truncate 11}}":        "PROD-EU reviews v3: rolled bac…",
		"{{if and .Author (gt .Weight 10)}}by {{json .Author}}{{else}}nobody{{end}}":          `by "A \"x\" \u003cb\u003e"`,
		"{{with .Subject}}{{.}}{{else}}no subject{{end}}":                                     "no subject",
		"{{$n := .Name}}{{$n | lower}} {{$.Step}}{{/* said */}}":                              "reviews 1",
		"  {{if eq .Kind \"RolledBack\"}}back{{end}}\n":                                       "back",
		strings.Repeat("x", v1alpha1.MaxLine):                                                 strings.Repeat("x", v1alpha1.MaxLine),
		"{{truncate 100 .Name}}{{truncate 0 .Name}}{{truncate -1 .Name}}{{truncate 1 .Name}}": "reviewsreviewsreviews…",
	} {
		got, err := v1alpha1.LineTemplate(source).Line(note)
		if err != nil || got != want {
			t.Errorf("%s: %q, %v, want %q", source, got, err, want)
		}
	}
}

func TestLineTemplate_refuses(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]string{
		"{{.Name":                               "unclosed action",
		"{{.Owner}}":                            "there is no field .Owner",
		"{{$.Owner}}":                           "there is no field .Owner",
		"{{.Name.Length}}":                      "there is no field .Name.Length",
		"{{printf \"%1000000d\" 1}}":            "there is no function printf",
		"{{env \"HOME\"}}":                      "not defined",
		"{{range 1000000000}}{{end}}":           "range is not possible",
		"{{define \"a\"}}{{end}}x":              "define and block are not possible",
		"{{template \"line\"}}":                 "template is not possible",
		"{{block \"b\" .}}{{end}}":              "not possible",
		"{{if .Sentence}}{{call .Name}}{{end}}": "there is no function call",
		"{{(index .Name 0).X}}":                 "is not possible",
		"{{.Author}}":                           "gives nothing",
		"{{.Name | truncate}}":                  "wrong number of args",
		"":                                      "gives nothing",
		"{{json ." + strings.Repeat(" | json", 300) + "}}": "more than 16384 bytes on its way",
		strings.Repeat("x", v1alpha1.MaxLine+1):            "more than 1024 bytes",
		strings.Repeat("x", v1alpha1.MaxTemplate+1):        "at most 4096",
	} {
		if got, err := v1alpha1.LineTemplate(source).Line(v1alpha1.NoteLine{Name: "reviews", Sentence: "x"}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: %q, %v, want an error that says %q", source, got, err, want)
		}
	}
}

func TestNotifier_validateSinks(t *testing.T) {
	t.Parallel()
	key, plot := &v1alpha1.SecretKeyRef{Name: "s", Key: "k"}, true
	for name, row := range map[string]struct {
		spec v1alpha1.NotifierSpec
		want string // field of the only finding; empty: none
	}{
		"token":               {v1alpha1.NotifierSpec{Slack: &v1alpha1.SlackSink{TokenSecretRef: key, Channel: "#deploys", Plot: &plot}}, ""},
		"token, channel id":   {v1alpha1.NotifierSpec{Slack: &v1alpha1.SlackSink{TokenSecretRef: key, Channel: "C0123ABCD"}}, ""},
		"token, no channel":   {v1alpha1.NotifierSpec{Slack: &v1alpha1.SlackSink{TokenSecretRef: key}}, "spec.slack.channel"},
		"token, bad channel":  {v1alpha1.NotifierSpec{Slack: &v1alpha1.SlackSink{TokenSecretRef: key, Channel: "deploys"}}, "spec.slack.channel"},
		"hook":                {v1alpha1.NotifierSpec{Slack: &v1alpha1.SlackSink{WebhookSecretRef: key}}, ""},
		"hook with channel":   {v1alpha1.NotifierSpec{Slack: &v1alpha1.SlackSink{WebhookSecretRef: key, Channel: "#a"}}, "spec.slack.channel"},
		"hook with plot":      {v1alpha1.NotifierSpec{Slack: &v1alpha1.SlackSink{WebhookSecretRef: key, Plot: &plot}}, "spec.slack"},
		"hook with author":    {v1alpha1.NotifierSpec{Slack: &v1alpha1.SlackSink{WebhookSecretRef: key, MentionAuthor: true}}, "spec.slack"},
		"neither":             {v1alpha1.NotifierSpec{Slack: &v1alpha1.SlackSink{}}, "spec.slack"},
		"both":                {v1alpha1.NotifierSpec{Slack: &v1alpha1.SlackSink{TokenSecretRef: key, WebhookSecretRef: key, Channel: "#a"}}, "spec.slack"},
		"teams":               {v1alpha1.NotifierSpec{Teams: &v1alpha1.TeamsSink{URLSecretRef: *key}}, ""},
		"teams without a key": {v1alpha1.NotifierSpec{Teams: &v1alpha1.TeamsSink{URLSecretRef: v1alpha1.SecretKeyRef{Name: "s"}}}, "spec.teams.urlSecretRef.key"},
		"grafana":             {v1alpha1.NotifierSpec{Grafana: &v1alpha1.GrafanaSink{URL: "https://g/", TokenSecretRef: *key, Tags: []string{"a"}}}, ""},
		"grafana over http":   {v1alpha1.NotifierSpec{Grafana: &v1alpha1.GrafanaSink{URL: "http://g/", TokenSecretRef: *key}}, "spec.grafana.url"},
		"grafana, insecure":   {v1alpha1.NotifierSpec{Grafana: &v1alpha1.GrafanaSink{URL: "http://g/", TokenSecretRef: *key, Insecure: true}}, ""},
		"grafana with user":   {v1alpha1.NotifierSpec{Grafana: &v1alpha1.GrafanaSink{URL: "https://a:b@g/", TokenSecretRef: *key}}, "spec.grafana.url"},
		"two sinks":           {v1alpha1.NotifierSpec{Slack: &v1alpha1.SlackSink{WebhookSecretRef: key}, Teams: &v1alpha1.TeamsSink{URLSecretRef: *key}}, "spec"},
		"template":            {v1alpha1.NotifierSpec{Teams: &v1alpha1.TeamsSink{URLSecretRef: *key}, Templates: map[v1alpha1.NoteKind]v1alpha1.LineTemplate{"RolledBack": "{{.Nam}}"}}, "spec.templates.RolledBack"},
		"template of nothing": {v1alpha1.NotifierSpec{Teams: &v1alpha1.TeamsSink{URLSecretRef: *key}, Templates: map[v1alpha1.NoteKind]v1alpha1.LineTemplate{"Back": "x"}}, "spec.templates.Back"},
		"scope":               {v1alpha1.NotifierSpec{Teams: &v1alpha1.TeamsSink{URLSecretRef: *key}, Namespaces: "Some"}, "spec.namespaces"},
	} {
		n := &v1alpha1.Notifier{Spec: row.spec}
		n.Name = "team"
		found := n.Validate()
		if row.want == "" && len(found) > 0 || row.want != "" && (len(found) != 1 || found[0].Field != row.want) {
			t.Errorf("%s: found %+v, want %q", name, found, row.want)
		}
	}
}
