// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"

	wire "strongroom/api/gen/grep11"
	"strongroom/internal/gate"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/ep11"
	"strongroom/internal/pure/eth"
	"strongroom/internal/pure/points"
	"strongroom/internal/pure/request"
)

// TestWalletsAndApplicationsAreApart: what is sealed for a wallet, its seed and its keys, is nothing to any call of GREP11, in whatever form it is handed in; and
// what is sealed for an application signs for no wallet, not even in the place of the wallet's own key.
func TestWalletsAndApplicationsAreApart(t *testing.T) {
	t.Parallel()
	s := newSite(t, t.TempDir())
	s.create()
	c := s.start("--snapshot-every", "400")
	c.allow(points.Known().Minus(points.Evaluation()))
	c.wallet(1)
	c.openSession()
	a := c.startApps(t)
	app := a.client("one", nil)
	blobs := s.walletBlobs()
	for name, b := range blobs {
		app.notAKey(name, b)
	}
	// The other way round: an application's key, and its envelope alone, in place of each blob of the wallet.
	key := app.pair(ep11.CKM_EC_KEY_PAIR_GEN, attrs(ep11.CKA_SIGN, true), attrs(ep11.CKA_EC_PARAMS, ep11.OIDSecp256k1, ep11.CKA_VERIFY, true))
	seed := app.key(ep11.CKM_GENERIC_SECRET_KEY_GEN, ep11.CKA_VALUE_LEN, 32, ep11.CKA_DERIVE, true, ep11.CKA_IBM_USE_AS_DATA, true)
	signed, _ := s.pay(c, 0, 0)
	if _, err := eth.DecodeSigned(signed); err != nil {
		t.Fatal(err)
	}
	c.check()
	c.stop()
	r := s.payment(0, 1) // one request for all attempts: its nonce has one payload
	for what, forged := range map[string][]byte{"key": key.GetPrivKeyBytes(), "envelope of a key": key.GetPrivKeyBytes()[32:], "seed": seed.GetKeyBytes(), "envelope of a seed": seed.GetKeyBytes()[32:]} {
		for name := range blobs {
			if err := os.WriteFile(name, forged, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		s.signsNothing("an application's "+what, r)
	}
	for name, b := range blobs {
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c = s.start("--snapshot-every", "400")
	c.openSession()
	if v, err := c.submit(r, unsignedPayment(1, 10)); err != nil || v.Signed == nil { // with what is its own it signs again
		t.Errorf("%v, %s", err, v.State)
	}
	c.check()
	c.stop()
}

// walletBlobs gives the files of the domain's sealed keys, by path.
func (s *site) walletBlobs() map[string][]byte {
	s.t.Helper()
	files := map[string][]byte{}
	err := filepath.WalkDir(s.dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && filepath.Ext(path) == ".blob" {
			files[path], err = os.ReadFile(path)
		}
		return err
	})
	if err != nil || len(files) == 0 {
		s.t.Fatalf("%d blobs, %v", len(files), err)
	}
	return files
}

// notAKey hands a blob that is no application's in at every place where a key, a state or wrapped bytes can stand: as it is, and behind a session id as
// blobs of applications have one.
func (s *suite) notAKey(name string, b []byte) {
	s.t.Helper()
	own, kek := s.aes(ep11.CKA_EXTRACTABLE, true), s.key(ep11.CKM_AES_KEY_GEN, ep11.CKA_VALUE_LEN, 32, ep11.CKA_WRAP, true, ep11.CKA_UNWRAP, true)
	cbc := mech(ep11.CKM_AES_CBC_PAD, iv(16)...)
	for form, in := range map[string][]byte{"as it is": b, "bound to no session": append(make([]byte, 32), b...), "bound to one": append(bytes.Repeat([]byte{7}, 32), b...)} {
		k := blob(in)
		for call, f := range map[string]func() error{
			"SignSingle": func() error {
				_, err := s.SignSingle(s.ctx(), &wire.SignSingleRequest{Mech: mech(ep11.CKM_ECDSA), Data: iv(32), PrivKey: k})
				return err
			},
			"SignInit": func() error {
				_, err := s.SignInit(s.ctx(), &wire.SignInitRequest{Mech: mech(ep11.CKM_ECDSA_SHA256), PrivKey: k})
				return err
			},
			"SHA256_HMAC": func() error {
				_, err := s.SignSingle(s.ctx(), &wire.SignSingleRequest{Mech: mech(ep11.CKM_SHA256_HMAC), Data: iv(32), PrivKey: k})
				return err
			},
			"EncryptSingle": func() error {
				_, err := s.EncryptSingle(s.ctx(), &wire.EncryptSingleRequest{Mech: cbc, Plain: iv(3), Key: k})
				return err
			},
			"DecryptSingle": func() error {
				_, err := s.DecryptSingle(s.ctx(), &wire.DecryptSingleRequest{Mech: cbc, Ciphered: iv(16), Key: k})
				return err
			},
			"WrapKey": func() error {
				_, err := s.WrapKey(s.ctx(), &wire.WrapKeyRequest{Mech: cbc, Key: k, KeK: kek.Key})
				return err
			},
			"WrapKey, KeK": func() error {
				_, err := s.WrapKey(s.ctx(), &wire.WrapKeyRequest{Mech: cbc, Key: own.Key, KeK: k})
				return err
			},
			"UnwrapKey, KeK": func() error {
				_, err := s.UnwrapKey(s.ctx(), &wire.UnwrapKeyRequest{Mech: cbc, Wrapped: iv(32), KeK: k, Template: attrs(ep11.CKA_KEY_TYPE, ep11.CKK_AES)})
				return err
			},
			"DeriveKey": func() error {
				_, err := s.DeriveKey(s.ctx(), &wire.DeriveKeyRequest{Mech: btc(wire.BTCDeriveParm_CkBIP0032MASTERK, 0, nil), BaseKey: k, Template: s.node(ep11.OIDSecp256k1, false)})
				return err
			},
			"DeriveKey of a child": func() error {
				_, err := s.DeriveKey(s.ctx(), &wire.DeriveKeyRequest{Mech: btc(wire.BTCDeriveParm_CkBIP0032PRV2PRV, 0, iv(32)), BaseKey: k, Template: s.node(ep11.OIDSecp256k1, false)})
				return err
			},
			"GetAttributeValue": func() error {
				_, err := s.GetAttributeValue(s.ctx(), &wire.GetAttributeValueRequest{Object: in, Attributes: attrs(ep11.CKA_CLASS, nil)})
				return err
			},
			"SetAttributeValue": func() error {
				_, err := s.SetAttributeValue(s.ctx(), &wire.SetAttributeValueRequest{Object: in, Attributes: attrs(ep11.CKA_EXTRACTABLE, true)})
				return err
			},
			"RewrapKeyBlob": func() error {
				_, err := s.RewrapKeyBlob(s.ctx(), &wire.RewrapKeyBlobRequest{WrappedKey: k})
				return err
			},
		} {
			s.wants(ep11.CKR_IBM_BLOB_ERROR, call+" with "+filepath.Base(name)+" "+form, f())
		}
		_, err := s.signUpdate(in)
		s.wants(ep11.CKR_SAVED_STATE_INVALID, "a state", err)
	}
}

// signsNothing requires that a core with forged blobs releases no signature of the wallet, whether it starts or not.
func (s *site) signsNothing(what string, r request.Request) {
	s.t.Helper()
	c := s.launch("core", "--snapshot-every", "400")
	defer c.kill()
	select {
	case <-c.done:
		if c.err == nil {
			s.t.Errorf("%s: the core ended without a word", what)
		}
		return
	case <-c.ready:
	}
	var err error
	if c.door, err = gate.Dial(context.Background(), c.socket); err != nil {
		s.t.Fatal(err)
	}
	c.openSession()
	if v, err := c.submit(r, unsignedPayment(1, 10)); err == nil && v.Signed != nil {
		s.t.Errorf("%s signed %x for a wallet", what, canon.Encode(v.Signed))
	}
}

// submit asks for something in the service's session.
func (c *core) submit(r request.Request, payload []byte) (message.Request, error) {
	return gate.Call[message.Submit, message.Request](context.Background(), c.door, message.MethodSubmit,
		message.Submit{Request: r.Encode(), Evidence: c.evidence(r), Payload: payload})
}
