package fleet

import (
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/xds/ir"
)

// How much is kept of a name that a proxy has given itself, and of that of a resource, in bytes.
const (
	maxName     = 253
	maxResource = 1000
)

// statusOf is the report as it is stored. What is the same as in before keeps its instant.
func statusOf(r ir.Report, before v1alpha1.FleetReportStatus, incarnation string, now time.Time) v1alpha1.FleetReportStatus {
	out := v1alpha1.FleetReportStatus{Incarnation: incarnation, Proxies: v1alpha1.FleetProxies{
		Connected: int32(r.Connected), Synced: int32(r.Synced), Pending: int32(r.Pending), Rejected: int32(r.Rejected), Lost: int32(r.Lost), Away: int32(r.Away),
	}}
	for i, s := range r.Splits {
		if i == v1alpha1.MaxFleetSplits {
			out.SplitsOmitted = int32(len(r.Splits) - i)
			break
		}
		out.Splits = append(out.Splits, splitOf(s))
	}
	since := map[v1alpha1.FleetException]metav1.MicroTime{}
	if before.Incarnation == incarnation {
		for _, e := range before.Exceptions {
			at := e.Since
			e.Since = metav1.MicroTime{}
			since[e] = at
		}
	}
	for i, e := range r.Exceptions {
		if i == v1alpha1.MaxFleetExceptions {
			out.ExceptionsOmitted = int32(len(r.Exceptions) - i)
			break
		}
		one := exceptionOf(e)
		switch at, known := since[one]; {
		case known:
			one.Since = at
		case !e.At.IsZero():
			one.Since = instant(e.At)
		default:
			one.Since = instant(now)
		}
		out.Exceptions = append(out.Exceptions, one)
	}
	return out
}

func splitOf(s ir.SplitReport) v1alpha1.FleetSplit {
	c := s.Convergence
	out := v1alpha1.FleetSplit{
		Split: s.Use.Key, UID: s.Use.UID, Seq: int64(s.Use.Seq), Weight: int32(s.Use.Weight), Rest: s.Use.Rest, Rendered: c.Rendered,
		Connected: int32(c.Connected), Acked: int32(c.Acked), Nacked: int32(c.Nacked), Lost: int32(c.Lost), Away: int32(c.Away),
	}
	for _, node := range c.Laggards[:min(len(c.Laggards), v1alpha1.MaxFleetPending)] {
		out.Pending = append(out.Pending, problem.Clean(node, maxName))
	}
	if f := c.First; f != nil {
		out.FirstNack = &v1alpha1.FleetNack{
			Node: problem.Clean(f.Node, maxName), Type: short(f.TypeURL), Resource: problem.Clean(f.Resource, maxResource), Version: f.Version, Message: f.Message, At: instant(f.At),
		}
	}
	return out
}

func exceptionOf(e ir.Exception) v1alpha1.FleetException {
	return v1alpha1.FleetException{
		Node: problem.Clean(e.Node, maxName), Namespace: problem.Clean(e.Namespace, maxName), Kind: string(e.Kind), State: stateOf(e.Standing),
		Type: short(e.TypeURL), Resource: problem.Clean(e.Resource, maxResource), Message: e.Message,
	}
}

func stateOf(s ir.Standing) v1alpha1.FleetState {
	switch s {
	case ir.Rejected:
		return v1alpha1.FleetRejected
	case ir.Lost:
		return v1alpha1.FleetLost
	case ir.Pending, ir.Synced:
	}
	return v1alpha1.FleetPending
}

// short is the name of a type without its package.
func short(typeURL string) string { return typeURL[strings.LastIndexByte(typeURL, '.')+1:] }

// instant is t as it is stored and read again.
func instant(t time.Time) metav1.MicroTime {
	return metav1.NewMicroTime(t.Truncate(time.Microsecond).Local())
}
