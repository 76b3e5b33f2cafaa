package notify

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// maxCard is the largest message that Teams takes, in bytes.
const maxCard = 28 << 10

// teams posts adaptive cards to the workflow of a channel.
type teams struct {
	client *http.Client
	url    string
}

func (o *opening) teams(ctx context.Context, s *v1alpha1.TeamsSink) (Sink, error) {
	target, client, err := o.secretURL(ctx, s.URLSecretRef)
	if err != nil {
		return nil, err
	}
	return &teams{client: client, url: target}, nil
}

// Send implements Sink.
func (t *teams) Send(ctx context.Context, n Note) (Receipt, error) {
	body, err := TeamsMessage(n)
	if err != nil {
		return Receipt{}, &Failure{Reason: v1alpha1.ReasonRefused, Hope: None, Err: err}
	}
	h := http.Header{}
	h.Set("Content-Type", "application/json")
	return Receipt{}, post(ctx, t.client, t.url, h, body)
}

// card is an adaptive card, as far as notes need it.
type card struct {
	Schema  string       `json:"$schema"`
	Type    string       `json:"type"`
	Version string       `json:"version"`
	Body    []cardBlock  `json:"body"`
	Actions []cardAction `json:"actions,omitempty"`
	MSTeams struct {
		Width string `json:"width"`
	} `json:"msteams"`
}

// cardBlock is a RichTextBlock: its text is text, whatever it holds, while that of a TextBlock is Markdown.
type cardBlock struct {
	Type    string    `json:"type"`
	Inlines []cardRun `json:"inlines"`
}

type cardRun struct {
	Type   string `json:"type"`
	Text   string `json:"text"`
	Weight string `json:"weight,omitempty"`
	Color  string `json:"color,omitempty"`
	Subtle bool   `json:"isSubtle,omitempty"`
}

type cardAction struct {
	Type  string `json:"type"`
	Title string `json:"title"`
	URL   string `json:"url"`
}

// TeamsMessage gives the note as a message with one adaptive card 1.4, of at most 28 KB: first the line, then the details.
func TeamsMessage(n Note) ([]byte, error) {
	c := card{Schema: "http://adaptivecards.io/schemas/adaptive-card.json", Type: "AdaptiveCard", Version: "1.4"}
	c.MSTeams.Width = "Full"
	line := n.Line()
	c.Body = append(c.Body, cardBlock{"RichTextBlock", []cardRun{{Type: "TextRun", Text: line, Weight: "Bolder", Color: colour(n.Report.Note)}}})
	for _, d := range n.Details() {
		c.Body = append(c.Body, cardBlock{"RichTextBlock", []cardRun{{Type: "TextRun", Text: d, Subtle: true}}})
	}
	for _, l := range n.Report.Links {
		c.Actions = append(c.Actions, cardAction{"Action.OpenUrl", title(l.Name), l.URL})
	}
	message := func() ([]byte, error) {
		return json.Marshal(map[string]any{"type": "message", "summary": line, "attachments": []map[string]any{
			{"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": nil, "content": c}}})
	}
	body, err := message()
	if err == nil && len(body) > maxCard {
		c.Body, c.Actions = c.Body[:1], nil
		return message()
	}
	return body, err
}

// colour is one of those that every theme of Teams has.
func colour(kind v1alpha1.NoteKind) string {
	switch SeverityOf(kind) {
	case v1alpha1.SeverityError:
		return "Attention"
	case v1alpha1.SeverityWarning:
		return "Warning"
	case v1alpha1.SeverityInfo:
	}
	if kind == v1alpha1.NoteCompleted || kind == v1alpha1.NoteGitInSync {
		return "Good"
	}
	return "Default"
}
