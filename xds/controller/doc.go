// Package controller is the projection loop: what the cluster holds, compiled for every class of proxies that is
// connected, published where it differs.
//
// It watches Istio objects, Services, EndpointSlices, the labels of pods, and Rollouts; a split exists only when it
// stands in the stored status of a Rollout. It writes nothing to the cluster. What it publishes is a function of those
// objects alone, so every replica may run it. rollout/controller asks it what a split would meet:
//
//	c, err := controller.New(controller.Config{Cache: mgr.GetCache(), Publisher: xds, Demand: xds, Ready: xds.Open, Now: now})
//	err = mgr.Add(c)
//	facts := c.Facts(split)
//
// A stored weight is compiled at once, endpoints at once after a quiet time and else every 20 ms. All other changes are gathered: at once when
// nothing happened lately, else after a short quiet. Only what has changed is compiled; now and then everything is, to be sure.
package controller
