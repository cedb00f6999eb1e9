package decisionlog

import (
	"context"
	"io"
	"log/slog"
)

// consoleName is what OPA calls the console by: its own logs by logrus, whose level and format would be another
// setting.
const consoleName = "eksguard_console"

// console is a logger plugin of OPA's (open-policy-agent/opa: v1/plugins/plugins.go, LoggerPlugin).
type console struct{ handler slog.Handler }

// newConsole writes to w, and has failed told of each line that could not be written.
func newConsole(w io.Writer, failed func(error)) console {
	return console{slog.NewJSONHandler(toldWriter{w, failed}, nil)}
}

// toldWriter tells of errors, which slog.Logger does not.
type toldWriter struct {
	io.Writer
	failed func(error)
}

func (w toldWriter) Write(line []byte) (int, error) {
	n, err := w.Writer.Write(line)
	if err != nil {
		w.failed(err)
	}
	return n, err
}

// Logger implements plugins.LoggerPlugin.
func (c console) Logger() slog.Handler { return c.handler }

// Start implements plugins.Plugin.
func (console) Start(context.Context) error { return nil }

// Stop implements plugins.Plugin.
func (console) Stop(context.Context) {}

// Reconfigure implements plugins.Plugin.
func (console) Reconfigure(context.Context, any) {}
