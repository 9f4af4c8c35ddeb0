// SPDX-License-Identifier: Apache-2.0

package modulekey_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"strongroom/internal/app/modulekey"
	"strongroom/internal/pure/ep11"
	"strongroom/internal/pure/request"
)

// domain signs with keys of its own; refuse is its answer to everything.
type domain struct {
	keys   map[string]*ecdsa.PrivateKey
	refuse error
	caller request.AppCaller
}

func (d *domain) Do(_ context.Context, caller request.AppCaller, c ep11.Call) (ep11.Answer, error) {
	d.caller = caller
	if d.refuse != nil {
		return ep11.Answer{}, d.refuse
	}
	switch c.Function {
	case ep11.FnGenerateKeyPair:
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return ep11.Answer{}, err
		}
		point, err := k.PublicKey.Bytes()
		blob := "blob " + string(rune('a'+len(d.keys)))
		d.keys[blob] = k
		return ep11.Answer{Key: []byte(blob), Key2: ep11.PublicKey{Type: ep11.CKK_EC, Params: []byte(ep11.OIDP256), Key: point}.SPKI()}, err
	case ep11.FnSignSingle:
		k, ok := d.keys[string(c.Key)]
		if !ok {
			return ep11.Answer{}, ep11.CKR_IBM_WKID_MISMATCH
		}
		r, s, err := ecdsa.Sign(rand.Reader, k, c.Data)
		return ep11.Answer{Data: append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)}, err
	}
	return ep11.Answer{}, ep11.CKR_FUNCTION_NOT_SUPPORTED
}

// TestKeeper: a key is made once, outlives a restart, and is replaced when the domain does not take it any more, and not for a passing failure.
func TestKeeper(t *testing.T) {
	t.Parallel()
	d := &domain{keys: map[string]*ecdsa.PrivateKey{}, refuse: &ep11.Failure{Code: ep11.CKR_IBM_STATIC_POLICY}}
	path := filepath.Join(t.TempDir(), "tls-key.json")
	open := func() *modulekey.Keeper {
		return modulekey.New(modulekey.Door{Gateway: d, Caller: "local:serve"}, path)
	}
	k := open()
	if _, err := k.Key(); !errors.Is(err, ep11.CKR_IBM_STATIC_POLICY) {
		t.Fatalf("without a grant: %v", err)
	}
	d.refuse = nil
	first, err := k.Key()
	if err != nil || d.caller != "local:serve" {
		t.Fatal(err, d.caller)
	}
	h := sha256.Sum256([]byte("x"))
	check := func(s crypto.Signer) {
		t.Helper()
		sig, err := s.Sign(nil, h[:], crypto.SHA256)
		if err != nil || !ecdsa.VerifyASN1(s.Public().(*ecdsa.PublicKey), h[:], sig) {
			t.Fatal(err)
		}
	}
	check(first)
	if same, err := k.Key(); err != nil || same != first {
		t.Error("asked again, it is another value", err)
	}
	again, err := open().Key()
	if err != nil || !again.Public().(*ecdsa.PublicKey).Equal(first.Public()) {
		t.Error("it does not outlive a restart", err)
	}
	d.refuse = &ep11.Failure{Code: ep11.CKR_DEVICE_ERROR, Retry: true}
	if _, err := first.Sign(nil, h[:], crypto.SHA256); err == nil {
		t.Error("signed")
	}
	if same, err := k.Key(); err != nil || same != first {
		t.Error("a passing failure took the key away", err)
	}
	d.refuse, d.keys = nil, map[string]*ecdsa.PrivateKey{"x": nil}
	if _, err := first.Sign(nil, h[:], crypto.SHA256); !errors.Is(err, ep11.CKR_IBM_WKID_MISMATCH) {
		t.Error(err)
	}
	next, err := k.Key()
	if err != nil || next == first {
		t.Fatal(err)
	}
	check(next)
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := open().Key(); err == nil {
		t.Error("a file that others read was read")
	}
	if err := errors.Join(os.Chmod(path, 0o600), os.WriteFile(path, []byte(`{"x":1}`), 0o600)); err != nil {
		t.Fatal(err)
	}
	if _, err := open().Key(); err == nil {
		t.Error("a file of another form was read")
	}
}
