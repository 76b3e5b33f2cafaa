package v1alpha1

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-dev/sluice/api/problem"
)

// The condition types.
const (
	ConditionReady         = "Ready"         // every kind: the summary
	ConditionReconciling   = "Reconciling"   // every kind, present only while True: something is under way or retried
	ConditionStalled       = "Stalled"       // every kind, present only while True: nothing happens until somebody acts
	ConditionAccepted      = "Accepted"      // Rollout: the spec is understood
	ConditionResolvedRefs  = "ResolvedRefs"  // Rollout: what the spec names exists
	ConditionProgrammed    = "Programmed"    // Rollout: proxies run what the status asks for
	ConditionHealthy       = "Healthy"       // Rollout: the verdict
	ConditionInSyncWithGit = "InSyncWithGit" // Rollout: what runs is what Git wants
	ConditionComparable    = "Comparable"    // Rollout, while an attempt is open: both versions get the same mix of requests
	ConditionConsumed      = "Consumed"      // RolloutAction: it was decided on
	ConditionPaused        = "Paused"        // Rollout, present only while True
	ConditionRolledBack    = "RolledBack"    // Rollout, present only while True
	ConditionStableShort   = "StableShort"   // Rollout, present only while True: stable has fewer endpoints than at the start
	ConditionNotJudged     = "NotJudged"     // Rollout, present only while True: the attempt goes on without a metric that nobody counts
	ConditionPruneHeld     = "PruneHeld"     // Source, present only while True
	ConditionVerified      = "Verified"      // Source, present only with spec.verify: signatures
	ConditionDrifted       = "Drifted"       // Source, present only while True: somebody else keeps changing what it applies
)

// The reasons of a Rollout: of its conditions, of its transitions and of its events.
const (
	ReasonAdopted                  = "Adopted"
	ReasonAttemptStarted           = "AttemptStarted"
	ReasonWeightRequested          = "WeightRequested"
	ReasonWeightProgrammed         = "WeightProgrammed"
	ReasonStepPassed               = "StepPassed"
	ReasonCompleted                = "Completed"
	ReasonStable                   = "Stable"
	ReasonWarmDownEnded            = "WarmDownEnded"
	ReasonObservationStarted       = "ObservationStarted"
	ReasonReverted                 = "Reverted"
	ReasonRestarted                = "Restarted"
	ReasonApproved                 = "Approved"
	ReasonResumed                  = "Resumed"
	ReasonAborted                  = "Aborted"
	ReasonBootstrapping            = "Bootstrapping"
	ReasonManualRollback           = "ManualRollback"
	ReasonSuperseded               = "Superseded"
	ReasonDeleted                  = "Deleted"
	ReasonStableChanged            = "StableChanged"
	ReasonKnownRejected            = "KnownRejected"
	ReasonCleared                  = "Cleared"
	ReasonRolledBack               = "RolledBack"
	ReasonRollbackUnconfirmed      = "RollbackUnconfirmed"
	ReasonPreparing                = "Preparing"
	ReasonShifting                 = "Shifting"
	ReasonBaking                   = "Baking"
	ReasonObserving                = "Observing"
	ReasonRollingBack              = "RollingBack"
	ReasonDataPlaneRejected        = "DataPlaneRejected"
	ReasonCanaryUnavailable        = "CanaryUnavailable"
	ReasonConvergenceTimeout       = "ConvergenceTimeout"
	ReasonDeadlineExceeded         = "DeadlineExceeded"
	ReasonProgressDeadlineExceeded = "ProgressDeadlineExceeded"
	ReasonBlindTimeout             = "BlindTimeout"
	ReasonInconclusiveTimeout      = "InconclusiveTimeout"
	ReasonRefsNotResolved          = "RefsNotResolved"
	ReasonSourceApplying           = "SourceApplying"
	ReasonSuspicious               = "Suspicious"
	ReasonIncident                 = "Incident"
	ReasonBlind                    = "Blind"
	ReasonPauseStep                = "PauseStep"
	ReasonApprovalNeeded           = "ApprovalNeeded"
	ReasonManualPause              = "ManualPause"
	ReasonPausedInGit              = "PausedInGit"
	ReasonOutsideWindow            = "OutsideWindow"
	ReasonFrozen                   = "Frozen"
	ReasonActionRefused            = "ActionRefused"
	ReasonSameMix                  = "SameMix"
	ReasonMatchStep                = "MatchStep"
	ReasonMirrorStep               = "MirrorStep"
	ReasonPinnedRoute              = "PinnedRoute"
	ReasonSomeRoutes               = "SomeRoutes"
	ReasonAffinity                 = "Affinity"
	ReasonNotifierNotFound         = "NotifierNotFound"
	ReasonNoProxies                = "NoProxies"
	ReasonDataPlaneBehind          = "DataPlaneBehind"
	ReasonInsufficientCapacity     = "InsufficientCapacity"
	ReasonWaitingForTraffic        = "WaitingForTraffic"
	ReasonStableEmpty              = "StableEmpty"
	ReasonStableReady              = "StableReady"
	ReasonBelowBase                = "BelowBase"
	ReasonEmpty                    = "Empty"
	ReasonNonInferior              = "NonInferior"
	ReasonInvalidSpec              = "InvalidSpec"
	ReasonBlocked                  = "Blocked"
	ReasonInvariantBroken          = "InvariantBroken"
	ReasonUnknownState             = "UnknownState"
	ReasonAccepted                 = "Accepted"
	ReasonPlanPending              = "PlanPending"
	ReasonHostConflict             = "HostConflict"
	ReasonResolvedRefs             = "ResolvedRefs"
	ReasonServiceNotFound          = "ServiceNotFound"
	ReasonSubsetNotFound           = "SubsetNotFound"
	ReasonRouteNotFound            = "RouteNotFound"
	ReasonNothingToSplit           = "NothingToSplit"
	ReasonMetricTemplateNotFound   = "MetricTemplateNotFound"
	ReasonPrometheusNotFound       = "PrometheusNotFound"
	ReasonProgrammed               = "Programmed"
	ReasonPending                  = "Pending"
	ReasonInSync                   = "InSync"
	ReasonProgressing              = "Progressing"
	ReasonSourceNotReady           = "SourceNotReady"
	ReasonHeld                     = "Held"
	ReasonNotificationFailed       = "NotificationFailed"
)

// The reasons of a Source. Those after ReasonSuspended are of failures.
const (
	ReasonApplied           = "Applied"
	ReasonFetching          = "Fetching"
	ReasonBuilding          = "Building"
	ReasonApplying          = "Applying"
	ReasonWaitingForRollout = "WaitingForRollout"
	ReasonSuspended         = "Suspended"

	ReasonDependencyNotReady = "DependencyNotReady"
	ReasonRepaired           = "Repaired"
	ReasonContested          = "Contested"
	ReasonOrphans            = "Orphans"
	ReasonLeftBehind         = "LeftBehind"

	ReasonUnreachable      = "Unreachable"
	ReasonTimeout          = "Timeout"
	ReasonAuthFailed       = "AuthFailed"
	ReasonTLSFailed        = "TLSFailed"
	ReasonRefNotFound      = "RefNotFound"
	ReasonStorageFailed    = "StorageFailed"
	ReasonApplyFailed      = "ApplyFailed"
	ReasonThrottled        = "Throttled"
	ReasonSecretInvalid    = "SecretInvalid"
	ReasonHostKeyUnknown   = "HostKeyUnknown"
	ReasonHostKeyMismatch  = "HostKeyMismatch"
	ReasonAddressRefused   = "AddressRefused"
	ReasonRedirectRefused  = "RedirectRefused"
	ReasonLimitExceeded    = "LimitExceeded"
	ReasonHistoryRewritten = "HistoryRewritten"
	ReasonTagMoved         = "TagMoved"
	ReasonSignatureRefused = "SignatureRefused"
	ReasonPathNotFound     = "PathNotFound"
	ReasonTreeUnsafe       = "TreeUnsafe"
	ReasonBuildFailed      = "BuildFailed"
	ReasonEmptyBuild       = "EmptyBuild"
	ReasonContentInvalid   = "ContentInvalid"
	ReasonNotAllowed       = "NotAllowed"
	ReasonNoIdentity       = "NoIdentity"
	ReasonForbidden        = "Forbidden"
	ReasonProblemsPresent  = "ProblemsPresent"

	ReasonSigned    = "Signed" // of Verified, like the four below
	ReasonMissing   = "Missing"
	ReasonUntrusted = "Untrusted"
	ReasonInvalid   = "Invalid"
	ReasonExpired   = "Expired"

	ReasonDescentUnproven = "DescentUnproven" // of an event
	ReasonStableNeeds     = "StableNeeds"
	ReasonDependencyCycle = "DependencyCycle"
)

// The reasons of a Notifier, besides ReasonUnreachable, ReasonThrottled and ReasonSuspended.
const (
	ReasonReady          = "Ready"
	ReasonSecretNotFound = "SecretNotFound"
	ReasonUnauthorized   = "Unauthorized"
	ReasonGone           = "Gone"
	ReasonRefused        = "Refused"
	ReasonNotPermitted   = "NotPermitted" // of Accepted too
)

// MaxReadyMessage and MaxMessage bound the messages of Ready and of all other conditions, in bytes.
const (
	MaxReadyMessage = 512
	MaxMessage      = 256
)

// readyKind is what Reconciling and Stalled say beside Ready.
type readyKind int

const (
	readyDone readyKind = iota
	readyMoving
	readyStalled
	readyRetrying
)

// Conditions builds the condition list of one status write: it starts from the conditions stored before, so that
// lastTransitionTime moves only with the status, stamps the generation, and leaves out what was not set again.
//
// +kubebuilder:object:generate=false
type Conditions struct {
	before     []metav1.Condition
	after      []metav1.Condition
	generation int64
	now        time.Time
}

// NewConditions starts a list at now for an object of that generation that stored before until now.
func NewConditions(before []metav1.Condition, generation int64, now time.Time) *Conditions {
	return &Conditions{before: before, generation: generation, now: now}
}

// Ready says that all is done: Ready is True, neither Reconciling nor Stalled is present.
func (c *Conditions) Ready(reason, message string) {
	c.ready(readyDone, metav1.ConditionTrue, reason, message)
}

// Moving says that something is under way: Ready is Unknown, Reconciling is True.
func (c *Conditions) Moving(reason, message string) {
	c.ready(readyMoving, metav1.ConditionUnknown, reason, message)
}

// Stalled says that nothing happens until somebody acts: Ready is False, Stalled is True.
func (c *Conditions) Stalled(reason, message string) {
	c.ready(readyStalled, metav1.ConditionFalse, reason, message)
}

// Failing says that a failure is being retried: Ready is False, Reconciling is True.
func (c *Conditions) Failing(reason, message string) {
	c.ready(readyRetrying, metav1.ConditionFalse, reason, message)
}

// Retrying says that a failure too young to matter is being retried: Ready stays as it was before (Unknown if it
// never was), Reconciling is True with the failure's reason.
func (c *Conditions) Retrying(reason, message string) {
	was := Condition(c.before, ConditionReady)
	if was == nil {
		c.Moving(reason, message)
		return
	}
	c.Set(ConditionReady, was.Status, was.Reason, was.Message)
	c.Set(ConditionReconciling, metav1.ConditionTrue, reason, message)
}

func (c *Conditions) ready(kind readyKind, status metav1.ConditionStatus, reason, message string) {
	c.Set(ConditionReady, status, reason, message)
	switch kind {
	case readyDone:
	case readyMoving, readyRetrying:
		c.Set(ConditionReconciling, metav1.ConditionTrue, reason, message)
	case readyStalled:
		c.Set(ConditionStalled, metav1.ConditionTrue, reason, message)
	}
}

// Set adds or replaces one condition. Use Ready, Moving, Stalled, Failing or Retrying for the three they write.
func (c *Conditions) Set(kind string, status metav1.ConditionStatus, reason, message string) {
	limit := MaxMessage
	if kind == ConditionReady {
		limit = MaxReadyMessage
	}
	next := metav1.Condition{
		Type:               kind,
		Status:             status,
		Reason:             reason,
		Message:            problem.Clean(message, limit),
		ObservedGeneration: c.generation,
		LastTransitionTime: metav1.NewTime(c.now.Truncate(time.Second)),
	}
	if was := Condition(c.before, kind); was != nil && was.Status == status {
		next.LastTransitionTime = was.LastTransitionTime
	}
	for i := range c.after {
		if c.after[i].Type == kind {
			c.after[i] = next
			return
		}
	}
	c.after = append(c.after, next)
}

// List gives the conditions in the order in which they were set.
func (c *Conditions) List() []metav1.Condition { return append([]metav1.Condition(nil), c.after...) }

// Condition finds a condition by type; nil if it is not there.
func Condition(list []metav1.Condition, kind string) *metav1.Condition {
	for i := range list {
		if list[i].Type == kind {
			return &list[i]
		}
	}
	return nil
}
