package notify

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// slackAPI calls methods of Slack's Web API, and knows what its errors mean.
type slackAPI struct {
	client *http.Client
	base   string // without a slash at the end
	token  string
}

// slackError is an answer with ok: false.
type slackError struct {
	method string
	code   string // in Slack's words
}

// Error implements error.
func (e *slackError) Error() string {
	return fmt.Sprintf("Slack's %s says %s", e.method, problem.Clean(e.code, 64))
}

// call posts arguments as JSON and reads the answer into out.
func (s *slackAPI) call(ctx context.Context, method string, args, out any) error {
	body, err := json.Marshal(args)
	if err != nil {
		return &Failure{Reason: v1alpha1.ReasonRefused, Hope: None, Err: err}
	}
	return s.ask(ctx, slackCall{method, "application/json; charset=utf-8", body, maxAnswer}, out)
}

// form posts arguments as a form, for the methods that take no JSON.
func (s *slackAPI) form(ctx context.Context, method string, args url.Values, out any) error {
	return s.ask(ctx, slackCall{method, "application/x-www-form-urlencoded", []byte(args.Encode()), maxAnswer}, out)
}

// list is form, for methods that answer with messages or channels of other people.
func (s *slackAPI) list(ctx context.Context, method string, args url.Values, out any) error {
	return s.ask(ctx, slackCall{method, "application/x-www-form-urlencoded", []byte(args.Encode()), maxList}, out)
}

// slackCall is one call of a method; of its answer so many bytes are read.
type slackCall struct {
	method, contentType string
	body                []byte
	most                int64
}

func (s *slackAPI) ask(ctx context.Context, c slackCall, out any) error {
	method := c.method
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.base+"/"+method, bytes.NewReader(c.body))
	if err != nil {
		return &Failure{Reason: v1alpha1.ReasonRefused, Hope: Thrice, Err: errors.New("the URL of the API cannot be read")}
	}
	req.Header.Set("Content-Type", c.contentType)
	req.Header.Set("Authorization", "Bearer "+s.token)
	resp, err := s.client.Do(req)
	if err != nil {
		return unsent(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, c.most))
	switch {
	case err != nil:
		return unsent(err)
	case resp.StatusCode/100 != 2:
		return refusal(resp, answer)
	}
	var said struct {
		OK    bool   `json:"ok"`
		Error string `json:"error"`
	}
	if err := json.Unmarshal(answer, &said); err != nil {
		return &Failure{Reason: v1alpha1.ReasonUnreachable, Err: fmt.Errorf("Slack's %s answered with something else than JSON", method)} //nolint:staticcheck // a name
	}
	if !said.OK {
		return slackFailure(method, said.Error, retryAfter(resp.Header))
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return &Failure{Reason: v1alpha1.ReasonUnreachable, Err: fmt.Errorf("reading the answer of Slack's %s: %w", method, err)}
	}
	return nil
}

// slackFailure says what follows from an error code.
func slackFailure(method, code string, after time.Duration) *Failure {
	f := &Failure{Reason: v1alpha1.ReasonRefused, Hope: Thrice, After: after, Err: &slackError{method, cmp.Or(code, "nothing")}}
	switch code {
	case "ratelimited", "rate_limited", "message_limit_exceeded":
		f.Reason, f.Hope = v1alpha1.ReasonThrottled, Retry
	case "internal_error", "fatal_error", "service_unavailable", "request_timeout", "team_added_to_org", "accesslimited":
		f.Reason, f.Hope = v1alpha1.ReasonUnreachable, Retry
	case "not_authed", "invalid_auth", "account_inactive", "token_revoked", "token_expired", "no_permission", "missing_scope",
		"not_allowed_token_type", "access_denied", "ekm_access_denied", "org_login_required", "two_factor_setup_required", "enterprise_is_restricted":
		f.Reason, f.Hope = v1alpha1.ReasonUnauthorized, Stands
	case "channel_not_found", "not_in_channel", "is_archived", "restricted_action", "restricted_action_read_only_channel",
		"restricted_action_thread_only_channel", "restricted_action_non_threadable_channel", "restricted_action_thread_locked",
		"channel_is_limited_access", "team_access_not_granted", "messages_tab_disabled", "as_user_not_supported":
		f.Hope = Stands
	}
	return f
}

// gone reports that a message cannot be changed any more.
func gone(err error) bool {
	e, ok := errors.AsType[*slackError](err)
	if !ok {
		return false
	}
	switch e.code {
	case "message_not_found", "cant_update_message", "edit_window_closed", "thread_not_found":
		return true
	}
	return false
}

// upload puts a picture into a thread.
func (s *slackAPI) upload(ctx context.Context, at slackThread, png []byte, alt string) error {
	var place struct {
		URL string `json:"upload_url"`
		ID  string `json:"file_id"`
	}
	args := url.Values{"filename": {plotName}, "length": {fmt.Sprint(len(png))}, "alt_txt": {problem.Clean(alt, maxAlt)}}
	if err := s.form(ctx, "files.getUploadURLExternal", args, &place); err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, place.URL, bytes.NewReader(png))
	if err != nil {
		return &Failure{Reason: v1alpha1.ReasonRefused, Hope: Thrice, Err: errors.New("Slack named no place to upload to")} //nolint:staticcheck // a name
	}
	req.Header.Set("Content-Type", "application/octet-stream")
	if failed := exchange(s.client, req); failed != nil {
		failed.Err = problem.Conceal(failed.Err, req.URL.RequestURI())
		return failed
	}
	return s.call(ctx, "files.completeUploadExternal", map[string]any{
		"files":      []map[string]string{{"id": place.ID, "title": problem.Clean(alt, maxTitle)}},
		"channel_id": at.channel, "thread_ts": at.ts,
	}, nil)
}

// Slack's bounds of what is said of a picture, in bytes; its name; and the longest list that is read.
const (
	maxAlt   = 1000
	maxTitle = 255
	plotName = "evidence.png"
	maxList  = 4 << 20
)
