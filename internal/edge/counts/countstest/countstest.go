// SPDX-License-Identifier: Apache-2.0

// Package countstest finds and reads the metrics of a program under test. Only tests import it.
package countstest

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"testing"
)

// Log is a logger that tells where metrics are shown, and drops everything else.
func Log() (*slog.Logger, <-chan string) {
	c := make(chan string, 1)
	return slog.New(listener{c}), c
}

type listener struct{ address chan string }

// Enabled is always true.
func (listener) Enabled(context.Context, slog.Level) bool { return true }

// WithAttrs changes nothing.
func (l listener) WithAttrs([]slog.Attr) slog.Handler { return l }

// WithGroup changes nothing.
func (l listener) WithGroup(string) slog.Handler { return l }

// Handle takes the address from the one line that has it.
func (l listener) Handle(_ context.Context, r slog.Record) error {
	if r.Message == "metrics are shown" {
		r.Attrs(func(a slog.Attr) bool {
			l.address <- a.Value.String()
			return false
		})
	}
	return nil
}

// Read gives the metrics that are shown at an address.
func Read(t testing.TB, address string) string {
	t.Helper()
	q, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Body.Close() }() // it was read
	b, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != http.StatusOK {
		t.Fatalf("%d %s: %v", r.StatusCode, b, err)
	}
	return string(b)
}
