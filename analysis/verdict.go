package analysis

// Verdict is what the evidence says about the canary at the present step. Its zero value is Unknown.
type Verdict string

// The verdicts. First match wins: a latched Rollback, Rollback, Blind, Inconclusive for a hold reason, Promote,
// other Inconclusive.
const (
	Unknown      Verdict = ""             // nothing judged yet; treated as Inconclusive
	Rollback     Verdict = "Rollback"     // evidence of harm or a hard rule; stays for the attempt
	Promote      Verdict = "Promote"      // evidence of non-inferiority, and the bake was observed
	Inconclusive Verdict = "Inconclusive" // there is data, and it says neither
	Blind        Verdict = "Blind"        // a required metric has no usable data
)

// String is the verdict's name; Unknown for the zero value.
func (v Verdict) String() string {
	if v == Unknown {
		return "Unknown"
	}
	return string(v)
}

// Reason says why a verdict is what it is. The set is closed; its members are used as condition and event reasons
// and as metric labels. The zero value is no reason.
type Reason string

// Reasons of Rollback and Promote. BlindTimeout and InconclusiveTimeout come from rollout.Step, the others from Judge.
const (
	RegressionDetected  Reason = "RegressionDetected" // evidence of harm reached 1/alpha
	HardFail            Reason = "HardFail"           // half of the canary's requests fail and stable's do not
	Stalled             Reason = "Stalled"            // the canary does not finish what it is sent
	SLOBreach           Reason = "SLOBreach"          // at 100 %: the guard reached 1/alphaGuard
	GateFailed          Reason = "GateFailed"
	BlindTimeout        Reason = "BlindTimeout"
	InconclusiveTimeout Reason = "InconclusiveTimeout"
	NonInferior         Reason = "NonInferior" // every required metric is cleared
)

// Reasons of Inconclusive. Those of Holds keep the step where it is whatever the policy; the others are of the
// kind that time or traffic mends.
const (
	Suspicious        Reason = "Suspicious" // evidence of harm is at 10 or more, short of 1/alpha
	Incident          Reason = "Incident"   // both arms fail: not the version
	TrafficMismatch   Reason = "TrafficMismatch"
	GateInconclusive  Reason = "GateInconclusive"
	Collecting        Reason = "Collecting"    // no closed window in this step yet
	NeedsRequests     Reason = "NeedsRequests" // a required metric is not cleared
	Baking            Reason = "Baking"        // cleared, but not observed for long enough
	GateRunning       Reason = "GateRunning"
	PartialTargets    Reason = "PartialTargets" // over 5 % of the expected targets are missing
	BaselineMissing   Reason = "BaselineMissing"
	NoPromotionSource Reason = "NoPromotionSource" // no metric is required, so nothing could ever promote
)

// Reasons of Blind. The first group are failures of a read, as analysis/prom names them.
const (
	NotConfigured Reason = "NotConfigured" // there is no server to read it from
	Unreachable   Reason = "Unreachable"
	Timeout       Reason = "Timeout"
	Unauthorized  Reason = "Unauthorized"
	HTTPStatus    Reason = "HTTPStatus"
	BadResponse   Reason = "BadResponse"
	TooLarge      Reason = "TooLarge"
	QueryRejected Reason = "QueryRejected"
	Warnings      Reason = "Warnings"
	WrongType     Reason = "WrongType"
	TooManySeries Reason = "TooManySeries"
	NotFinite     Reason = "NotFinite"
	NotCounter    Reason = "NotCounter"

	Stale           Reason = "Stale"           // no new sample
	NoSeries        Reason = "NoSeries"        // neither arm has a series of requests
	NoTraffic       Reason = "NoTraffic"       // both arms silent for 5 min
	NoCanaryTraffic Reason = "NoCanaryTraffic" // canary silent for 60 s, stable not
	NoData          Reason = "NoData"          // of sluice judge: no window closed, or the input ends in a gap
)

// Holds reports whether an Inconclusive verdict for this reason keeps the step where it is whatever
// onInconclusive says.
func (r Reason) Holds() bool {
	switch r {
	case Suspicious, Incident, TrafficMismatch, GateInconclusive:
		return true
	default:
		return false
	}
}

// Thin reports whether the reason is merely too little data so far: the only ones for which the policy
// onInconclusive: promote may act.
func (r Reason) Thin() bool { return r == Collecting || r == NeedsRequests }
