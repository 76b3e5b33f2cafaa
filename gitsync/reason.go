package gitsync

import (
	"errors"
	"time"

	"github.com/sluice-dev/sluice/api/problem"
)

// Reason is a condition reason of a Source. Its zero value means that nothing is wrong.
type Reason string

// Reasons of trouble that is retried by itself.
const (
	Unreachable   Reason = "Unreachable"
	Timeout       Reason = "Timeout"
	AuthFailed    Reason = "AuthFailed"
	TLSFailed     Reason = "TLSFailed"
	RefNotFound   Reason = "RefNotFound"
	StorageFailed Reason = "StorageFailed"
	ApplyFailed   Reason = "ApplyFailed"
	Throttled     Reason = "Throttled"
)

// Reasons of trouble that stays until Git, the spec or a person changes something.
const (
	SecretInvalid    Reason = "SecretInvalid"
	HostKeyUnknown   Reason = "HostKeyUnknown"
	HostKeyMismatch  Reason = "HostKeyMismatch"
	AddressRefused   Reason = "AddressRefused"
	RedirectRefused  Reason = "RedirectRefused"
	LimitExceeded    Reason = "LimitExceeded"
	HistoryRewritten Reason = "HistoryRewritten"
	TagMoved         Reason = "TagMoved"
	SignatureRefused Reason = "SignatureRefused"
	PathNotFound     Reason = "PathNotFound"
	TreeUnsafe       Reason = "TreeUnsafe"
	BuildFailed      Reason = "BuildFailed"
	BuildQuarantined Reason = "BuildQuarantined"
	EmptyBuild       Reason = "EmptyBuild"
	ContentInvalid   Reason = "ContentInvalid"
	NotAllowed       Reason = "NotAllowed"
	NoIdentity       Reason = "NoIdentity"
	Forbidden        Reason = "Forbidden"
	DependencyCycle  Reason = "DependencyCycle"
)

// Stalled reports whether waiting alone cannot mend r.
func (r Reason) Stalled() bool {
	switch r {
	case "", Unreachable, Timeout, AuthFailed, TLSFailed, RefNotFound, StorageFailed, ApplyFailed, Throttled:
		return false
	default:
		return true
	}
}

// Failure is why a fetch was refused. RetryAfter is what the server asked for, or zero; Problem is set where the
// user can mend something.
type Failure struct {
	Reason     Reason
	Err        error
	RetryAfter time.Duration
	Problem    *problem.Problem
	Verdict    Verdict // of a signature, where one was demanded and refused
}

// Error implements error.
func (f *Failure) Error() string {
	if f.Err == nil {
		return string(f.Reason)
	}
	return f.Err.Error()
}

// Unwrap gives the cause.
func (f *Failure) Unwrap() error { return f.Err }

// Fail makes a Failure.
func Fail(r Reason, err error) *Failure { return &Failure{Reason: r, Err: err} }

// ReasonOf gives the Reason of err: a Failure's own, otherwise fallback. A nil err has none.
func ReasonOf(err error, fallback Reason) Reason {
	if err == nil {
		return ""
	}
	if f, ok := errors.AsType[*Failure](err); ok {
		return f.Reason
	}
	return fallback
}
