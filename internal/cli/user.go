package cli

import (
	"errors"

	"github.com/spf13/pflag"
	authenticationv1 "k8s.io/api/authentication/v1"

	"github.com/mozilla-iam/eksguard/internal/review"
)

// author is who is said to write what is judged.
type author struct {
	as       string
	asGroups []string
}

// addFlags says what the author does: who applies, who is said to create.
func (a *author) addFlags(flags *pflag.FlagSet, does string) {
	flags.StringVar(&a.as, "as", "", "`user` who "+does+" (default: kubernetes-admin of system:masters)")
	flags.StringArrayVar(&a.asGroups, "as-group", nil,
		"`group` of that user; repeatable; those that the API server adds need not be given")
}

func (a *author) validateAuthor() error {
	if a.as == "" && len(a.asGroups) > 0 {
		return errors.New("--as-group: want the user, too: --as")
	}
	return nil
}

func (a *author) user() authenticationv1.UserInfo { return review.User(a.as, a.asGroups) }
