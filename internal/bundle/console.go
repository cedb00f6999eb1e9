package bundle

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"

	"github.com/open-policy-agent/opa/v1/logging"
)

// consoleLogger is what OPA's plugins write to with console: true, a JSON object a line; OPA's own is by logrus, whose
// format would be another setting.
type consoleLogger struct {
	config *Config
	fields map[string]any
}

// Info implements logging.Logger.
func (l consoleLogger) Info(format string, a ...any) {
	if l.config.Console == nil {
		return
	}
	attributes := make([]slog.Attr, 0, len(l.fields))
	for _, key := range slices.Sorted(maps.Keys(l.fields)) {
		attributes = append(attributes, slog.Any(key, l.fields[key]))
	}
	slog.New(slog.NewJSONHandler(l.config.Console, nil)).
		LogAttrs(context.Background(), slog.LevelInfo, fmt.Sprintf(format, a...), attributes...)
}

// WithFields implements logging.Logger.
func (l consoleLogger) WithFields(fields map[string]any) logging.Logger {
	all := maps.Clone(l.fields)
	if all == nil {
		all = map[string]any{}
	}
	maps.Copy(all, fields)
	return consoleLogger{config: l.config, fields: all}
}

// Debug implements logging.Logger. On the console there is nothing but what is to be there.
func (consoleLogger) Debug(string, ...any) {}

// Warn implements logging.Logger.
func (consoleLogger) Warn(string, ...any) {}

// Error implements logging.Logger.
func (consoleLogger) Error(string, ...any) {}

// GetLevel implements logging.Logger.
func (consoleLogger) GetLevel() logging.Level { return logging.Info }

// SetLevel implements logging.Logger.
func (consoleLogger) SetLevel(logging.Level) {}
