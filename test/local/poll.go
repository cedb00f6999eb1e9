package local

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/wait"
)

// question is asked again until the answer is yes. An error is no answer yet, and may be gone the next time.
type question = func(context.Context) (bool, error)

// poll asks until the answer is yes. The error about a patience that ended carries what was wrong the last time.
func poll(ctx context.Context, patience time.Duration, ask question) error {
	var last error
	err := wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, patience, true, func(ctx context.Context) (bool, error) {
		done, err := ask(ctx)
		if err != nil && ctx.Err() == nil {
			last = err
		}
		return done, nil
	})
	if err != nil && last != nil {
		return fmt.Errorf("%w (last seen: %w)", err, last)
	}
	return err
}

// found makes an answer for poll of the error of a get.
func found(err error) (bool, error) {
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	return err == nil, err
}

// not turns a question around. An error stays one.
func not(ask question) question {
	return func(ctx context.Context) (bool, error) {
		yes, err := ask(ctx)
		return err == nil && !yes, err
	}
}
