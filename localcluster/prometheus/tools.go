//go:build tools

// Package tools pins the Prometheus of the local cluster. It is a module of its own because Prometheus and
// Kubernetes disagree about the versions of what they share.
package tools

import (
	_ "github.com/prometheus/prometheus/cmd/prometheus"
	_ "github.com/prometheus/prometheus/cmd/promtool"
)
