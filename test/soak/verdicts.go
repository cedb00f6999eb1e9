package soak

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// verdict is what a write's outcome is worth.
type verdict int

const (
	right verdict = iota
	// wrong: what is to be denied got in, or what is to be allowed was denied, or by another rule.
	wrong
	// failed: it was not judged, or not done, although nothing was out of order.
	failed
	// unanswered: it was refused while answers were taken away.
	unanswered
	// unguarded: it was admitted or changed by nobody while the registration was taken away.
	unguarded
	// unreachable: the API server was away.
	unreachable
	verdicts // their number
)

// outcome is what the API server did about a write.
type outcome struct {
	kind outcomeKind
	// rules are those that denied it, sorted.
	rules []string
	// webhook is the one that gave no answer.
	webhook string
	text    string
}

type outcomeKind int

const (
	admitted outcomeKind = iota
	denied
	// noAnswer: the API server got none from a webhook.
	noAnswer
	// noServer: there was none from the API server, or that it is on its way up or down.
	noServer
	refused // for any other reason
)

var (
	unansweredWebhook = regexp.MustCompile(`failed calling webhook "([^"]+)"`)
	deniedBy          = regexp.MustCompile(`^admission webhook "[a-z-]+\.eksguard\.io" denied the request: `)
)

// causeEffect is the type of the cause that is no violation.
const causeEffect metav1.CauseType = "Effect"

// outcomeOf reads what came of a write.
func outcomeOf(err error) outcome {
	if err == nil {
		return outcome{kind: admitted, text: "admitted"}
	}
	o := outcome{kind: refused, text: err.Error()}
	var answer apierrors.APIStatus
	if !errors.As(err, &answer) {
		o.kind = noServer
		return o
	}
	status := answer.Status()
	found := unansweredWebhook.FindStringSubmatch(status.Message)
	switch {
	case found != nil:
		o.kind, o.webhook = noAnswer, found[1]
	case status.Code == http.StatusForbidden && deniedBy.MatchString(status.Message):
		o.kind = denied
		if status.Details != nil {
			for _, cause := range status.Details.Causes {
				if cause.Type != causeEffect {
					o.rules = append(o.rules, string(cause.Type))
				}
			}
		}
		slices.Sort(o.rules)
	case status.Code == http.StatusServiceUnavailable, status.Code == http.StatusGatewayTimeout,
		status.Code == http.StatusTooManyRequests, strings.Contains(status.Message, "not yet ready to handle request"),
		status.Code == http.StatusInternalServerError:
		o.kind = noServer
	}
	return o
}

// judge compares what came of writes with what should have.
type judge struct {
	windows *windows
	report  *Report
}

// judge counts what came of a write, and returns what that is worth. fault is what is wrong with the object that was
// admitted, nil if nothing.
func (j *judge) judge(w *write, o outcome, fault error, from, to time.Time) verdict {
	v, excuse := j.verdict(w, o, fault, from, to)
	j.report.count(w, v, excuse)
	if v == wrong || v == failed {
		if fault != nil {
			o.text += ": " + fault.Error()
		}
		j.report.violation("%s at %s, around %q: %s: want it %s: %.700s", [verdicts]string{wrong: "wrong verdict", failed: "failed request"}[v],
			from.Sub(j.report.Started).Round(time.Millisecond), j.windows.current(to), w.title(), w.expectation(), o.text)
	}
	return v
}

func (j *judge) verdict(w *write, o outcome, fault error, from, to time.Time) (verdict, *window) {
	excused := func(v verdict, otherwise verdict, what taken) (verdict, *window) {
		if excuse := j.windows.excuse(what, from, to); excuse != nil {
			return v, excuse
		}
		return otherwise, nil
	}
	switch o.kind {
	case admitted:
		if len(w.rules) == 0 && fault == nil {
			return right, nil
		}
		return excused(unguarded, wrong, registration)
	case denied:
		switch {
		case len(w.rules) > 0 && slices.Equal(o.rules, w.rules):
			return right, nil
		case len(w.unmutated) > 0 && slices.Equal(o.rules, w.unmutated):
			return excused(unguarded, wrong, registration)
		}
		return wrong, nil
	case noAnswer:
		if w.policy == "" {
			return wrong, nil // nobody should have been asked
		}
		if excuse := j.windows.excuse(answers, from, to); excuse != nil {
			return unanswered, excuse
		}
		return excused(unreachable, failed, apiServer)
	case noServer, refused:
		return excused(unreachable, failed, apiServer)
	}
	panic(fmt.Sprintf("soak: outcome of kind %d", o.kind))
}
