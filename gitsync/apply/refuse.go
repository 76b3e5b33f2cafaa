package apply

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/gitsync"
)

var (
	immutable    = regexp.MustCompile(`immutable`)
	unknownField = regexp.MustCompile(`unknown field "([^"]+)"`)
)

// trouble gives err its reason. Refusals stay recognisable: refusalOf looks at the cause.
func trouble(id gitsync.ID, err error) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	reason := gitsync.ApplyFailed
	if apierrors.IsTooManyRequests(err) {
		reason = gitsync.Throttled
	}
	if apierrors.IsForbidden(err) {
		reason = gitsync.Forbidden
	}
	failure := gitsync.Fail(reason, fmt.Errorf("%s: %w", id.Ref(), err))
	if seconds, ok := apierrors.SuggestsClientDelay(err); ok {
		failure.RetryAfter = time.Duration(seconds) * time.Second
	}
	return failure
}

// refusalOf gives the refusal that err is, or nil where trying again makes sense.
func refusalOf(it gitsync.Item, err error) *gitsync.Refusal {
	if err == nil {
		return nil
	}
	p := problem.Problem{Severity: problem.Error, Object: it.Object.ID.Ref(), Path: it.Object.Path, Line: it.Object.Line}
	text := message(err)
	switch {
	case meta.IsNoMatchError(err), unserved(err):
		p.Code, p.Field, p.Hint = "S412", "kind", "install the CustomResourceDefinition first"
		text = "the cluster has no kind " + it.Object.ID.GroupKind() + " in version " + it.Object.Version
	case apierrors.IsForbidden(err) && (strings.Contains(text, "admission") || strings.Contains(text, "denied the request")):
		p.Code, p.Hint = "S408", "satisfy the policy"
	case apierrors.IsForbidden(err):
		p.Code, p.Hint = "S406", "grant the right to the Source's service account"
	case apierrors.IsInvalid(err) && immutable.MatchString(text):
		p.Code, p.Hint = "S407", "delete the object, or give the new one another name"
	case apierrors.IsNotFound(err):
		p.Code, p.Hint = "S409", "create what is missing, such as the namespace, first"
	case apierrors.IsInvalid(err), apierrors.IsBadRequest(err), apierrors.IsRequestEntityTooLargeError(err), apierrors.IsMethodNotSupported(err):
		p.Code, p.Hint = "S409", "correct the object"
	default:
		return nil
	}
	if m := unknownField.FindStringSubmatch(text); m != nil {
		p.Code, p.Field, p.Hint = "S502", m[1], "correct the name, or remove the field"
	}
	var status apierrors.APIStatus
	if errors.As(err, &status) && p.Field == "" {
		if details := status.Status().Details; details != nil && len(details.Causes) > 0 {
			p.Field = strings.TrimPrefix(details.Causes[0].Field, ".")
		}
	}
	if it.Object.ID.GroupKind() == "Secret" {
		text = "the server refuses the Secret" // its answer may quote values
	}
	p.Message = problem.Clean(text, problem.MaxMessage)
	return &gitsync.Refusal{ID: it.Object.ID, Unit: it.Unit, Problem: p}
}

// unserved reports whether the server knows no such kind any more, though it did when it was asked for its kinds: nothing
// answers at the address of the object, and not that the object is missing.
func unserved(err error) bool {
	var status apierrors.APIStatus
	if !apierrors.IsNotFound(err) || !errors.As(err, &status) {
		return false
	}
	details := status.Status().Details
	return details != nil && slices.ContainsFunc(details.Causes, func(c metav1.StatusCause) bool { return c.Type == metav1.CauseTypeUnexpectedServerResponse })
}

// message gives the server's own words where there are any.
func message(err error) string {
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		return status.Status().Message
	}
	return err.Error()
}
