// SPDX-License-Identifier: Apache-2.0

// Package hsmtest is the conformance suite of [hsm.Root]: every root of trust passes it.
package hsmtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"strongroom/internal/core/hsm"
	"strongroom/internal/secret"
)

// Harness makes the roots that the suite tests.
type Harness struct {
	Arena *secret.Arena
	// Start makes an empty root and returns a function that opens it, again each time that it is called, as after a restart. The root that
	// was opened before is not used any more then.
	Start func(t *testing.T) (open func(t *testing.T) hsm.Root)
}

// Run tests a root of trust.
func Run(t *testing.T, h Harness) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, h Harness, open func(*testing.T) hsm.Root)
	}{
		{"seal and unseal", sealAndUnseal},
		{"labels are apart", labels},
		{"destroy", destroy},
		{"counter", counter},
		{"refuses", refuses},
		{"concurrent", concurrent},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, h, h.Start(t)) })
	}
}

func (h Harness) take(t *testing.T, b []byte) secret.Bytes {
	t.Helper()
	s, err := secret.Take(h.Arena, bytes.Clone(b))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Wipe)
	return s
}

func (h Harness) seal(t *testing.T, r hsm.Root, label string, header, plain []byte) {
	t.Helper()
	if err := r.Seal(t.Context(), label, header, h.take(t, plain)); err != nil {
		t.Fatal(err)
	}
}

func (h Harness) wantSealed(t *testing.T, r hsm.Root, label string, header, plain []byte) {
	t.Helper()
	gotHeader, got, err := r.Unseal(t.Context(), label)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Wipe()
	if !got.Equal(h.take(t, plain)) || !bytes.Equal(gotHeader, header) {
		t.Fatalf("label %s: got header %x and the same plaintext: %v", label, gotHeader, got.Equal(h.take(t, plain)))
	}
}

func wantErr(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got error %v, want %v", err, want)
	}
}

func sealAndUnseal(t *testing.T, h Harness, open func(*testing.T) hsm.Root) {
	r := open(t)
	sizes := []int{1, 32, 160, hsm.MaxPlain}
	for i, n := range sizes {
		h.seal(t, r, fmt.Sprintf("size-%d", n), bytes.Repeat([]byte{byte(i)}, i*hsm.MaxHeader/3), bytes.Repeat([]byte{byte(n)}, n))
	}
	for range 2 {
		for i, n := range sizes {
			h.wantSealed(t, r, fmt.Sprintf("size-%d", n), bytes.Repeat([]byte{byte(i)}, i*hsm.MaxHeader/3), bytes.Repeat([]byte{byte(n)}, n))
		}
		r = open(t)
	}
	s, err := r.Status(t.Context())
	if err != nil || s.Kind == "" || !slices.Equal(s.Labels, []string{"size-1", "size-1024", "size-160", "size-32"}) {
		t.Errorf("got status %+v and error %v", s, err)
	}
}

func labels(t *testing.T, h Harness, open func(*testing.T) hsm.Root) {
	r := open(t)
	h.seal(t, r, "one", []byte("a"), []byte("first"))
	h.seal(t, r, "two", []byte("b"), []byte("second"))
	wantErr(t, r.Seal(t.Context(), "one", []byte("a"), h.take(t, []byte("third"))), hsm.ErrExists)
	h.wantSealed(t, r, "one", []byte("a"), []byte("first"))
	h.wantSealed(t, r, "two", []byte("b"), []byte("second"))
	_, _, err := r.Unseal(t.Context(), "three")
	wantErr(t, err, hsm.ErrNotFound)
}

func destroy(t *testing.T, h Harness, open func(*testing.T) hsm.Root) {
	r := open(t)
	h.seal(t, r, "dwk-1", []byte("a"), []byte("first"))
	h.seal(t, r, "identity", []byte("b"), []byte("second"))
	for range 2 { // the second time there is nothing to do
		if err := r.Destroy(t.Context(), "dwk-1"); err != nil {
			t.Fatal(err)
		}
		_, _, err := r.Unseal(t.Context(), "dwk-1")
		wantErr(t, err, hsm.ErrNotFound)
		r = open(t)
		_, _, err = r.Unseal(t.Context(), "dwk-1")
		wantErr(t, err, hsm.ErrNotFound)
	}
	h.wantSealed(t, r, "identity", []byte("b"), []byte("second"))
	h.seal(t, r, "dwk-1", []byte("c"), []byte("restored"))
	h.wantSealed(t, open(t), "dwk-1", []byte("c"), []byte("restored"))
}

func counter(t *testing.T, _ Harness, open func(*testing.T) hsm.Root) {
	r := open(t)
	for want := range uint64(5) {
		if got, err := r.ReadCounter(t.Context()); err != nil || got != want {
			t.Fatalf("read %d and error %v, want %d", got, err, want)
		}
		if got, err := r.IncrementCounter(t.Context()); err != nil || got != want+1 {
			t.Fatalf("incremented to %d and error %v, want %d", got, err, want+1)
		}
		r = open(t)
	}
}

func refuses(t *testing.T, h Harness, open func(*testing.T) hsm.Root) {
	r := open(t)
	plain := h.take(t, []byte("plaintext"))
	for _, label := range []string{"", "UPPER", "../up", "a/b", "a.b", "a--b", "-a", "1a", "this-label-is-longer-than-the-forty-eight-allowed-s"} {
		wantErr(t, r.Seal(t.Context(), label, nil, plain), hsm.ErrInput)
		_, _, err := r.Unseal(t.Context(), label)
		wantErr(t, err, hsm.ErrInput)
		wantErr(t, r.Destroy(t.Context(), label), hsm.ErrInput)
	}
	wantErr(t, r.Seal(t.Context(), "a", make([]byte, hsm.MaxHeader+1), plain), hsm.ErrInput)
	wantErr(t, r.Seal(t.Context(), "a", nil, h.take(t, make([]byte, hsm.MaxPlain+1))), hsm.ErrInput)
	wiped := h.take(t, []byte("plaintext"))
	wiped.Wipe()
	wantErr(t, r.Seal(t.Context(), "a", nil, wiped), hsm.ErrInput)
	_, _, err := r.Unseal(t.Context(), "a")
	wantErr(t, err, hsm.ErrNotFound)

	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	wantErr(t, r.Seal(cancelled, "a", nil, plain), context.Canceled)
	_, _, err = r.Unseal(cancelled, "a")
	wantErr(t, err, context.Canceled)
	wantErr(t, r.Destroy(cancelled, "a"), context.Canceled)
	_, err = r.IncrementCounter(cancelled)
	wantErr(t, err, context.Canceled)
	if n, err := r.ReadCounter(t.Context()); err != nil || n != 0 {
		t.Errorf("counter is %d and error %v after a cancelled increment", n, err)
	}
}

// concurrent: increments are counted one by one, and of several that seal under a label one succeeds.
func concurrent(t *testing.T, h Harness, open func(*testing.T) hsm.Root) {
	r := open(t)
	const workers, each = 4, 5
	numbers, errs := make([][]uint64, workers), make([]error, workers)
	plain := h.take(t, []byte("plaintext"))
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			errs[w] = r.Seal(t.Context(), "one", []byte{byte(w)}, plain)
			for range each {
				n, err := r.IncrementCounter(t.Context())
				if err != nil {
					t.Error(err)
				}
				numbers[w] = append(numbers[w], n)
			}
		})
	}
	wg.Wait()
	all := slices.Concat(numbers...)
	slices.Sort(all)
	for i, n := range all {
		if n != uint64(i+1) {
			t.Fatalf("numbers %v, want each from 1 to %d once", all, workers*each)
		}
	}
	done := 0
	for w, err := range errs {
		if err == nil {
			done++
			h.wantSealed(t, r, "one", []byte{byte(w)}, []byte("plaintext"))
		} else {
			wantErr(t, err, hsm.ErrExists)
		}
	}
	if done != 1 {
		t.Errorf("%d sealed under one label, want 1", done)
	}
}
