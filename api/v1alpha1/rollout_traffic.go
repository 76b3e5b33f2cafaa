package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// ClientMatch is a condition on who asks: all its parts must hold.
//
// +kubebuilder:validation:XValidation:rule="has(self.headers) || has(self.cookies)",message="a match names at least one header or cookie"
type ClientMatch struct {
	// Headers that the request must have.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=4
	Headers []ValueMatch `json:"headers,omitempty"`
	// Cookies that the request must have.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=2
	Cookies []ValueMatch `json:"cookies,omitempty"`
}

// ValueMatch is a condition on the value of a header or cookie.
//
// +kubebuilder:validation:XValidation:rule="[has(self.exact), has(self.prefix), has(self.regex)].filter(b, b).size() == 1",message="set exactly one of exact, prefix and regex"
type ValueMatch struct {
	// Name of the header or cookie.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9_-]+$`
	Name string `json:"name"`
	// Exact is the whole value.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	Exact string `json:"exact,omitempty"`
	// Prefix is how the value begins.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	Prefix string `json:"prefix,omitempty"`
	// Regex is an RE2 expression for the whole value.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	Regex string `json:"regex,omitempty"`
}

// Mirror says which of stable's requests are copied to the canary.
type Mirror struct {
	// Percent of them.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	Percent int32 `json:"percent"`
	// Methods that are copied: a copy of a request that changes something changes it twice.
	// +optional
	// +listType=set
	// +kubebuilder:default={GET,HEAD}
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=9
	Methods []HTTPMethod `json:"methods,omitempty"`
}

// HTTPMethod is the method of a request.
// +kubebuilder:validation:Enum=GET;HEAD;POST;PUT;PATCH;DELETE;OPTIONS;TRACE;CONNECT
type HTTPMethod string

// Affinity keeps a client on the version it was sent to: a rising weight never moves it back to stable.
//
// +kubebuilder:validation:XValidation:rule="has(self.cookie) != has(self.header)",message="set exactly one of cookie and header"
type Affinity struct {
	// Cookie that the proxy hands out and recognises.
	// +optional
	Cookie *AffinityCookie `json:"cookie,omitempty"`
	// Header by which clients are told apart.
	// +optional
	Header *AffinityHeader `json:"header,omitempty"`
}

// AffinityCookie is the cookie that clients are told apart by.
//
// +kubebuilder:validation:XValidation:rule="!has(self.sameSite) || self.sameSite != 'none' || !has(self.secure) || self.secure",message="browsers take sameSite none from secure cookies only"
type AffinityCookie struct {
	// Name of the cookie; sluice-<rollout> where empty.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=72
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9_-]+$`
	Name string `json:"name,omitempty"`
	// MaxAge is how long a client keeps it.
	// +optional
	// +kubebuilder:default="24h"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1m') && duration(self) <= duration('720h')",message="maxAge must be 1m to 720h"
	MaxAge *Duration `json:"maxAge,omitempty"`
	// Path for which it is sent.
	// +optional
	// +kubebuilder:default="/"
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:Pattern=`^/[A-Za-z0-9._~/+@%=,:!$&'()*-]*$`
	Path string `json:"path,omitempty"`
	// SameSite says whether other sites' pages may send it.
	// +optional
	// +kubebuilder:default=lax
	SameSite SameSite `json:"sameSite,omitempty"`
	// Secure keeps it off plain http.
	// +optional
	// +kubebuilder:default=true
	Secure *bool `json:"secure,omitempty"`
}

// SameSite is a cookie's attribute of that name.
// +kubebuilder:validation:Enum=lax;strict;none
type SameSite string

// The values of SameSite.
const (
	SameSiteLax    SameSite = "lax"
	SameSiteStrict SameSite = "strict"
	SameSiteNone   SameSite = "none"
)

// AffinityHeader is the header that clients are told apart by.
type AffinityHeader struct {
	// Name of the header.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9_-]+$`
	Name string `json:"name"`
}

// Pause holds the rollout after a step's gate.
type Pause struct {
	// For is how long; empty: until somebody promotes.
	// +optional
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s') && duration(self) <= duration('720h')",message="pause.for must be 1s to 720h"
	For *Duration `json:"for,omitempty"`
}

// Approval holds the rollout at the end of a step until people approve.
type Approval struct {
	// Count is how many different people must approve.
	// +optional
	// +kubebuilder:default=1
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=5
	Count int32 `json:"count,omitempty"`
}

// Window is a time of the week in which the canary's traffic may be raised.
//
// +kubebuilder:validation:XValidation:rule="self.from != self.to",message="from and to must differ"
type Window struct {
	// Days on which it begins; empty: every day.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=7
	Days []Weekday `json:"days,omitempty"`
	// From is when it begins, as HH:MM.
	// +required
	// +kubebuilder:validation:MaxLength=5
	// +kubebuilder:validation:Pattern=`^([01][0-9]|2[0-3]):[0-5][0-9]$`
	From string `json:"from"`
	// To is when it ends, as HH:MM; on the next day where it is not after from.
	// +required
	// +kubebuilder:validation:MaxLength=5
	// +kubebuilder:validation:Pattern=`^([01][0-9]|2[0-3]):[0-5][0-9]$`
	To string `json:"to"`
	// TimeZone of the IANA database.
	// +optional
	// +kubebuilder:default=UTC
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9][A-Za-z0-9_+/-]*$`
	TimeZone string `json:"timeZone,omitempty"`
}

// Weekday is a day of the week.
// +kubebuilder:validation:Enum=Mon;Tue;Wed;Thu;Fri;Sat;Sun
type Weekday string

// Freeze is a time in which nothing is raised.
//
// +kubebuilder:validation:XValidation:rule="self.from < self.to",message="from must be before to"
type Freeze struct {
	// From is when it begins.
	// +required
	From metav1.Time `json:"from"`
	// To is when it ends.
	// +required
	To metav1.Time `json:"to"`
	// Reason, for people.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	Reason string `json:"reason"`
}

// RollbackWindow is when a version that was stable comes back by one step to 100 that only counts time: with at most that
// many versions completed since, and replaced at most that long ago. Capacity, acknowledgements and harm still count.
type RollbackWindow struct {
	// Versions completed since; 0: never.
	// +optional
	// +kubebuilder:default=1
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=5
	Versions *int32 `json:"versions,omitempty"`
	// MaxAge of its replacement.
	// +optional
	// +kubebuilder:default="1h"
	// +kubebuilder:validation:XValidation:rule="duration(self) <= duration('720h')",message="rollbackWindow.maxAge must be at most 720h"
	MaxAge *Duration `json:"maxAge,omitempty"`
}

// NotifyRef names a Notifier of the namespace.
type NotifyRef struct {
	// Name of the Notifier.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Name string `json:"name"`
	// Kinds of notes; empty: all.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	Kinds []NoteKind `json:"kinds,omitempty"`
}
