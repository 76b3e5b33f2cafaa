package app

import (
	"cmp"
	"runtime"
	"runtime/debug"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	gitcontroller "github.com/sluice-dev/sluice/gitsync/controller"
	"github.com/sluice-dev/sluice/gitsync/gogit"
	"github.com/sluice-dev/sluice/notify"
	rolloutcontroller "github.com/sluice-dev/sluice/rollout/controller"
	"github.com/sluice-dev/sluice/trace/otlp"
	xdscontroller "github.com/sluice-dev/sluice/xds/controller"
	"github.com/sluice-dev/sluice/xds/issuer"
	xdsserver "github.com/sluice-dev/sluice/xds/server"
)

// Telemetry says what is measured and told of the work itself.
type Telemetry struct {
	Traces     Traces // of attempts
	PerRollout Switch // each Rollout has series of its own; off: all are measured together
	Open       bool   // whoever reaches the address of metrics may read them; else, but on this machine, who may get /metrics
}

// Metrics is what every Sluice measures of itself: one list for the registry and for the page that describes it.
func Metrics() ([]Metric, error) {
	all := process("", "", func() bool { return false })
	all = append(all, rolloutcontroller.Measured()...)
	all = append(all, notify.Measured()...)
	all = append(all, gitcontroller.Measured()...)
	all = append(all, gogit.Measured()...)
	all = append(all, xdscontroller.Measured()...)
	all = append(all, xdsserver.Measured()...)
	all = append(all, issuer.Measured()...)
	all = append(all, otlp.Measured()...)
	return describe(all)
}

// process is what is measured of the process as a whole.
func process(version, commit string, leads func() bool) []prometheus.Collector {
	build := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "sluice_build_info", Help: "1, with what the labels say of this build; commit is empty where the build does not know it.",
	}, []string{"version", "commit", "go"})
	build.WithLabelValues(version, cmp.Or(commit, Revision()), runtime.Version()).Set(1)
	return []prometheus.Collector{build, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "sluice_leader", Help: "1 while this replica decides.",
	}, func() float64 {
		if leads() {
			return 1
		}
		return 0
	})}
}

// Revision is the commit that the build itself noted in this program; empty: it did not.
func Revision() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value
		}
	}
	return ""
}

// register lets what is measured be seen; of a manager that was made before it takes the place.
func register(all []prometheus.Collector) error {
	for _, one := range all {
		metrics.Registry.Unregister(one)
		if err := metrics.Registry.Register(one); err != nil {
			return err
		}
	}
	return nil
}
