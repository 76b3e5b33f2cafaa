// Package dataplane holds the compiler and the xDS server against real data planes: Envoy, and gRPC's own client. No
// API server takes part: the mesh is a text, the splits are given.
package dataplane
