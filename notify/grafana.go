package notify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/egress"
)

// grafana draws a region for each step, from when every proxy had its weight to the verdict, and a point for a rollback.
type grafana struct {
	client *http.Client
	base   string // without a slash at the end
	token  string
	spec   v1alpha1.GrafanaSink
}

func (o *opening) grafana(ctx context.Context, s *v1alpha1.GrafanaSink) (Sink, error) {
	token, err := o.value(ctx, s.TokenSecretRef)
	if err != nil {
		return nil, err
	}
	base, options := strings.TrimSuffix(s.URL, "/"), egress.Options{Timeout: sendTimeout, PlainHTTP: s.Insecure}
	if err := o.check(base, options); err != nil {
		return nil, err
	}
	if err := o.roots(ctx, s.CASecretRef, &options); err != nil {
		return nil, err
	}
	return &grafana{client: o.Guard.Client(options), base: base, token: strings.TrimSpace(string(token)), spec: *s}, nil
}

// annotation is one of Grafana's, with times in milliseconds since 1970.
type annotation struct {
	Dashboard string   `json:"dashboardUID,omitempty"`
	Time      int64    `json:"time"`
	TimeEnd   int64    `json:"timeEnd,omitempty"`
	Tags      []string `json:"tags"`
	Text      string   `json:"text"`
}

// region is what a Receipt keeps: the id of the region that was drawn last, and where it begins.
type region struct{ id, begins int64 }

func (r region) ref() string { return fmt.Sprintf("%d %d", r.id, r.begins) }

func regionOf(ref string) (region, bool) {
	id, begins, _ := strings.Cut(ref, " ")
	a, errA := strconv.ParseInt(id, 10, 64)
	b, errB := strconv.ParseInt(begins, 10, 64)
	return region{a, b}, errA == nil && errB == nil
}

// Send implements Sink. The point comes last of what can fail: drawing a region again only moves its end.
func (g *grafana) Send(ctx context.Context, n Note) (Receipt, error) {
	var out Receipt
	at := n.Report.At.UnixMilli()
	drawn := annotation{Dashboard: g.spec.DashboardUID, Time: at, Tags: g.tags(n), Text: html.EscapeString(n.Line())}
	if acked := n.Report.AckedAt; acked != nil && !acked.After(n.Report.At) {
		step := drawn
		step.Time, step.TimeEnd = acked.UnixMilli(), at
		r, err := g.region(ctx, n.Ref, step)
		if err != nil {
			return out, err
		}
		out.Ref = r.ref()
		if n.Report.Note != v1alpha1.NoteRolledBack {
			return out, nil
		}
	}
	_, err := g.create(ctx, drawn)
	return out, err
}

// region moves the end of the region that a reference names, if it is that of the same step; else it draws one.
func (g *grafana) region(ctx context.Context, ref string, a annotation) (region, error) {
	if known, ok := regionOf(ref); ok && known.begins == a.Time {
		err := g.ask(ctx, http.MethodPatch, "/api/annotations/"+strconv.FormatInt(known.id, 10), a, nil)
		if f, failed := errors.AsType[*Failure](err); !failed || !errors.Is(f, errNoAnnotation) {
			return known, err
		}
	}
	id, err := g.create(ctx, a)
	return region{id, a.Time}, err
}

func (g *grafana) create(ctx context.Context, a annotation) (int64, error) {
	var made struct {
		ID int64 `json:"id"`
	}
	err := g.ask(ctx, http.MethodPost, "/api/annotations", a, &made)
	return made.ID, err
}

// tags say what an annotation is about.
func (g *grafana) tags(n Note) []string {
	out := []string{"sluice", n.subject().Namespace, n.subject().Name}
	if v := n.Report.Version; v != nil && v.Commit != "" {
		out = append(out, v.Commit)
	}
	for _, tag := range g.spec.Tags {
		if !slices.Contains(out, tag) {
			out = append(out, tag)
		}
	}
	return out
}

var errNoAnnotation = errors.New("there is no such annotation")

func (g *grafana) ask(ctx context.Context, method, path string, a annotation, out any) error {
	body, err := json.Marshal(a)
	if err != nil {
		return &Failure{Reason: v1alpha1.ReasonRefused, Hope: None, Err: err}
	}
	req, err := http.NewRequestWithContext(ctx, method, g.base+path, bytes.NewReader(body))
	if err != nil {
		return &Failure{Reason: v1alpha1.ReasonRefused, Hope: Thrice, Err: errors.New("the URL cannot be read")}
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+g.token)
	resp, err := g.client.Do(req)
	if err != nil {
		return unsent(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	switch {
	case err != nil:
		return unsent(err)
	case resp.StatusCode == http.StatusNotFound && method == http.MethodPatch:
		return &Failure{Reason: v1alpha1.ReasonRefused, Hope: Thrice, Err: errNoAnnotation}
	case resp.StatusCode/100 != 2:
		return refusal(resp, answer)
	case out == nil:
		return nil
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return &Failure{Reason: v1alpha1.ReasonRefused, Hope: Thrice, Err: fmt.Errorf("reading Grafana's answer: %w", err)} //nolint:staticcheck // a name
	}
	return nil
}
