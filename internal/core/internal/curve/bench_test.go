// SPDX-License-Identifier: Apache-2.0

package curve

import "testing"

func BenchmarkBackend(b *testing.B) {
	k := newKey(b, 1)
	var msg, aux [32]byte
	sig, _, err := k.backend.SignECDSA(k.sk, k.pub, msg, aux)
	if err != nil {
		b.Fatal(err)
	}
	schnorr, err := k.backend.SignBIP340(k.sk, k.pub, msg, aux)
	if err != nil {
		b.Fatal(err)
	}
	out := make([]byte, 32)
	for _, bench := range []struct {
		name string
		f    func()
	}{
		{"public_key", func() { _, _ = k.backend.PublicKey(k.sk) }},
		{"tweak_add", func() { _ = k.backend.TweakAdd(k.sk, k.sk, out) }},
		{"ecdsa/sign", func() { _, _, _ = k.backend.makeECDSA(k.sk, &msg, &aux) }},
		{"ecdsa/verify", func() { k.backend.VerifyECDSA(k.pub, msg, sig) }},
		{"ecdsa/sign+verify", func() { _, _, _ = k.backend.SignECDSA(k.sk, k.pub, msg, aux) }},
		{"bip340/sign", func() { _, _, _ = k.backend.makeBIP340(k.sk, &k.pub, false, nil, msg[:], &aux) }},
		{"bip340/verify", func() { k.backend.VerifyBIP340([32]byte(k.pub[1:]), msg[:], schnorr) }},
		{"bip340/sign+verify", func() { _, _ = k.backend.SignBIP340(k.sk, k.pub, msg, aux) }},
		{"taproot/sign+verify", func() { _, _ = k.backend.SignTaproot(k.sk, k.pub, nil, msg, aux) }},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				bench.f()
			}
		})
	}
}
