// Package trace says what a trace of an attempt looks like: names, ids and spans as values. It sends nothing; trace/otlp does.
//
// The ids of an attempt are derived from the Rollout's uid and the attempt's number, so that a process that comes later goes
// on with the same trace and nothing is stored for it:
//
//	of := trace.Attempt{UID: uid, Number: 3}
//	span := of.Root() // and of.Step(2), whose parent that is
package trace

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"
)

// Names of spans.
const (
	NameAttempt = "rollout attempt"
	NameFetch   = "fetch"
	NameRender  = "render"
	NameApply   = "apply"
	NamePush    = "push"
	NameQuery   = "query"
	NameDecide  = "decide"
	NameNotify  = "notify"
)

// Names of events of a push.
const (
	EventAck  = "ack"
	EventNack = "nack"
)

// Keys of attributes: OpenTelemetry's where it has one, else ours.
const (
	KeyPipeline    = "cicd.pipeline.name"
	KeyRun         = "cicd.pipeline.run.id"
	KeyResult      = "cicd.pipeline.result"
	KeyRevision    = "vcs.ref.head.revision"
	KeyRepository  = "vcs.repository.url.full"
	KeyEnvironment = "deployment.environment.name"

	KeyNamespace = "k8s.namespace.name"
	KeyRollout   = "sluice.rollout"
	KeyHost      = "sluice.host"
	KeyStable    = "sluice.stable"
	KeyCanary    = "sluice.canary"
	KeyOutcome   = "sluice.outcome"
	KeyReason    = "sluice.reason"
	KeySeq       = "sluice.seq"
	KeyStep      = "sluice.step"
	KeyWeight    = "sluice.weight"
	KeyFrom      = "sluice.from"
	KeyTo        = "sluice.to"
	KeyVerdict   = "sluice.verdict"
	KeyMetric    = "sluice.metric"
	KeyProxy     = "sluice.proxy"
	KeyConnected = "sluice.proxies.connected"
	KeyAcked     = "sluice.proxies.acked"
	KeyNotifier  = "sluice.notifier"
	KeyNote      = "sluice.note"
)

// Results of an attempt, as KeyResult has them.
const (
	ResultSuccess      = "success"
	ResultFailure      = "failure"
	ResultCancellation = "cancellation"
)

// ID names a span within its trace. The zero value: no span.
type ID [8]byte

// Attempt is what a trace is about.
type Attempt struct {
	UID    string // of the Rollout
	Number int64
}

// String is what the ids are derived from.
func (a Attempt) String() string { return fmt.Sprintf("%s/%d", a.UID, a.Number) }

// Trace is the id of the attempt's trace.
func (a Attempt) Trace() (id [16]byte) {
	h := sha256.Sum256([]byte(a.String()))
	copy(id[:], h[:16])
	return id
}

// TraceText is the id of the trace as people read it.
func (a Attempt) TraceText() string { id := a.Trace(); return hex.EncodeToString(id[:]) }

// Root is the id of the span of the whole attempt.
func (a Attempt) Root() (id ID) {
	h := sha256.Sum256([]byte(a.String()))
	copy(id[:], h[16:24])
	return id
}

// Step is the id of a step's span.
func (a Attempt) Step(n int) ID { return a.span("step", fmt.Sprint(n)) }

// span is the id of a span that is neither, by what makes it the only one of its kind.
func (a Attempt) span(name, one string) (id ID) {
	h := sha256.Sum256([]byte(a.String() + "/" + name + "/" + one))
	copy(id[:], h[:8])
	return id
}

// StepName is the name of a step's span.
func StepName(n int) string { return fmt.Sprintf("step %d", n) }

// Span is a part of an attempt that is over.
type Span struct {
	Attempt    Attempt
	Name       string
	Parent     ID     // zero: the attempt
	One        string // besides its begin, what tells it from others of its name
	Step       int    // of a step's span; 0: it is none
	From, To   time.Time
	Failure    string // why it failed; empty: it did not
	Attributes []Attribute
	Events     []Event
}

// Attribute says something of a span or an event: a string or an int.
type Attribute struct {
	Key   string
	Value any
}

// Event is an instant within a span.
type Event struct {
	At         time.Time
	Name       string
	Attributes []Attribute
}

// ID is the span's own: that of the attempt, of a step, or one that follows from name, begin and what One says besides.
func (s Span) ID() ID {
	switch {
	case s.Name == NameAttempt:
		return s.Attempt.Root()
	case s.Step > 0:
		return s.Attempt.Step(s.Step)
	}
	return s.Attempt.span(s.Name, fmt.Sprintf("%d/%s", s.From.UnixNano(), s.One))
}

// Above is the id of the span above; zero: this is the root.
func (s Span) Above() ID {
	if s.Name == NameAttempt {
		return ID{}
	}
	if s.Parent == (ID{}) {
		return s.Attempt.Root()
	}
	return s.Parent
}
