package pages

// The states that commands want.
const (
	held     state = "an attempt waits at its first step"
	approved state = "an attempt waits at its first step, and has all approvals"
	paused   state = "an attempt is paused"
	halfway  state = "an attempt waits at 50 %"
	done     state = "the version that Git wants serves"
	rejected state = "the version that Git wants was taken back"
)

// special is what has to be known of commands to type them here, by their text.
func special() map[string]how {
	const (
		loopback = "the receiver of this test is on this machine"
		quick    = "that takes a quarter of an hour"
		differs  = "exit code 1 says that there are differences"
		verify   = "sluice webhook verify --secret-file whsec.txt --id 0b7f3c1e-5a52-4f0b-9a44-2f6c1d3e8a90.3.11.team --timestamp 1767225600 --signature v1,KAN1brgp8/AoTyNnOORKaH4Oi102iuqTWJ85jRIGNCg= --max-age 0 <body.json"
		elided   = "the page leaves out what is different in each delivery"
		ports    = " --xds-addr 127.0.0.1:0 --metrics-addr 127.0.0.1:0 --health-addr 127.0.0.1:0 --hook-addr 0 --decisions-addr 127.0.0.1:0"
		taken    = "its ports are taken by other tests"
		up       = "look  +kubectl get rollouts"
		few      = " --runs 3"
		many     = "200 runs of each row take a minute"
		lost     = "something of this Canary cannot be kept, which --strict answers by exit code 3"
	)
	return map[string]how{
		// What CI runs by itself.
		"make demo": {none: true, why: "it is a step of .ci/run, by itself"},
		"make test": {none: true, why: "it is what runs this test"},
		"cd standalone && go test ./e2e -run TestDetection -v": {none: true, why: "make e2e runs it; TestPages_testsThatTheyNameExist knows its name"},

		// Somebody acts: the Rollout has to be where he can.
		"sluice promote reviews": {state: held},
		`sluice promote reviews --full --reason "the fix of today's outage"`: {state: approved},
		`sluice skip reviews --step 3 --reason "known from staging"`:         {state: approved},
		`sluice rollback reviews --reason "the page is blank"`:               {state: held},
		`sluice abort reviews --reason "wrong image"`:                        {state: held},
		`sluice pause reviews --reason "looking at the traces"`:              {state: held},
		"sluice resume reviews":                                              {state: paused},
		`sluice retry reviews --reason "the database is back"`:               {state: rejected},
		"sluice approve reviews":                                             {state: halfway},
		"sluice approve reviews --step 3":                                    {state: halfway},

		// Somebody looks.
		"sluice wait reviews --for=completed --timeout 20m": {state: done},
		"sluice wait reviews --for=weight=50":               {state: halfway},
		"sluice wait reviews --for=condition=Ready":         {state: done},
		"sluice status reviews":                             {state: done},
		"sluice status reviews -n bookinfo":                 {state: done},
		"sluice status reviews -n bookinfo --watch":         {state: done},
		"sluice status reviews --watch --timeout 10m":       {state: done},
		"sluice status reviews --metrics":                   {state: done},
		"sluice status reviews -o json":                     {state: done},
		"sluice get rollout reviews --watch":                {state: done},
		"sluice events reviews --watch -o json":             {state: done},
		"sluice logs reviews --watch -o json":               {state: done},
		"sluice tree reviews":                               {state: held},
		"sluice trace deployment/reviews-v2 -n bookinfo":    {state: held, lacks: []string{"rollout", "xds", "proxy"}, why: "the versions are no Pods here, so no Rollout is theirs"},
		"sluice report reviews -n bookinfo":                 {state: done},

		"sluice convert canary.yaml --from flagger --strict --report lost.json": {code: 3, why: lost},
		"sluice convert canary.yaml --strict --report lost.json >sluice.yaml":   {code: 3, why: lost},

		// The chart, and the programs of its Pods.
		"helm install sluice charts/sluice -n sluice-system --create-namespace --set prometheus.url=http://prometheus.monitoring:9090 --set gateway.enabled=true": {state: removed},
		"helm install sluice charts/sluice -n sluice-system --set 'namespaces={shop,books}'":                                                                      {state: removed},
		"helm test sluice -n sluice-system --logs":                                                             {state: runs, meanwhile: testPod},
		"helm uninstall sluice -n sluice-system":                                                               {state: installed},
		"sluice controller --prometheus http://prometheus.monitoring:9090":                                     {state: installed, adds: ports, why: taken, until: "Starting workers"},
		"sluice controller --config sluice.yaml":                                                               {state: installed, adds: ports, why: taken, until: "Starting workers"},
		"sluice proxy-status gateway.shop --xds sluice.example:15012 --cert tls.crt --key tls.key --ca ca.crt": {state: runs, code: 5, why: "no proxy of that name is connected there, and that is what it says"},

		// Alone, and in the examples.
		"sluice up": {until: up, keeps: true},
		"sluice up https://git.example.com/shop.git --ref main --path deploy": {until: up, keeps: true},
		"examples/try blue-green":                                 {until: up, keeps: true},
		"examples/try canary":                                     {until: up, keeps: true},
		"examples/try header-ab":                                  {until: up, keeps: true},
		"examples/try istio-files":                                {until: up, keeps: true},
		"examples/try mirror":                                     {until: up, keeps: true},
		"examples/try multi-service":                              {until: up, keeps: true},
		"examples/try slo-guard":                                  {until: up, keeps: true},
		"examples/try vm":                                         {until: up, keeps: true},
		"examples/ask.py 31100":                                   {until: `v\d: \d`},
		"kubectl get rollouts -w":                                 {until: "reviews"},
		"curl -H 'Host: preview.example' http://127.0.0.1:31200/": {state: released},
		"curl -H 'x-beta: 1' http://127.0.0.1:31300/":             {state: released},

		"sluice proxy-status": {lacks: []string{"3/5", "PROXY", "gw-1", "gw-2"}, why: "all proxies are in sync here"},
		"sluice report reviews -n bookinfo --scenario >reviews.txt": {adds: " --leader 127.0.0.1:8082", why: "another test may have that port, which is the default"},

		// As many runs as they say would take minutes.
		"sluice simulate --rps 20 --canary-errors 0.1%,1%,5%":                           {adds: few, why: many},
		"sluice simulate --rps 20 --stable-errors 0.2% --canary-errors 1%,5%":           {adds: few, why: many},
		"sluice simulate rollout.yaml --canary-errors 1% --fault-at 8m":                 {adds: few, why: many},
		"sluice simulate --config rollout.yaml --weight 25 --pods 12 --outages 2/h:20s": {adds: few, why: many},
		"sluice simulate sluice.yaml --rps 100":                                         {adds: few, why: many},

		// Files, and what is not here.
		"sluice notify test team -n bookinfo":                                                                                              {adds: " --allow-loopback", why: loopback},
		"sluice diff deploy -n bookinfo":                                                                                                   {code: 1, why: differs},
		"sluice diff deploy --base origin/main -n shop":                                                                                    {code: 1, why: differs},
		"sluice diff deploy --base origin/main -o json":                                                                                    {code: 1, why: differs},
		"sluice simulate --reference --runs 500 -o md":                                                                                     {instead: "sluice simulate --reference --runs 1 -o md --world none", code: 2, why: quick},
		"sluice webhook listen --port 9393":                                                                                                {until: "listen"},
		"sluice webhook listen --port 9393 --secret-file whsec.txt":                                                                        {until: "listen"},
		"sluice webhook listen --secret-file whsec.txt --count 1":                                                                          {until: "listen"},
		"sluice webhook verify --secret-file whsec.txt --id ID --timestamp 1767225600 --signature v1,... < body.json":                      {instead: verify, why: elided},
		"sluice webhook verify --secret-file whsec.txt --id ID --timestamp 1767225600 --signature v1,... <body.json":                       {instead: verify, why: elided},
		"sluice webhook verify --secret-file whsec.txt --id a.3.11.team --timestamp 1767225600 --signature v1,... --max-age 0 < body.json": {instead: verify, why: elided},
		`sluice webhook verify --secret-file whsec.txt --id "$WEBHOOK_ID" --timestamp "$WEBHOOK_TIMESTAMP" --signature "$WEBHOOK_SIGNATURE" < body.json`: {adds: " --max-age 0", why: "the delivery of this test is old"},
		"sluice bootstrap --kind gateway --namespace shop --labels istio=ingressgateway > envoy.yaml && envoy -c envoy.yaml": {
			instead: "sluice bootstrap --kind gateway --namespace shop --labels istio=ingressgateway --xds 127.0.0.1:15010 --admin unix:admin.sock > envoy.yaml && envoy -c envoy.yaml --disable-hot-restart",
			why:     "other proxies of this machine have taken the ports", until: "starting main dispatch loop", keeps: true},
	}
}
