package bundle

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/open-policy-agent/opa/v1/plugins"
	"github.com/open-policy-agent/opa/v1/plugins/status"
)

// readStatus reads the section status, which is absent where raw is nil.
func (c *Config) readStatus(raw json.RawMessage) error {
	if raw == nil || bytes.Equal(raw, []byte("null")) {
		return nil
	}
	var given status.Config
	if err := json.Unmarshal(raw, &given); err != nil {
		return fmt.Errorf("status: %s", strings.TrimPrefix(err.Error(), "json: "))
	}
	if given.Service == "" && !given.ConsoleLogs {
		// OPA would take the first service.
		return errors.New("status: goes nowhere: set service to one of services, or console to true")
	}
	trigger := plugins.DefaultTriggerMode
	parsed, err := status.NewConfigBuilder().WithBytes(raw).WithServices(c.OPA.Services()).WithTriggerMode(&trigger).Parse()
	if err != nil {
		return fmt.Errorf("status: %w", err)
	}
	c.Status = parsed
	return nil
}
