package bundle

import (
	"errors"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Reason says in one word why a bundle was not taken.
type Reason string

// The reasons for which a bundle is not taken.
const (
	// ReasonDownload: the source does not answer, or not with a bundle.
	ReasonDownload Reason = "download"
	// ReasonSize: it is larger than allowed, packed or unpacked, or has too many files.
	ReasonSize Reason = "size"
	// ReasonFormat: it is no bundle, is cut off, or is of a kind that eksguard does not take.
	ReasonFormat Reason = "format"
	// ReasonSignature: it is not signed, or not by the key that is configured.
	ReasonSignature Reason = "signature"
	// ReasonOlder: it is older than one that was taken before.
	ReasonOlder Reason = "older"
	// ReasonRoots: it holds what another bundle holds, or what no bundle of eksguard may hold.
	ReasonRoots Reason = "roots"
	// ReasonPolicy: a policy does not parse, compile, or keep the contract of a policy.
	ReasonPolicy Reason = "policy"
	// ReasonSettings: the settings do not keep their schema.
	ReasonSettings Reason = "settings"
	// ReasonTests: the bundle's own tests fail, or there are none.
	ReasonTests Reason = "tests"
	// ReasonState: the cluster state that its policies read cannot be watched.
	ReasonState Reason = "state"
	// ReasonPersist: the copy on disk cannot be written or read.
	ReasonPersist Reason = "persist"
)

// Reasons are all of them.
var Reasons = []Reason{ReasonDownload, ReasonSize, ReasonFormat, ReasonSignature, ReasonOlder, ReasonRoots, ReasonPolicy,
	ReasonSettings, ReasonTests, ReasonState, ReasonPersist}

// Fault is an error with the reason that it stands for.
type Fault struct {
	Reason Reason
	Err    error
}

func (f *Fault) Error() string { return f.Err.Error() }

// Unwrap gives the error.
func (f *Fault) Unwrap() error { return f.Err }

// faultOf gives the Fault that err is or wraps; any other error gets the given reason, unless it is one of Rego.
func faultOf(err error, otherwise Reason) *Fault {
	var fault *Fault
	if errors.As(err, &fault) {
		return &Fault{Reason: fault.Reason, Err: err}
	}
	var syntax ast.Errors
	if errors.As(err, &syntax) {
		otherwise = ReasonPolicy
	}
	return &Fault{Reason: otherwise, Err: err}
}
