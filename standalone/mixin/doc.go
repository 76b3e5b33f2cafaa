// Package mixin holds alert rules and dashboards of the chart against what Prometheus itself makes of them. It has tests only:
// Prometheus's own library is in this module.
package mixin
