package decisionlog

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/open-policy-agent/opa/v1/logging"

	"github.com/mozilla-iam/eksguard/internal/excerpt"
)

// sayAgain is how soon the same is said again.
const sayAgain = 30 * time.Second

// longest is how many bytes an error may have: OPA quotes the whole value of a mask that it cannot read.
const longest = 500

// throttle lets a message pass once in a while.
type throttle struct {
	mu   sync.Mutex
	last map[string]time.Time
}

func newThrottle() *throttle { return &throttle{last: map[string]time.Time{}} }

func (t *throttle) pass(message string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	if last, said := t.last[message]; said && now.Sub(last) < sayAgain {
		return false
	}
	t.last[message] = now
	return true
}

// pluginLogger is what OPA's plugin logs to. It tells each error once in a while, and counts decisions that the plugin
// drops without any other sign (open-policy-agent/opa: v1/plugins/logs/plugin.go, Log).
type pluginLogger struct {
	logging.Logger
	metrics  *metrics
	throttle *throttle
}

// Info tells nothing: the plugin has a word for every upload.
func (*pluginLogger) Info(string, ...any) {}

// Error implements logging.Logger.
func (l *pluginLogger) Error(format string, a ...any) {
	if strings.HasPrefix(format, "Log event masking failed") || strings.HasPrefix(format, "Log drop decision failed") {
		l.metrics.dropped[reasonMask].Add(1)
	}
	if l.throttle.pass(format) {
		l.Logger.Error("decision log: %s", excerpt.Of(fmt.Sprintf(format, a...), longest))
	}
}

// WithFields implements logging.Logger.
func (l *pluginLogger) WithFields(fields map[string]any) logging.Logger {
	return &pluginLogger{Logger: l.Logger.WithFields(fields), metrics: l.metrics, throttle: l.throttle}
}
