// SPDX-License-Identifier: Apache-2.0

package btc_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/ecdsa"

	"strongroom/internal/pure/btc"
	"strongroom/internal/pure/secp"
	"strongroom/internal/vectors"
)

type messageVector struct {
	Message    string
	Address    string
	Type       string
	Signatures []string `json:"bip322_signatures"`
}

type messageError struct{ Description, Message, Address, Signature string }

func messageScript(t testing.TB, address string) btc.Script {
	t.Helper()
	s, err := btc.ParseAddress(btc.Mainnet, address)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// BIP-322's own vectors: those by key verify, scripts are refused for what they are, and no wrong one passes.
func TestMessageVectors(t *testing.T) {
	t.Parallel()
	verified := 0
	for _, file := range []string{"bip/bip-0322-basic.json", "bip/bip-0322-generated.json"} {
		for _, v := range vectors.Load[messageVector](t, file+"#simple", 4) {
			for _, text := range v.Signatures {
				sig, legacy, err := btc.DecodeMessageSignature(text)
				if err != nil || legacy {
					t.Fatalf("%s: %v, %t", text, err, legacy)
				}
				err = btc.VerifyMessage(messageScript(t, v.Address), []byte(v.Message), sig)
				if strings.HasPrefix(v.Type, "p2wsh") {
					if !errors.Is(err, btc.ErrKind) {
						t.Fatalf("%s: %v", v.Type, err)
					}
					continue
				}
				if err != nil {
					t.Fatalf("%s %q: %v", v.Type, v.Message, err)
				}
				verified++
				for i := range sig {
					bad := bytes.Clone(sig)
					bad[i] ^= 1
					if btc.VerifyMessage(messageScript(t, v.Address), []byte(v.Message), bad) == nil {
						t.Fatalf("%s: byte %d can be another one", v.Type, i)
					}
				}
				if btc.VerifyMessage(messageScript(t, v.Address), []byte(v.Message+"."), sig) == nil {
					t.Fatalf("%s: another message passes", v.Type)
				}
			}
		}
		for _, v := range vectors.Load[messageError](t, file+"#error", 8) {
			sig, _, err := btc.DecodeMessageSignature(v.Signature)
			if err == nil {
				err = btc.VerifyMessage(messageScript(t, v.Address), []byte(v.Message), sig)
			}
			if err == nil {
				t.Fatalf("%s: passes", v.Description)
			}
		}
	}
	if verified != 7 {
		t.Fatalf("%d signatures verified, the files have 7 by key", verified)
	}
}

// The vector of BIP-322 as it was first published: a taproot signature with SIGHASH_ALL written out.
func TestMessageTaprootAll(t *testing.T) {
	t.Parallel()
	script := messageScript(t, "bc1ppv609nr0vr25u07u95waq5lucwfm6tde4nydujnu8npg4q75mr5sxq8lt3")
	sig, _, err := btc.DecodeMessageSignature("AUHd69PrJQEv+oKTfZ8l+WROBHuy9HKrbFCJu7U1iK2iiEy1vMU5EfMtjc+VSHM7aU0SDbak5IUZRVno2P5mjSafAQ==")
	if err != nil {
		t.Fatal(err)
	}
	if err := btc.VerifyMessage(script, []byte("Hello World"), sig); err != nil {
		t.Fatal(err)
	}
	sig[len(sig)-1] = 2
	if btc.VerifyMessage(script, []byte("Hello World"), sig) == nil {
		t.Fatal("another hash type passes")
	}
}

// Signatures by another implementation's compact form verify, for the kinds of address that a header allows, and for no other key or text.
func TestLegacyMessage(t *testing.T) {
	t.Parallel()
	for n := range byte(20) {
		key, _ := btcec.PrivKeyFromBytes(bytes.Repeat([]byte{n + 1}, 32))
		other, _ := btcec.PrivKeyFromBytes(bytes.Repeat([]byte{n + 101}, 32))
		pub, err := secp.ParsePublicKey(key.PubKey().SerializeCompressed())
		if err != nil {
			t.Fatal(err)
		}
		p2wpkh, err := btc.P2WPKH(pub)
		if err != nil {
			t.Fatal(err)
		}
		scripts := map[bool]btc.Script{true: p2pkhOf(btc.Hash160(key.PubKey().SerializeCompressed())), false: p2pkhOf(btc.Hash160(key.PubKey().SerializeUncompressed()))}
		text := bytes.Repeat([]byte("message "), int(n)*3)
		hash := btc.LegacyHash(text)
		for _, compressed := range []bool{true, false} {
			sig := ecdsa.SignCompact(key, hash[:], compressed)
			if err := btc.VerifyLegacyMessage(scripts[compressed], text, sig); err != nil {
				t.Fatal(err)
			}
			if btc.VerifyLegacyMessage(scripts[!compressed], text, sig) == nil || btc.VerifyLegacyMessage(scripts[compressed], append(text, '.'), sig) == nil ||
				btc.VerifyLegacyMessage(scripts[compressed], text, ecdsa.SignCompact(other, hash[:], compressed)) == nil {
				t.Fatal("another address, text or key passes")
			}
			if got := btc.VerifyLegacyMessage(p2wpkh, text, sig) == nil; got != compressed {
				t.Fatalf("P2WPKH with a compressed header %t: %t", compressed, got)
			}
			if compressed {
				sig[0] += 8
				if err := btc.VerifyLegacyMessage(p2wpkh, text, sig); err != nil {
					t.Fatal(err)
				}
				sig[0] -= 4 // P2SH-P2WPKH
				if btc.VerifyLegacyMessage(p2wpkh, text, sig) == nil {
					t.Fatal("the header of another kind passes")
				}
			}
		}
	}
	for _, bad := range [][]byte{nil, make([]byte, 64), make([]byte, 65), append([]byte{43}, make([]byte, 64)...), append([]byte{27}, bytes.Repeat([]byte{0xff}, 64)...)} {
		if btc.VerifyLegacyMessage(p2pkhOf([20]byte{}), nil, bad) == nil {
			t.Fatalf("%x passes", bad)
		}
	}
}

func p2pkhOf(h [20]byte) btc.Script {
	return append(append(btc.Script{0x76, 0xa9, 20}, h[:]...), 0x88, 0xac)
}

// Whatever the bytes are, verifying never crashes, and what verifies for one message does so for no other.
func FuzzVerifyMessage(f *testing.F) {
	sig, _, err := btc.DecodeMessageSignature("AUHd69PrJQEv+oKTfZ8l+WROBHuy9HKrbFCJu7U1iK2iiEy1vMU5EfMtjc+VSHM7aU0SDbak5IUZRVno2P5mjSafAQ==")
	if err != nil {
		f.Fatal(err)
	}
	f.Add("bc1ppv609nr0vr25u07u95waq5lucwfm6tde4nydujnu8npg4q75mr5sxq8lt3", []byte("Hello World"), sig)
	f.Add("bc1q9vza2e8x573nczrlzms0wvx3gsqjx7vavgkx0l", []byte(""), []byte{2, 1, 1, 0})
	f.Add("1BoatSLRHtKNngkdXEeobR76b53LETtpyT", []byte("x"), append([]byte{31}, make([]byte, 64)...))
	f.Fuzz(func(t *testing.T, address string, message, sig []byte) {
		script, err := btc.ParseAddress(btc.Mainnet, address)
		if err != nil {
			return
		}
		for _, verify := range []func(btc.Script, []byte, []byte) error{btc.VerifyMessage, btc.VerifyLegacyMessage} {
			if verify(script, message, sig) == nil && verify(script, append(bytes.Clone(message), 'x'), sig) == nil {
				t.Fatal("one signature for two messages")
			}
		}
	})
}

type hashVector struct {
	Message, Address string
	Spend            string `json:"to_spend_tx_hash"`
	Sign             string `json:"to_sign_tx_hash"`
}

func TestMessageTransactions(t *testing.T) {
	t.Parallel()
	for _, v := range vectors.Load[hashVector](t, "bip/bip-0322-basic.json#tx_hashes", 3) {
		spend, sign := btc.MessageIDs(messageScript(t, v.Address), []byte(v.Message))
		if spend.String() != v.Spend || sign.String() != v.Sign {
			t.Errorf("%q: got %s and %s", v.Message, spend, sign)
		}
	}
}
