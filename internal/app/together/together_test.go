// SPDX-License-Identifier: Apache-2.0

package together_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"strongroom/internal/app/together"
)

var errOne, errTwo = errors.New("one"), errors.New("two")

// TestOneEndsAll: the first that ends ends the others, with or without an error, and each error is told.
func TestOneEndsAll(t *testing.T) {
	t.Parallel()
	waits := func(err error) func(context.Context) error {
		return func(ctx context.Context) error { <-ctx.Done(); return err }
	}
	ends := func(err error) func(context.Context) error { return func(context.Context) error { return err } }
	for _, tt := range []struct {
		work []func(context.Context) error
		want []error
	}{
		{[]func(context.Context) error{waits(nil), ends(errOne), waits(errTwo)}, []error{errOne, errTwo}},
		{[]func(context.Context) error{waits(errTwo), ends(nil)}, []error{errTwo}},
		{[]func(context.Context) error{ends(nil), waits(nil)}, nil},
		{nil, nil},
	} {
		err := together.Run(t.Context(), tt.work)
		for _, want := range []error{errOne, errTwo} {
			if errors.Is(err, want) != slices.Contains(tt.want, want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		}
		if (err == nil) != (len(tt.want) == 0) {
			t.Errorf("got %v, want %v", err, tt.want)
		}
	}
}

// TestEndsWithContext: all end when the context does.
func TestEndsWithContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	started := make(chan struct{}, 2)
	part := func(ctx context.Context) error { started <- struct{}{}; <-ctx.Done(); return ctx.Err() }
	ended := make(chan error, 1)
	go func() { ended <- together.Run(ctx, []func(context.Context) error{part, part}) }() // received below
	<-started
	<-started
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
