package prom_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/analysis"
	"github.com/sluice-dev/sluice/analysis/prom"
)

// beServer in the environment makes this program a Prometheus for the benchmark, so that its work is not counted.
const beServer = "SLUICE_TEST_BE_PROMETHEUS"

func TestMain(m *testing.M) {
	if os.Getenv(beServer) != "" {
		serve()
		return
	}
	os.Exit(m.Run())
}

// serve answers queries until standard input ends. Counters grow steadily; all is scraped every 5 s from two targets.
func serve() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(listener.Addr())
	go func() { _ = http.Serve(listener, http.HandlerFunc(steady)) }() //nolint:gosec // it lives as long as a benchmark
	_, _ = io.Copy(io.Discard, os.Stdin)
}

var ( //nolint:gochecknoglobals // compiled once
	span     = regexp.MustCompile(`\[(\d+)s\]$`)
	named    = regexp.MustCompile(`__name__=~?"([^"]*)"`)
	kinds    = regexp.MustCompile(`kind=~?"([^"]*)"`)
	les      = regexp.MustCompile(`,le=~"([^"]*)"`)
	clusters = regexp.MustCompile(`(?:envoy_cluster_name|cluster)=~?"([^"]*)"`)
)

func steady(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm()
	q := r.PostForm.Get("query")
	at, _ := strconv.ParseFloat(r.PostForm.Get("time"), 64)
	length, _ := strconv.ParseInt(span.FindStringSubmatch(q)[1], 10, 64)
	var samples []int64
	for t := (int64(at) - length + 4) / 5 * 5; t < int64(at); t += 5 { // each is .123 later
		samples = append(samples, t)
	}
	out := bufio.NewWriterSize(w, 64<<10)
	defer func() { _ = out.Flush() }()
	_, _ = out.WriteString(`{"status":"success","data":{"resultType":"matrix","result":[`)
	first := true
	series := func(labels string, perSecond int64) {
		if !first {
			_ = out.WriteByte(',')
		}
		first = false
		_, _ = fmt.Fprintf(out, `{"metric":{%s},"values":[`, labels)
		for i, t := range samples {
			if i > 0 {
				_ = out.WriteByte(',')
			}
			var buf []byte
			buf = append(buf, '[')
			buf = strconv.AppendInt(buf, t, 10)
			buf = append(buf, ".123,\""...)
			buf = strconv.AppendInt(buf, (t-1_700_000_000)*perSecond, 10)
			_, _ = out.Write(append(buf, "\"]"...))
		}
		_, _ = out.WriteString("]}")
	}
	bounds := []string{"0.5", "1", "5", "10", "25", "50", "100", "250", "500", "1000", "2500", "5000", "10000", "30000", "60000", "300000", "600000", "1.8e+06", "3.6e+06", "+Inf"}
	var asked []string // of the bounds; none: all
	if one := les.FindStringSubmatch(q); one != nil {
		asked = strings.Split(strings.ReplaceAll(one[1], `\\`, ""), "|")
	}
	names := strings.Split(named.FindStringSubmatch(q)[1], "|")
	for _, cluster := range strings.Split(strings.ReplaceAll(clusters.FindStringSubmatch(q)[1], `\\|`, "\x00"), "|") {
		cluster = strings.ReplaceAll(strings.ReplaceAll(cluster, "\x00", "|"), `\\.`, ".")
		for target := range 2 {
			for _, name := range names {
				common := fmt.Sprintf(`"__name__":%q,"instance":"10.0.0.%d:15090","job":"envoy-gateways","namespace":"istio-system","pod":"gateway-%d"`, name, target, target)
				switch {
				case name == "shop_total":
					if !strings.Contains(q, "result=") {
						for _, kind := range strings.Split(kinds.FindStringSubmatch(q)[1], "|") {
							series(common+fmt.Sprintf(`,"cluster":%q,"kind":%q`, cluster, kind), 20)
						}
					}
				case strings.HasSuffix(name, "_bucket"):
					for i, le := range bounds {
						if asked != nil && !slices.Contains(asked, le) {
							continue
						}
						series(common+fmt.Sprintf(`,"envoy_cluster_name":%q,"le":%q`, cluster, le), int64(i))
					}
				case strings.HasSuffix(name, "_xx"):
					if strings.Contains(q, "|5") || strings.Contains(q, `"5"`) {
						series(common+fmt.Sprintf(`,"envoy_cluster_name":%q,"envoy_response_code_class":"5"`, cluster), 0)
					}
				default:
					series(common+fmt.Sprintf(`,"envoy_cluster_name":%q`, cluster), 20)
				}
			}
		}
	}
	_, _ = out.WriteString("]}}")
}

// startSteady starts that server in a process of its own.
func startSteady(b *testing.B) string {
	b.Helper()
	cmd := exec.Command(os.Args[0]) //nolint:noctx // it ends with its standard input
	cmd.Env = append(os.Environ(), beServer+"=1")
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = in.Close(); _ = cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return "http://" + strings.TrimSpace(line)
}

// patient is a Rollout in the middle of a step, as the controller keeps it.
type patient struct {
	arms     analysis.Arms
	evidence analysis.Evidence
	report   analysis.Report
}

// five metrics: three built-in ones and two of one's own.
func five() analysis.Config {
	cfg := analysis.Default()
	for _, name := range []string{"clientErrors", "latency"} {
		if c, ok := analysis.Builtin(name); ok {
			cfg.Criteria = append(cfg.Criteria, c)
		}
	}
	for _, name := range []string{"checkout", "payments"} {
		c := analysis.Criterion{Name: name, Required: true}
		c.Ratio = &analysis.Ratio{Bad: `shop_total{cluster="{{cluster}}",kind="` + name + `",result="bad"}`, Total: `shop_total{cluster="{{cluster}}",kind="` + name + `"}`}
		cfg.Criteria = append(cfg.Criteria, c)
	}
	return cfg
}

// look makes one look at all Rollouts, as the controller does: two queries of each at a time.
func look(b *testing.B, s *prom.Server, judge *analysis.Ready, all []*patient, at time.Time) {
	var running sync.WaitGroup
	moment := analysis.Moment{At: at, Seq: 1, Step: 1, Weight: 15, Endpoints: 3, Since: time.Unix(1_800_000_000, 0), Settled: time.Unix(1_800_000_000, 0)}
	for _, p := range all {
		running.Go(func() {
			queries := judge.Queries(p.evidence, moment, p.arms)
			reads := make([]analysis.Read, len(queries))
			var next atomic.Int64
			ask := func() {
				for i := int(next.Add(1)) - 1; i < len(queries); i = int(next.Add(1)) - 1 {
					reads[i].Metric = queries[i].Metric
					if reads[i].Series, reads[i].Err = s.Series(b.Context(), queries[i]); reads[i].Err != nil {
						b.Error(reads[i].Err)
					}
				}
			}
			var asking sync.WaitGroup
			asking.Go(ask)
			ask()
			asking.Wait()
			p.evidence, p.report = judge.Judge(p.evidence, judge.Collect(p.evidence, moment, reads))
		})
	}
	running.Wait()
}

// judged reports that the bounds of a histogram are chosen.
func judged(r analysis.Report, metric string) bool {
	return slices.ContainsFunc(r.Metrics, func(m analysis.MetricReport) bool {
		return m.Name == metric && m.Bounds != nil && len(m.Bounds.Judged) > 0
	})
}

func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// One round looks at 1,000 Rollouts with five metrics each: queries, decoding, windows, verdict. It has 5 s, and shall cost
// less than 5 % of a core. The server's work is not counted.
func BenchmarkRound(b *testing.B) {
	for name, gather := range map[string]time.Duration{"together": 0, "alone": -1} {
		b.Run(name, func(b *testing.B) {
			s, err := prom.New(prom.Config{URL: startSteady(b), Gather: gather, Timeout: 30 * time.Second})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			all := make([]*patient, 1000)
			for i := range all {
				vars := func(cluster string) []map[string]string { return []map[string]string{{"cluster": cluster}} }
				all[i] = &patient{arms: analysis.Arms{
					Canary: []string{cluster("v2", i)}, Stable: []string{cluster("v1", i)},
					CanaryVars: vars(cluster("v2", i)), StableVars: vars(cluster("v1", i)),
				}}
			}
			judge := five().Ready()
			at := time.Unix(1_800_000_030, 0)
			for range 10 { // the first looks learn how often is scraped, and by which bounds latency is judged
				look(b, s, judge, all, at)
				at = at.Add(5 * time.Second)
			}
			if !judged(all[0].report, "latency") {
				b.Fatalf("latency is not judged yet: %+v", all[0].report)
			}
			used := cpu()
			b.ResetTimer()
			for range b.N {
				look(b, s, judge, all, at)
				at = at.Add(5 * time.Second)
			}
			each := (cpu() - used) / time.Duration(b.N)
			b.ReportMetric(float64(each.Microseconds())/1000, "cpu-ms/round")
			b.ReportMetric(each.Seconds()/5*100, "%core")
			if r := all[0].report; r.Verdict == analysis.Blind || len(r.Metrics) < 4 {
				b.Errorf("report %+v", r)
			}
		})
	}
}
