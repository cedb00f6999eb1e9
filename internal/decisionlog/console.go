package decisionlog

import (
	"context"
	"io"
	"log/slog"
)

// consoleName is what OPA calls the console by: its own logs by logrus, whose level and format would be another setting.
const consoleName = "eksguard_console"

// console is a logger plugin of OPA's (open-policy-agent/opa: v1/plugins/plugins.go, LoggerPlugin).
type console struct{ handler slog.Handler }

func newConsole(w io.Writer) console {
	return console{slog.NewJSONHandler(w, nil)}
}

// Logger implements plugins.LoggerPlugin.
func (c console) Logger() slog.Handler { return c.handler }

// Start implements plugins.Plugin.
func (console) Start(context.Context) error { return nil }

// Stop implements plugins.Plugin.
func (console) Stop(context.Context) {}

// Reconfigure implements plugins.Plugin.
func (console) Reconfigure(context.Context, any) {}
