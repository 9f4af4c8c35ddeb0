// SPDX-License-Identifier: Apache-2.0

package eth_test

import (
	"bytes"
	"testing"

	"github.com/ethereum/go-ethereum/accounts"
	"github.com/ethereum/go-ethereum/crypto"
	"pgregory.net/rapid"

	"strongroom/internal/pure/eth"
)

// What another implementation signs as a personal message is recovered, with v as either kind of wallet writes it, and to another address for
// another text.
func TestRecoverMessage(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		key, err := crypto.ToECDSA(append(bytes.Repeat([]byte{1}, 31), rapid.Byte().Draw(t, "key")))
		if err != nil {
			t.Skip("no key")
		}
		message := rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "message")
		sig, err := crypto.Sign(accounts.TextHash(message), key)
		if err != nil {
			t.Fatal(err)
		}
		want := crypto.PubkeyToAddress(key.PublicKey).Hex()
		for _, add := range []byte{0, 27} {
			s := bytes.Clone(sig)
			s[64] += add
			if got, err := eth.RecoverMessage(message, s); err != nil || got.String() != want {
				t.Fatalf("%s, %v; want %s", got, err, want)
			}
		}
		if got, err := eth.RecoverMessage(append(message, 'x'), sig); err == nil && got.String() == want {
			t.Fatal("another message gives the same address")
		}
	})
	for name, bad := range map[string][]byte{"short": make([]byte, 64), "zero": make([]byte, 65), "v": append(bytes.Repeat([]byte{1}, 64), 29), "large v": append(bytes.Repeat([]byte{1}, 64), 2),
		"high s": append(append(bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{0xfe}, 32)...), 27)} {
		if a, err := eth.RecoverMessage(nil, bad); err == nil {
			t.Errorf("%s: gives %s", name, a)
		}
	}
}
