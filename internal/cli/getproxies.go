package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/api/view"
)

// proxies prints what replicas report of their proxies: for people the proxies that are not in sync, else the reports.
// A name leaves those that say something of that proxy.
func (o *getOptions) proxies(ctx context.Context, s Streams, node string, within bool) error {
	o.all = !within
	kind, _ := resourceOf("fleetreports")
	if node != "" && !o.output.people() {
		return &Exit{Code: ExitUsage, Err: errors.New("the reports are of replicas: -o goes without the name of a proxy"), Next: "sluice proxy-status " + node + " -o json"}
	}
	if !o.output.people() {
		return o.objects(ctx, s, kind, "")
	}
	list := &v1alpha1.FleetReportList{}
	raw, err := answer(ctx, o.request(kind, ""))
	if err == nil {
		err = unmarshal(raw, list)
	}
	if err != nil {
		return failed("listing fleetreports", err)
	}
	if len(list.Items) == 0 {
		return &Exit{Code: ExitNotFound, Err: errNoReplica, Next: "sluice doctor"}
	}
	v := view.Fleet(list.Items)
	if node == "" {
		_, err := fmt.Fprint(s.Out, v.Table())
		return err
	}
	v.Splits = nil
	v.Exceptions = slices.DeleteFunc(v.Exceptions, func(e view.ExceptionView) bool { return e.Node != node })
	if len(v.Exceptions) == 0 {
		return &Exit{Code: ExitNotFound, Err: fmt.Errorf("proxy %q is in sync or not connected: replicas name only those that are not in sync", node), Next: "sluice proxy-status " + node + " --xds HOST:PORT"}
	}
	_, err = fmt.Fprint(s.Out, v.Table())
	return err
}

// errNoReplica says that no controller has written what it knows of its proxies.
var errNoReplica = errors.New("no replica of Sluice has reported")
