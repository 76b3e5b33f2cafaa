package notify

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/slack-go/slack"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// slackWebhook posts messages to a Slack incoming webhook.
type slackWebhook struct {
	client  *http.Client
	url     string
	mention []string
}

// Send implements Sink.
func (s *slackWebhook) Send(ctx context.Context, n Note) (Receipt, error) {
	body, err := json.Marshal(SlackMessage(n, s.mention))
	if err != nil {
		return Receipt{}, &Failure{Reason: v1alpha1.ReasonRefused, Hope: None, Err: err}
	}
	h := http.Header{}
	h.Set("Content-Type", "application/json")
	return Receipt{}, post(ctx, s.client, s.url, h, body)
}

// SlackMessage gives the note as a Slack message: the line as text, which is what a phone shows, and blocks with the
// details. mention are members and groups to name in notes of severity Error.
func SlackMessage(n Note, mention []string) *slack.WebhookMessage {
	line := escape(n.Line())
	var details []slack.MixedElement
	for _, d := range n.Details() {
		details = append(details, plain(escape(d)))
	}
	blocks := []slack.Block{slack.NewSectionBlock(plain(line), nil, nil), slack.NewContextBlock("", details...)}
	if SeverityOf(n.Report.Note) == v1alpha1.SeverityError && len(mention) > 0 {
		var who []string
		for _, id := range mention {
			who = append(who, mentionOf(id))
		}
		names := slack.NewTextBlockObject(slack.MarkdownType, strings.Join(who, " "), false, true)
		blocks = append(blocks, slack.NewSectionBlock(names, nil, nil))
	}
	if links := buttons(n); links != nil {
		blocks = append(blocks, links)
	}
	no := false
	return &slack.WebhookMessage{Text: line, Parse: "none", Blocks: &slack.Blocks{BlockSet: blocks}, UnfurlLinks: &no, UnfurlMedia: &no}
}

func plain(text string) *slack.TextBlockObject {
	return slack.NewTextBlockObject(slack.PlainTextType, text, false, false)
}

// escape keeps text from being read as a mention, a link or a channel.
func escape(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(s)
}

func mentionOf(who string) string {
	if strings.HasPrefix(who, "S") {
		return "<!subteam^" + who + ">"
	}
	return "<@" + who + ">"
}
