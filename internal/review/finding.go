package review

import (
	"path/filepath"
	"strings"

	"github.com/mozilla-iam/eksguard/internal/manifest"
	"github.com/mozilla-iam/eksguard/internal/policy"
	"github.com/mozilla-iam/eksguard/internal/terminal"
)

// Rules of a review itself, which no policy has.
const (
	unreadRule     = "review/unread"
	evaluationRule = "review/evaluation"
)

// level is how much a finding counts.
type level int

const (
	note level = iota
	warning
	failure
)

// finding is one thing to tell a program about.
type finding struct {
	// rule is the id of the rule, or one of the review's own.
	rule     string
	severity string
	level    level
	location manifest.Location
	// object is what it is about, nil where that could not be read.
	object *Object
	// field is the path of the field, empty if there is none.
	field     string
	message   string
	exception *policy.Exception
}

// findings are all of the report, in the order of its objects, and then what could not be read.
func (r *Report) findings() (all []finding) {
	for i := range r.Objects {
		o := &r.Objects[i]
		for _, v := range o.Violations {
			all = append(all, finding{
				rule: v.ID(), severity: v.Severity, level: levelOf(v.Action), location: o.written(v.Location), object: o,
				field: v.Field, message: o.tell(strings.TrimPrefix(v.String(), "["+v.ID()+"] ")), exception: v.Exception,
			})
		}
		for _, f := range o.Errors {
			found := finding{
				rule: evaluationRule, severity: "high", level: warning, location: o.location(), object: o, field: f.Policy,
				message: o.tell("policy " + f.Policy + " could not be evaluated: " + f.Error),
			}
			if f.Denies {
				found.level = failure
			}
			all = append(all, found)
		}
	}
	for _, e := range r.Errors {
		all = append(all, finding{
			rule: unreadRule, severity: "high", level: failure,
			location: manifest.Location{File: e.File, Line: e.Line}, message: "not read: " + terminal.Printable(e.Error),
		})
	}
	return all
}

func levelOf(action policy.Action) level {
	switch action {
	case policy.ActionDeny:
		return failure
	case policy.ActionWarn:
		return warning
	default:
		return note
	}
}

// written is the location if it is in the file that the object is written in, and that of the object if it is in what
// was rendered from it, which no one can edit.
func (o *Object) written(location manifest.Location) manifest.Location {
	if location.File != o.File {
		return o.location()
	}
	return location
}

// tell says of what object the message is.
func (o *Object) tell(message string) string {
	return terminal.Printable(o.subject()+o.circumstances()) + ": " + terminal.Lines(message)
}

// below is the path with slashes from the folder, and whether it is below it.
func below(folder, file string) (string, bool) {
	path := file
	if !filepath.IsAbs(path) {
		path = filepath.Join(folder, path)
	}
	if relative, err := filepath.Rel(folder, path); err == nil && filepath.IsLocal(relative) {
		return filepath.ToSlash(relative), true
	}
	return filepath.ToSlash(path), false
}
