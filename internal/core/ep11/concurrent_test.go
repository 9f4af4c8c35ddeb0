// SPDX-License-Identifier: Apache-2.0

package ep11

import (
	"bytes"
	"context"
	"sync"
	"testing"

	"strongroom/internal/pure/ep11"
)

// TestConcurrent: one engine and one environment serve many calls at a time, and none sees another's.
func TestConcurrent(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	sk, pk := b.pair(ep11.OIDSecp256k1, flags(ep11.CKA_SIGN), flags(ep11.CKA_VERIFY))
	key := b.aes(32, flags(ep11.CKA_ENCRYPT, ep11.CKA_DECRYPT))
	var all sync.WaitGroup
	for i := range byte(16) {
		all.Go(func() {
			data := bytes.Repeat([]byte{i}, 48)
			do := func(c ep11.Call) ep11.Answer {
				a, _, err := b.e.Do(context.Background(), b.env, c)
				if err != nil {
					t.Error(err)
				}
				return a
			}
			for range 20 {
				sig := do(ep11.Call{Function: ep11.FnSignSingle, Mechanism: mech(ep11.CKM_ECDSA_SHA256), Key: sk, Data: data}).Data
				do(ep11.Call{Function: ep11.FnVerifySingle, Mechanism: mech(ep11.CKM_ECDSA_SHA256), Key: pk, Data: data, Signature: sig})
				state := do(ep11.Call{Function: ep11.FnEncryptInit, Mechanism: mech(ep11.CKM_AES_ECB), Key: key}).State
				part := do(ep11.Call{Function: ep11.FnEncryptUpdate, State: state, Data: data})
				do(ep11.Call{Function: ep11.FnEncryptFinal, State: part.State})
				if got := do(ep11.Call{Function: ep11.FnDecryptSingle, Mechanism: mech(ep11.CKM_AES_ECB), Key: key, Data: part.Data}).Data; !bytes.Equal(got, data) {
					t.Error("another's data")
				}
			}
		})
	}
	all.Wait()
}

// BenchmarkSingle is what one call costs in the engine, from the blob to the verified answer.
func BenchmarkSingle(b *testing.B) {
	x := newBench(b)
	gcm := x.aes(32, flags(ep11.CKA_ENCRYPT))
	rsa, _ := x.rsa(4096, flags(ep11.CKA_SIGN), nil)
	pair := func(curve string) []byte {
		sk, _ := x.pair(curve, flags(ep11.CKA_SIGN), nil)
		return sk
	}
	for _, bb := range []struct {
		name string
		call ep11.Call
	}{
		{"P-256", ep11.Call{Function: ep11.FnSignSingle, Mechanism: mech(ep11.CKM_ECDSA_SHA256), Key: pair(ep11.OIDP256)}},
		{"secp256k1", ep11.Call{Function: ep11.FnSignSingle, Mechanism: mech(ep11.CKM_ECDSA_SHA256), Key: pair(ep11.OIDSecp256k1)}},
		{"Ed25519", ep11.Call{Function: ep11.FnSignSingle, Mechanism: mech(ep11.CKM_IBM_ED25519_SHA512), Key: pair(ep11.OIDEd25519)}},
		{"RSA-4096", ep11.Call{Function: ep11.FnSignSingle, Mechanism: mech(ep11.CKM_SHA256_RSA_PKCS), Key: rsa}},
		{"AES-GCM", ep11.Call{Function: ep11.FnEncryptSingle, Mechanism: mech(ep11.CKM_AES_GCM), Key: gcm}},
	} {
		b.Run(bb.name, func(b *testing.B) {
			bb.call.Data = make([]byte, 256)
			for b.Loop() {
				if _, _, err := x.e.Do(context.Background(), x.env, bb.call); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
