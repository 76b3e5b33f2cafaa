package notify

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"golang.org/x/net/http/httpguts"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/api/view"
)

// The headers of Standard Webhooks.
const (
	HeaderID        = "Webhook-Id"
	HeaderTimestamp = "Webhook-Timestamp"
	HeaderSignature = "Webhook-Signature"
)

const (
	secretPrefix = "whsec_"
	minSecret    = 16 // bytes of key
	dataSchema   = "https://sluice.dev/schemas/" + view.APIVersion + "/" + view.KindEvidenceReport
)

// webhook posts CloudEvents 1.0 in structured JSON, signed as Standard Webhooks says.
type webhook struct {
	client  *http.Client
	url     string
	secrets [][]byte    // each signs; none: unsigned
	headers http.Header // besides our own
	cluster string
	now     func() time.Time
}

// Send implements Sink.
func (w *webhook) Send(ctx context.Context, n Note) (Receipt, error) {
	body, err := CloudEvent(n, w.cluster)
	if err != nil {
		return Receipt{}, &Failure{Reason: v1alpha1.ReasonRefused, Hope: None, Err: err}
	}
	at := w.now().Unix()
	h := http.Header{}
	for name, values := range w.headers {
		h[name] = values
	}
	h.Set("Content-Type", event.ApplicationCloudEventsJSON)
	h.Set(HeaderID, n.ID)
	h.Set(HeaderTimestamp, strconv.FormatInt(at, 10))
	if len(w.secrets) > 0 {
		h.Set(HeaderSignature, Sign(w.secrets, n.ID, at, body))
	}
	return Receipt{}, post(ctx, w.client, w.url, h, body)
}

// parseHeaders reads headers, "Name: value", one a line.
func parseHeaders(text []byte) (http.Header, error) {
	out := http.Header{}
	for i, line := range strings.Split(string(text), "\n") {
		if strings.TrimSpace(line) == "" {
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		name, value = http.CanonicalHeaderKey(strings.TrimSpace(name)), strings.TrimSpace(value)
		switch {
		case !ok || !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value):
			return nil, fmt.Errorf("line %d is not of the form Name: value", i+1)
		case reserved(name):
			return nil, fmt.Errorf("line %d: the header %s is Sluice's own", i+1, name)
		}
		out.Add(name, value)
	}
	if len(out) == 0 {
		return nil, errors.New("there is no header")
	}
	return out, nil
}

// reserved reports that a header cannot be set by a Secret.
func reserved(name string) bool {
	switch name {
	case "Content-Type", "Content-Length", "Transfer-Encoding", "Connection", "Host", HeaderID, HeaderTimestamp, HeaderSignature:
		return true
	}
	return false
}

// CloudEvent gives the note as a CloudEvent 1.0 in structured JSON, sent by the installation named cluster.
func CloudEvent(n Note, cluster string) ([]byte, error) {
	r := n.Report
	e := event.New(event.CloudEventsVersionV1)
	e.SetID(n.ID)
	of, kind := n.subject(), "rollout"
	if r.Source != nil {
		kind = "source"
	}
	e.SetSource("/" + cluster + "/" + of.Namespace + "/" + kind + "s/" + of.Name)
	e.SetType("dev.sluice." + kind + "." + strings.ToLower(string(r.Note)) + ".v1")
	e.SetSubject(of.Namespace + "/" + of.Name)
	e.SetTime(r.At)
	e.SetDataSchema(dataSchema)
	if err := e.SetData(event.ApplicationJSON, r); err != nil {
		return nil, fmt.Errorf("writing the event: %w", err)
	}
	if err := e.Validate(); err != nil {
		return nil, fmt.Errorf("writing the event: %w", err)
	}
	return json.Marshal(e)
}

// Sign gives the value of the header Webhook-Signature: one signature of id, Unix time and body for each secret, in order.
func Sign(secrets [][]byte, id string, at int64, body []byte) string {
	var out []string
	for _, key := range secrets {
		out = append(out, "v1,"+base64.StdEncoding.EncodeToString(sum(key, id, at, body)))
	}
	return strings.Join(out, " ")
}

func sum(key []byte, id string, at int64, body []byte) []byte {
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%d.", id, at)
	mac.Write(body)
	return mac.Sum(nil)
}

// ParseSecrets reads signing secrets, one a line, each whsec_ followed by base64 of at least 16 bytes.
func ParseSecrets(text []byte) ([][]byte, error) {
	var out [][]byte
	for i, line := range strings.Fields(string(text)) {
		encoded, ok := strings.CutPrefix(line, secretPrefix)
		if !ok {
			return nil, fmt.Errorf("signing secret %d does not begin with %s", i+1, secretPrefix)
		}
		key, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil {
			return nil, fmt.Errorf("signing secret %d is not base64", i+1)
		}
		if len(key) < minSecret {
			return nil, fmt.Errorf("signing secret %d has %d bytes, want %d at least", i+1, len(key), minSecret)
		}
		out = append(out, key)
	}
	if len(out) == 0 {
		return nil, errors.New("there is no signing secret")
	}
	return out, nil
}
