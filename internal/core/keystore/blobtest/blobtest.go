// SPDX-License-Identifier: Apache-2.0

// Package blobtest is the conformance suite of [keystore.Blobs]: every store passes it.
package blobtest

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"testing"

	"strongroom/internal/core/keystore"
	"strongroom/internal/pure/custody"
)

// Blob returns a blob for tests, which is no sealed key, and its reference. Blobs of different n have different keys and hashes.
func Blob(n int) (keystore.Ref, []byte) {
	blob := bytes.Repeat([]byte(fmt.Sprintf("blob %d. ", n)), 40)
	h := keystore.Hash(blob)
	return keystore.Ref{Key: custody.KeyID(hex.EncodeToString(h[:16])), Hash: h}, blob
}

// Run tests a store. start makes an empty one and returns a function that opens it, again each time that it is called, as after a restart.
func Run(t *testing.T, start func(t *testing.T) (open func() keystore.Blobs)) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, open func() keystore.Blobs)
	}{
		{"put and get", putAndGet},
		{"never overwrites", neverOverwrites},
		{"several blobs of a key", severalBlobs},
		{"delete", deletes},
		{"refuses", refuses},
		{"concurrent", concurrent},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, start(t)) })
	}
}

func mustGet(t *testing.T, s keystore.Blobs, ref keystore.Ref, want []byte) {
	t.Helper()
	got, err := s.Get(t.Context(), ref)
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("got %d bytes and error %v, want %d bytes", len(got), err, len(want))
	}
	if len(got) > 0 { // what Get returns is the caller's
		got[0] ^= 1
	}
}

func mustPut(t *testing.T, s keystore.Blobs, ref keystore.Ref, blob []byte) {
	t.Helper()
	if err := s.Put(t.Context(), ref, blob); err != nil {
		t.Fatal(err)
	}
}

func wantErr(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got error %v, want %v", err, want)
	}
}

func putAndGet(t *testing.T, open func() keystore.Blobs) {
	s := open()
	for n := range 20 {
		ref, blob := Blob(n)
		_, err := s.Get(t.Context(), ref)
		wantErr(t, err, keystore.ErrNotFound)
		mustPut(t, s, ref, blob)
		mustGet(t, s, ref, blob)
	}
	again := open()
	for n := range 20 {
		ref, blob := Blob(n)
		mustGet(t, again, ref, blob)
		mustGet(t, again, ref, blob)
	}
	large := bytes.Repeat([]byte{1}, keystore.MaxBlob)
	ref := keystore.Ref{Key: "00112233445566778899aabbccddeeff", Hash: keystore.Hash(large)}
	mustPut(t, s, ref, large)
	mustGet(t, open(), ref, large)
}

func neverOverwrites(t *testing.T, open func() keystore.Blobs) {
	s := open()
	ref, blob := Blob(1)
	mustPut(t, s, ref, blob)
	wantErr(t, s.Put(t.Context(), ref, blob), keystore.ErrExists)
	wantErr(t, open().Put(t.Context(), ref, blob), keystore.ErrExists)
	mustGet(t, s, ref, blob)
}

func severalBlobs(t *testing.T, open func() keystore.Blobs) {
	s := open()
	first, one := Blob(1)
	second, two := Blob(2)
	second.Key = first.Key
	mustPut(t, s, first, one)
	mustPut(t, s, second, two)
	mustGet(t, s, first, one)
	mustGet(t, s, second, two)
	if err := s.Delete(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	mustGet(t, open(), second, two)
}

func deletes(t *testing.T, open func() keystore.Blobs) {
	s := open()
	ref, blob := Blob(1)
	other, otherBlob := Blob(2)
	mustPut(t, s, ref, blob)
	mustPut(t, s, other, otherBlob)
	for range 2 { // the second time there is nothing to do
		if err := s.Delete(t.Context(), ref); err != nil {
			t.Fatal(err)
		}
		_, err := s.Get(t.Context(), ref)
		wantErr(t, err, keystore.ErrNotFound)
	}
	if list, err := s.List(t.Context()); err != nil || len(list) != 1 || list[0] != other {
		t.Errorf("the list has %v, %v", list, err)
	}
	_, err := open().Get(t.Context(), ref)
	wantErr(t, err, keystore.ErrNotFound)
	mustGet(t, s, other, otherBlob)
	mustPut(t, s, ref, blob)
	mustGet(t, open(), ref, blob)
}

func refuses(t *testing.T, open func() keystore.Blobs) {
	s := open()
	ref, blob := Blob(1)
	other, _ := Blob(2)
	wantErr(t, s.Put(t.Context(), other, blob), keystore.ErrCorrupt)
	_, err := s.Get(t.Context(), other)
	wantErr(t, err, keystore.ErrNotFound)
	long := make([]byte, keystore.MaxBlob+1)
	wantErr(t, s.Put(t.Context(), keystore.Ref{Key: ref.Key, Hash: keystore.Hash(long)}, long), keystore.ErrCorrupt)
	for _, id := range []custody.KeyID{"", "../../../../../../etc/passwd....", "0011223344556677/899aabbccddeeff", "00112233445566778899AABBCCDDEEFF"} {
		bad := keystore.Ref{Key: id, Hash: ref.Hash}
		wantErr(t, s.Put(t.Context(), bad, blob), custody.ErrID)
		_, err := s.Get(t.Context(), bad)
		wantErr(t, err, custody.ErrID)
		wantErr(t, s.Delete(t.Context(), bad), custody.ErrID)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	wantErr(t, s.Put(cancelled, ref, blob), context.Canceled)
	_, err = s.Get(cancelled, ref)
	wantErr(t, err, context.Canceled)
	wantErr(t, s.Delete(cancelled, ref), context.Canceled)
}

// concurrent lets several writers put the same blob: one of them succeeds, all others are told that it exists.
func concurrent(t *testing.T, open func() keystore.Blobs) {
	s := open()
	for n := range 10 {
		ref, blob := Blob(n)
		errs := make([]error, 4)
		var wg sync.WaitGroup
		for i := range errs {
			wg.Go(func() { errs[i] = s.Put(t.Context(), ref, blob) })
		}
		wg.Wait()
		done := 0
		for _, err := range errs {
			if err == nil {
				done++
			} else {
				wantErr(t, err, keystore.ErrExists)
			}
		}
		if done != 1 {
			t.Fatalf("%d of %d writers succeeded, want 1", done, len(errs))
		}
		mustGet(t, s, ref, blob)
	}
}
