// Package chart holds the tests of charts/sluice: the real Helm renders it, the real API server takes what comes out.
//
// The program is SLUICE_HELM, else .cache/bin/helm of the repository; `make helm` builds it.
package chart
