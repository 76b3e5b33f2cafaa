// Package server delivers Envoy resources over xDS and knows who has applied them.
//
// It keeps one immutable set of resources per class of proxies, talks the aggregated discovery service, and that of
// each kind, in both forms (delta and state of the world), holds a route back until the clusters it names are
// acknowledged, and counts the acknowledgements of every version. It decides when a resource may be sent to a stream;
// it never decides what is in a resource and reads no object of the cluster. xds/controller publishes into it;
// rollout/controller asks it how far the proxies are:
//
//	s, err := server.New(server.Config{Now: now, Log: log})
//	go s.ListenAndServe(ctx, server.Door{Addr: "127.0.0.1:15010"}) // plain text, therefore loopback only
//	s.Open()                                         // the inputs are complete: streams are accepted from now on
//	err = s.Publish(ctx, class, resources)
//	c := s.Convergence("bookinfo/reviews", uid, 7)      // c.Done(): every connected proxy runs it
//
// Proxies come by doors: in plain text from this machine, or with certificates (Door). What they report is replaced only
// when nothing newer can exist (Barrier), and what one of them rejects is kept from others like it (Rejected).
//
// Each stream has a conversation, a state machine without I/O that one goroutine owns. Nothing is queued for a
// stream: what to send is computed from what the proxy has and what it should have when the stream can be written,
// so a slow reader gets the newest state and no backlog. No lock is held while a message is written.
package server
