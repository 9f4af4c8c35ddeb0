// SPDX-License-Identifier: Apache-2.0

// Package together runs the parts of a program that live and end together: listeners, workers, followers.
package together

import (
	"context"
	"errors"
	"sync"
)

// Run runs functions until ctx ends or one of them does, then ends the others through their context and waits for them. It gives the errors of all.
func Run(ctx context.Context, work []func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	errs := make([]error, len(work))
	var wg sync.WaitGroup
	for i, f := range work {
		wg.Go(func() {
			errs[i] = f(ctx)
			cancel()
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}
