// Package policies embeds the default bundle into the binary, so that no configuration is needed to start.
package policies

import "embed"

// FS holds the bundle as it lies in this folder; its root is the bundle's.
//
//go:embed .manifest data.yaml */*.rego lib/*/*.rego
var FS embed.FS
