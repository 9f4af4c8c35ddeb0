// SPDX-License-Identifier: Apache-2.0

package curve

import (
	"testing"

	"strongroom/internal/pure/secp"
)

// FuzzVerify: for any bytes the library and the pure verifier of package secp, which stands on other arithmetic, give the same verdict, and
// agree on the recovery id.
func FuzzVerify(f *testing.F) {
	k := newKey(f, 1)
	var msg, aux [32]byte
	sig, _, err := k.backend.SignECDSA(k.sk, k.pub, msg, aux)
	if err != nil {
		f.Fatal(err)
	}
	schnorr, err := k.backend.SignBIP340(k.sk, k.pub, msg, aux)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(k.pub[:], msg[:], sig[:])
	f.Add(k.pub[:], msg[:], schnorr[:])
	f.Add(make([]byte, 33), msg[:], make([]byte, 64))
	f.Add(unhex(f, generator), unhex(f, order), append(unhex(f, generator)[1:], unhex(f, one)...))
	backend := k.backend
	f.Fuzz(func(t *testing.T, rawPub, rawDigest, rawSig []byte) {
		if len(rawPub) != 33 || len(rawDigest) != 32 || len(rawSig) != 64 {
			t.Skip()
		}
		pub, digest, sig := [33]byte(rawPub), [32]byte(rawDigest), [64]byte(rawSig)

		parsed, err := secp.ParsePublicKey(rawPub)
		want := err == nil && secp.VerifyECDSA(parsed, digest, sig)
		if got := backend.VerifyECDSA(pub, digest, sig); got != want {
			t.Errorf("ecdsa: got %v, want %v", got, want)
		}
		for id := range 4 {
			by, err := secp.RecoverPublicKey(digest, sig, byte(id))
			want := err == nil && by == parsed && !parsed.IsZero()
			if got := backend.checkECDSA(&pub, &digest, &sig, id) == nil; got != want {
				t.Errorf("recovery id %d: got %v, want %v", id, got, want)
			}
		}
		key := [32]byte(rawPub[1:])
		if got, want := backend.VerifyBIP340(key, digest[:], sig), secp.VerifyBIP340(key, digest[:], sig); got != want {
			t.Errorf("bip340: got %v, want %v", got, want)
		}
	})
}

// FuzzSign: for any scalar and message, what is signed verifies under both verifiers, and what is refused has no public key.
func FuzzSign(f *testing.F) {
	f.Add(unhex(f, one), make([]byte, 32), make([]byte, 32))
	f.Add(unhex(f, orderLess), unhex(f, order), unhex(f, order))
	f.Add(unhex(f, order), make([]byte, 32), make([]byte, 32))
	backend := newBackend(f)
	f.Fuzz(func(t *testing.T, sk, rawMsg, rawAux []byte) {
		if len(rawMsg) != 32 || len(rawAux) != 32 {
			t.Skip()
		}
		msg, aux := [32]byte(rawMsg), [32]byte(rawAux)
		pub, refused := backend.PublicKey(sk)
		sig, id, err := backend.SignECDSA(sk, pub, msg, aux)
		if (err == nil) != (refused == nil) {
			t.Fatalf("public key: %v, signature: %v", refused, err)
		}
		if refused != nil {
			return
		}
		parsed, err := secp.ParsePublicKey(pub[:])
		if err != nil {
			t.Fatal(err)
		}
		if got, err := secp.RecoverID(parsed, msg, sig); err != nil || got != id || !backend.VerifyECDSA(pub, msg, sig) {
			t.Errorf("ecdsa: %x id %d; recovery says %d, %v", sig, id, got, err)
		}
		sig, err = backend.SignBIP340(sk, pub, msg, aux)
		if err != nil || !secp.VerifyBIP340(parsed.XOnly(), msg[:], sig) {
			t.Errorf("bip340: %x, %v", sig, err)
		}
		sig, err = backend.SignTaproot(sk, pub, aux[:], msg, aux)
		output, _, outputErr := backend.TaprootOutput(parsed.XOnly(), aux[:])
		if err != nil || outputErr != nil || !secp.VerifyBIP340(output, msg[:], sig) {
			t.Errorf("taproot: %x, %v, %v", sig, err, outputErr)
		}
	})
}
