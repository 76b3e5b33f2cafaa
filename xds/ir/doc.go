// Package ir is the neutral model of traffic: listeners, route tables, splits, clusters and endpoints.
//
// xds/istio writes it, xds/envoy reads it; neither knows the other. It holds plain values only: no protobuf, no
// Kubernetes type, no behaviour beyond small predicates. Every slice is sorted by its key, so that equal
// input gives equal output.
package ir
