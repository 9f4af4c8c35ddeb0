// SPDX-License-Identifier: Apache-2.0

package keyfile_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"testing"

	"strongroom/internal/edge/keyfile"
	"strongroom/internal/pure/request"
	"strongroom/internal/secret/secrettest"
)

// Keys of other programs sign as ours do; what is no key of ours is refused.
func TestFromPEM(t *testing.T) {
	t.Parallel()
	a := secrettest.Arena(t)
	who := keyfile.NewPersonID()
	text := func(key crypto.PrivateKey) []byte {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	}
	ec := func(c elliptic.Curve) *ecdsa.PrivateKey {
		k, err := ecdsa.GenerateKey(c, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for alg, b := range map[request.Algorithm][]byte{request.Ed25519: text(ed), request.P256: text(ec(elliptic.P256()))} {
		k, err := keyfile.FromPEM(a, who, b)
		if err != nil {
			t.Fatal(err)
		}
		sig, err := k.Sign([]byte("message"))
		if err != nil || k.Public().Alg != alg || k.Person() != who || !k.Public().Verify([]byte("message"), sig) {
			t.Errorf("%s: %+v, %x, %v", alg, k.Public(), sig, err)
		}
		if alg == request.Ed25519 && !bytes.Equal(k.Public().Pub, ed.Public().(ed25519.PublicKey)) {
			t.Error("the public key is another one")
		}
		if !bytes.Equal(b, make([]byte, len(b))) {
			t.Errorf("%s: the text is not cleared", alg)
		}
		k.Wipe()
	}
	good := text(ec(elliptic.P256()))
	for name, b := range map[string][]byte{"nothing": nil, "no PEM": []byte("key"), "two keys": append(bytes.Clone(good), good...), "another curve": text(ec(elliptic.P384())),
		"another block": bytes.ReplaceAll(bytes.Clone(good), []byte("PRIVATE KEY"), []byte("PUBLIC KEY")), "no key": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte{1}})} {
		if _, err := keyfile.FromPEM(a, who, b); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	if _, err := keyfile.FromPEM(a, "ada", good); err == nil {
		t.Error("a key of nobody was taken")
	}
}
