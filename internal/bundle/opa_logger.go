package bundle

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/open-policy-agent/opa/v1/logging"
)

// OPALogger is what OPA's code logs to: logger, but never at debug level, where it would print the headers and bodies of
// requests, and with them tokens.
func OPALogger(logger *slog.Logger) logging.Logger { return opaLogger{logger} }

type opaLogger struct{ logger *slog.Logger }

func (opaLogger) Debug(string, ...any) {}

func (l opaLogger) Info(format string, a ...any) { l.log(slog.LevelInfo, format, a) }

func (l opaLogger) Warn(format string, a ...any) { l.log(slog.LevelWarn, format, a) }

func (l opaLogger) Error(format string, a ...any) { l.log(slog.LevelError, format, a) }

func (l opaLogger) log(level slog.Level, format string, a []any) {
	l.logger.Log(context.Background(), level, fmt.Sprintf(format, a...))
}

func (l opaLogger) WithFields(fields map[string]any) logging.Logger {
	logger := l.logger
	for key, value := range fields {
		logger = logger.With(key, value)
	}
	return opaLogger{logger}
}

// GetLevel implements logging.Logger.
func (opaLogger) GetLevel() logging.Level { return logging.Info }

// SetLevel implements logging.Logger: the level is its logger's.
func (opaLogger) SetLevel(logging.Level) {}
