// SPDX-License-Identifier: Apache-2.0

package ep11

import (
	"bytes"
	"errors"
	"testing"

	"strongroom/internal/core/keystore"
	"strongroom/internal/core/seal"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/ep11"
)

// hmacWith is a use of a key that shows whether its blob opens.
func hmacWith(blob []byte) ep11.Call {
	return ep11.Call{Function: ep11.FnSignSingle, Mechanism: mech(ep11.CKM_SHA256_HMAC), Key: blob, Data: []byte("x")}
}

func codeOf(err error) ep11.Code {
	if f := ep11.FailureOf(err); f != nil {
		return f.Code
	}
	return ep11.CKR_OK
}

// TestAlteredBlob flips each bit of the low end and cuts at each length: nothing opens.
func TestAlteredBlob(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	blob := b.generic(32, flags(ep11.CKA_SIGN))
	b.must(hmacWith(blob))
	if blob[0] == spkiStart || !bytes.Equal(blob[:sessionSize], make([]byte, sessionSize)) {
		t.Error("the blob does not begin with an empty session")
	}
	for i := range blob {
		for _, bit := range []byte{1, 0x80} {
			bad := bytes.Clone(blob)
			bad[i] ^= bit
			if _, err := b.do(hmacWith(bad)); codeOf(err) != ep11.CKR_IBM_BLOB_ERROR && codeOf(err) != ep11.CKR_IBM_WKID_MISMATCH {
				t.Fatalf("byte %d: %v", i, err)
			}
		}
		if _, err := b.do(hmacWith(blob[:i])); codeOf(err) != ep11.CKR_IBM_BLOB_ERROR && i > 0 {
			t.Fatalf("cut at %d: %v", i, err)
		}
	}
	b.refused(ep11.CKR_KEY_HANDLE_INVALID, hmacWith(nil))
	b.refused(ep11.CKR_IBM_BLOB_ERROR, hmacWith(append(bytes.Clone(blob), 0)))
	b.refused(ep11.CKR_IBM_BLOB_ERROR, hmacWith(make([]byte, ep11.MaxBlob+1)))
}

// TestAlteredPublicKey flips each bit: an authenticated key with any of them is refused where a bare one is.
func TestAlteredPublicKey(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	_, pk := b.rsa(2048, nil, flags(ep11.CKA_ENCRYPT))
	call := ep11.Call{Function: ep11.FnEncryptSingle, Mechanism: mech(ep11.CKM_RSA_PKCS), Data: []byte("x")}
	call.Key = pk
	b.must(call)
	for i := range pk {
		call.Key = flip(pk, i)
		switch _, err := b.do(call); codeOf(err) {
		case ep11.CKR_IBM_BLOB_ERROR, ep11.CKR_IBM_WKID_MISMATCH, ep11.CKR_PUBLIC_KEY_INVALID, ep11.CKR_KEY_SIZE_RANGE, ep11.CKR_KEY_FUNCTION_NOT_PERMITTED:
		default:
			t.Fatalf("byte %d: %v", i, err)
		}
		call.Key = pk[:i]
		if _, err := b.do(call); err == nil {
			t.Fatalf("cut at %d works", i)
		}
	}
}

func TestBlobOfAnother(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	blob := b.generic(32, flags(ep11.CKA_SIGN))
	_, pk := b.pair(ep11.OIDP256, nil, flags(ep11.CKA_VERIFY))
	verify := ep11.Call{Function: ep11.FnVerifySingle, Mechanism: mech(ep11.CKM_ECDSA), Key: pk, Data: []byte("x"), Signature: make([]byte, 64)}
	home := b.env
	both := func(want, wantPublic ep11.Code) {
		t.Helper()
		b.refused(want, hmacWith(blob))
		b.refused(wantPublic, verify)
	}

	b.env.Current = epoch(t, home.Arena, 2)
	both(ep11.CKR_IBM_WKID_MISMATCH, ep11.CKR_IBM_WKID_MISMATCH)
	b.env.Previous = home.Current
	both(ep11.CKR_OK, ep11.CKR_SIGNATURE_INVALID)
	b.env.Current, b.env.Previous = nil, nil
	both(ep11.CKR_IBM_WK_NOT_INITIALIZED, ep11.CKR_IBM_WK_NOT_INITIALIZED)
	b.env = home

	b.env.Domain[0]++ // with the same working key, which can't be
	both(ep11.CKR_IBM_BLOB_ERROR, ep11.CKR_IBM_BLOB_ERROR)
	b.env = home

	same := *home.Current
	same.Parent = b32(t, home.Arena, 77) // a forger has the pattern and not the key
	b.env.Current = &same
	both(ep11.CKR_IBM_BLOB_ERROR, ep11.CKR_IBM_BLOB_ERROR)
	b.env = home

	b.env.Owner[0]++
	b.env.Allow = func(a Access) error {
		if a.Owner != b.env.Owner {
			return ep11.CKR_IBM_STATIC_POLICY
		}
		return nil
	}
	both(ep11.CKR_IBM_STATIC_POLICY, ep11.CKR_IBM_STATIC_POLICY)
	b.env = home
}

// TestWalletAndApplication: neither blob opens as the other, even under one working key.
func TestWalletAndApplication(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	a := b.env.Arena
	working := b32(t, a, 1)
	pattern := b.env.Current.Pattern
	h := keystore.Header{V: 1, Authority: custody.AuthorityID{1}, Domain: custody.DomainID(b.env.Domain), Epoch: 1, Pattern: pattern,
		Key: "00112233445566778899aabbccddeeff", Purpose: keystore.Custody, Kind: keystore.HDSeed, Class: keystore.Core, Attributes: keystore.Derive}
	wallet, hash, err := keystore.Seal(working, h, b32(t, a, 5))
	if err != nil {
		t.Fatal(err)
	}
	for _, blob := range [][]byte{wallet, append(make([]byte, sessionSize), wallet...)} {
		b.refused(ep11.CKR_IBM_BLOB_ERROR, hmacWith(blob))
		b.refused(ep11.CKR_IBM_BLOB_ERROR, ep11.Call{Function: ep11.FnRewrapKeyBlob, Key: blob})
	}

	// With the application's header around a wallet's key: the tag and the key are others.
	app := b.generic(32, flags(ep11.CKA_SIGN))
	encoded, err := seal.Header(app[sessionSize:])
	if err != nil {
		t.Fatal(err)
	}
	for _, tag := range []canon.Tag{canon.TagBlob, canon.TagAppBlob} {
		forged, err := seal.Seal(tag, working, encoded, b32(t, a, 5))
		if err != nil {
			t.Fatal(err)
		}
		b.refused(ep11.CKR_IBM_BLOB_ERROR, hmacWith(append(make([]byte, sessionSize), forged...)))
	}

	want := keystore.Want{Authority: h.Authority, Domain: h.Domain, Epoch: 1, Pattern: pattern, Key: h.Key, Purpose: keystore.Custody}
	if s, _, err := keystore.Open(a, wallet, hash, want, working); err != nil {
		t.Fatal(err)
	} else {
		s.Wipe()
	}
	for _, blob := range [][]byte{app, app[sessionSize:]} {
		if _, _, err := keystore.Open(a, blob, keystore.Hash(blob), want, working); err == nil {
			t.Error("the blob of an application opens as a wallet's")
		}
	}
	if s, _, err := seal.Open(a, canon.TagBlob, working, app[sessionSize:]); !errors.Is(err, seal.ErrOpen) {
		s.Wipe()
		t.Errorf("got %v", err)
	}
}

func TestSessions(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.refused(ep11.CKR_PIN_LEN_RANGE, ep11.Call{Function: ep11.FnLogin, Pin: []byte("1234567")})
	b.refused(ep11.CKR_PIN_LEN_RANGE, ep11.Call{Function: ep11.FnLogin, Pin: make([]byte, 65)})
	login := ep11.Call{Function: ep11.FnLogin, Data: []byte("store"), Pin: []byte("12345678")}
	session := b.must(login).Data
	if len(session) != 64 || session[0] == spkiStart {
		t.Fatalf("session %x", session)
	}
	blob := b.generic(32, flags(ep11.CKA_SIGN), ep11.Template{ep11.CKA_IBM_LOGIN_SESSION: ep11.Bytes(session)})
	if !bytes.Equal(blob[:sessionSize], session[:sessionSize]) {
		t.Error("the blob does not begin with its session")
	}
	b.must(hmacWith(blob))
	b.refused(ep11.CKR_IBM_BLOB_ERROR, hmacWith(append(make([]byte, sessionSize), blob[sessionSize:]...)))
	b.must(ep11.Call{Function: ep11.FnLogout})
	b.refused(ep11.CKR_SESSION_CLOSED, hmacWith(blob))
	again := b.must(login).Data
	if !bytes.Equal(again, session) {
		t.Error("the same PIN opens another session")
	}
	b.must(hmacWith(blob))
	other := b.must(ep11.Call{Function: ep11.FnLogin, Data: []byte("store"), Pin: []byte("12345679")}).Data
	if bytes.Equal(other, session) {
		t.Error("another PIN opens the same session")
	}

	bind := func(s []byte) ep11.Call {
		return ep11.Call{Function: ep11.FnGenerateKey, Mechanism: mech(ep11.CKM_GENERIC_SECRET_KEY_GEN), Template: and(number(ep11.CKA_VALUE_LEN, 32), ep11.Template{ep11.CKA_IBM_LOGIN_SESSION: ep11.Bytes(s)})}
	}
	for i := range session {
		b.refused(ep11.CKR_PIN_INVALID, bind(flip(session, i)))
	}
	b.env.Owner[0]++
	b.refused(ep11.CKR_PIN_INVALID, bind(session))
	b.env.Owner[0]--
	b.must(ep11.Call{Function: ep11.FnLogout})
	b.refused(ep11.CKR_SESSION_CLOSED, bind(session))
	for i := range byte(4) {
		b.must(ep11.Call{Function: ep11.FnLogin, Pin: []byte{1, 2, 3, 4, 5, 6, 7, i}})
	}
	b.refused(ep11.CKR_SESSION_COUNT, login)
	b.env.Sessions = nil
	b.refused(ep11.CKR_FUNCTION_NOT_SUPPORTED, login)
	b.refused(ep11.CKR_FUNCTION_NOT_SUPPORTED, ep11.Call{Function: ep11.FnLogout})
	b.refused(ep11.CKR_FUNCTION_NOT_SUPPORTED, bind(session))
	b.refused(ep11.CKR_SESSION_CLOSED, hmacWith(blob))
}

func TestRewrap(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	blob := b.generic(32, flags(ep11.CKA_SIGN))
	_, pk := b.pair(ep11.OIDP256, nil, flags(ep11.CKA_VERIFY))
	verify := func(pk []byte) ep11.Call {
		return ep11.Call{Function: ep11.FnVerifySingle, Mechanism: mech(ep11.CKM_ECDSA), Key: pk, Data: []byte("x"), Signature: make([]byte, 64)}
	}
	code := b.must(hmacWith(blob)).Data
	rewrap := ep11.Call{Function: ep11.FnRewrapKeyBlob, Key: blob}
	b.refused(ep11.CKR_IBM_WK_NOT_INITIALIZED, rewrap)
	old := b.env.Current
	b.env.Next = epoch(t, b.env.Arena, 2)
	next := b.must(rewrap).Key
	nextPublic := b.must(ep11.Call{Function: ep11.FnRewrapKeyBlob, Key: pk}).Key
	b.refused(ep11.CKR_IBM_WKID_MISMATCH, hmacWith(next)) // not yet
	b.refused(ep11.CKR_IBM_WKID_MISMATCH, verify(nextPublic))
	b.refused(ep11.CKR_IBM_BLOB_ERROR, ep11.Call{Function: ep11.FnRewrapKeyBlob, Key: ep11.PublicKey{Type: ep11.CKK_EC, Params: []byte(ep11.OIDP256), Key: p256Point(t, pk)}.SPKI()})
	b.refused(ep11.CKR_KEY_HANDLE_INVALID, ep11.Call{Function: ep11.FnRewrapKeyBlob})

	b.env.Previous, b.env.Current, b.env.Next = old, b.env.Next, nil
	if got := b.must(hmacWith(next)).Data; !bytes.Equal(got, code) {
		t.Error("the rewrapped key is another")
	}
	b.must(hmacWith(blob))
	b.refused(ep11.CKR_SIGNATURE_INVALID, verify(nextPublic))
	b.env.Previous = nil
	b.refused(ep11.CKR_IBM_WKID_MISMATCH, hmacWith(blob))
	b.must(hmacWith(next))
}

func p256Point(t *testing.T, pk []byte) []byte {
	_, key := spki(t, pk)
	return key
}

// TestBlobSizes: every type of key has a blob below the size that clients declare.
func TestBlobSizes(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	long := ep11.Template{ep11.CKA_LABEL: ep11.Bytes(make([]byte, 256)), ep11.CKA_ID: ep11.Bytes(make([]byte, 256)), ep11.CKA_SUBJECT: ep11.Bytes(make([]byte, 256))}
	sk, pk := b.rsa(4096, long, long)
	for _, blob := range [][]byte{sk, pk, b.generic(256, long)} {
		if len(blob) >= 9216 {
			t.Errorf("a blob of %d bytes", len(blob))
		}
	}
	t.Logf("RSA-4096: %d and %d bytes; AES-256: %d", len(sk), len(pk), len(b.aes(32)))
}
