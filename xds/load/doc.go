// Package load adds up what proxies report of the requests they have sent.
//
// Each report counts over an interval that the proxy has measured itself. A Book spreads the counts evenly over that
// interval and sums them over proxies, in buckets of one second. Of a cluster that a split gives weight to it keeps 15
// minutes, the newest 10 s of them in quarters of a second; of others one. No request is lost or made up by that: what a report
// counts is what its buckets hold. A bucket exists where some proxy has reported; no bucket means that nothing is known, not
// that nothing was sent.
//
// A Till counts for another process that judges, and a Book takes what others have counted: exactly once, however often texts are read
// or lost, and whoever judges.
//
// It reads no clock and judges nothing. xds/server hands it the reports; rollout/controller asks through xds/server.
//
//	b := load.NewBook(now)
//	all, err := load.ReadAll(message.GetClusterStats(), served)
//	b.Add(&reporter, all[0], now)
//	loads := b.Loads("outbound|8080|v2|reviews.shop.svc.cluster.local", since, until)
package load
