package policy

import (
	"fmt"
	"time"

	"github.com/gobwas/glob"
)

// Exception says which violations do not count, why, and until when. Every field that is given must match.
type Exception struct {
	Policy    string `json:"policy"`
	Rule      string `json:"rule,omitempty"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name,omitempty"`
	User      string `json:"user,omitempty"`
	Reason    string `json:"reason"`
	// Expires is a day (the last on which the exception applies, UTC) or an RFC 3339 time.
	Expires string `json:"expires"`

	ends                  time.Time
	namespace, name, user *glob.Pattern
}

// Ends is when the exception ceases to apply.
func (e *Exception) Ends() time.Time { return e.ends }

// compile prepares the exception; its error begins with the field that is wrong.
func (e *Exception) compile() (err error) {
	if e.ends, err = parseEnd(e.Expires); err != nil {
		return err
	}
	for _, field := range []struct {
		name, pattern string
		into          **glob.Pattern
	}{
		{"namespace", e.Namespace, &e.namespace},
		{"name", e.Name, &e.name},
		{"user", e.User, &e.user},
	} {
		if field.pattern == "" {
			continue
		}
		if *field.into, err = glob.Compile(field.pattern); err != nil {
			return fmt.Errorf("%s: %q is no glob: %w", field.name, field.pattern, err)
		}
	}
	return nil
}

func parseEnd(expires string) (time.Time, error) {
	if day, err := time.Parse(time.DateOnly, expires); err == nil {
		return day.AddDate(0, 0, 1), nil
	}
	end, err := time.Parse(time.RFC3339, expires)
	if err != nil {
		return time.Time{}, fmt.Errorf("expires: %q is neither a day (2027-01-31) nor an RFC 3339 time", expires)
	}
	return end, nil
}

// covers tells whether the exception applies to a violation of that rule in that request at that time.
func (e *Exception) covers(r *Request, policy, rule string, now time.Time) bool {
	return e.Policy == policy &&
		(e.Rule == "" || e.Rule == rule) &&
		now.Before(e.ends) &&
		(e.namespace == nil || e.namespace.Match(r.Namespace)) &&
		(e.name == nil || e.name.Match(r.Name)) &&
		(e.user == nil || e.user.Match(r.User))
}
