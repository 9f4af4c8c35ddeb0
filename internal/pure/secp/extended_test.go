// SPDX-License-Identifier: Apache-2.0

package secp

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/btcsuite/btcd/address/v2/base58"
	"github.com/btcsuite/btcd/btcutil/v2/hdkeychain"
	"github.com/btcsuite/btcd/chaincfg/v2"
	"pgregory.net/rapid"
)

// bip32Public are the extended public keys of BIP-32 test vectors 1 to 4, in the order of the chains.
var bip32Public = []struct{ chain, key string }{
	{"1 m", "xpub661MyMwAqRbcFtXgS5sYJABqqG9YLmC4Q1Rdap9gSE8NqtwybGhePY2gZ29ESFjqJoCu1Rupje8YtGqsefD265TMg7usUDFdp6W1EGMcet8"},
	{"1 m/0'", "xpub68Gmy5EdvgibQVfPdqkBBCHxA5htiqg55crXYuXoQRKfDBFA1WEjWgP6LHhwBZeNK1VTsfTFUHCdrfp1bgwQ9xv5ski8PX9rL2dZXvgGDnw"},
	{"1 m/0'/1", "xpub6ASuArnXKPbfEwhqN6e3mwBcDTgzisQN1wXN9BJcM47sSikHjJf3UFHKkNAWbWMiGj7Wf5uMash7SyYq527Hqck2AxYysAA7xmALppuCkwQ"},
	{"1 m/0'/1/2'", "xpub6D4BDPcP2GT577Vvch3R8wDkScZWzQzMMUm3PWbmWvVJrZwQY4VUNgqFJPMM3No2dFDFGTsxxpG5uJh7n7epu4trkrX7x7DogT5Uv6fcLW5"},
	{"1 m/0'/1/2'/2", "xpub6FHa3pjLCk84BayeJxFW2SP4XRrFd1JYnxeLeU8EqN3vDfZmbqBqaGJAyiLjTAwm6ZLRQUMv1ZACTj37sR62cfN7fe5JnJ7dh8zL4fiyLHV"},
	{"1 m/0'/1/2'/2/1000000000", "xpub6H1LXWLaKsWFhvm6RVpEL9P4KfRZSW7abD2ttkWP3SSQvnyA8FSVqNTEcYFgJS2UaFcxupHiYkro49S8yGasTvXEYBVPamhGW6cFJodrTHy"},
	{"2 m", "xpub661MyMwAqRbcFW31YEwpkMuc5THy2PSt5bDMsktWQcFF8syAmRUapSCGu8ED9W6oDMSgv6Zz8idoc4a6mr8BDzTJY47LJhkJ8UB7WEGuduB"},
	{"2 m/0", "xpub69H7F5d8KSRgmmdJg2KhpAK8SR3DjMwAdkxj3ZuxV27CprR9LgpeyGmXUbC6wb7ERfvrnKZjXoUmmDznezpbZb7ap6r1D3tgFxHmwMkQTPH"},
	{"2 m/0/2147483647'", "xpub6ASAVgeehLbnwdqV6UKMHVzgqAG8Gr6riv3Fxxpj8ksbH9ebxaEyBLZ85ySDhKiLDBrQSARLq1uNRts8RuJiHjaDMBU4Zn9h8LZNnBC5y4a"},
	{"2 m/0/2147483647'/1", "xpub6DF8uhdarytz3FWdA8TvFSvvAh8dP3283MY7p2V4SeE2wyWmG5mg5EwVvmdMVCQcoNJxGoWaU9DCWh89LojfZ537wTfunKau47EL2dhHKon"},
	{"2 m/0/2147483647'/1/2147483646'", "xpub6ERApfZwUNrhLCkDtcHTcxd75RbzS1ed54G1LkBUHQVHQKqhMkhgbmJbZRkrgZw4koxb5JaHWkY4ALHY2grBGRjaDMzQLcgJvLJuZZvRcEL"},
	{"2 m/0/2147483647'/1/2147483646'/2", "xpub6FnCn6nSzZAw5Tw7cgR9bi15UV96gLZhjDstkXXxvCLsUXBGXPdSnLFbdpq8p9HmGsApME5hQTZ3emM2rnY5agb9rXpVGyy3bdW6EEgAtqt"},
	{"3 m", "xpub661MyMwAqRbcEZVB4dScxMAdx6d4nFc9nvyvH3v4gJL378CSRZiYmhRoP7mBy6gSPSCYk6SzXPTf3ND1cZAceL7SfJ1Z3GC8vBgp2epUt13"},
	{"3 m/0'", "xpub68NZiKmJWnxxS6aaHmn81bvJeTESw724CRDs6HbuccFQN9Ku14VQrADWgqbhhTHBaohPX4CjNLf9fq9MYo6oDaPPLPxSb7gwQN3ih19Zm4Y"},
	{"4 m", "xpub661MyMwAqRbcGczjuMoRm6dXaLDEhW1u34gKenbeYqAix21mdUKJyuyu5F1rzYGVxyL6tmgBUAEPrEz92mBXjByMRiJdba9wpnN37RLLAXa"},
	{"4 m/0'", "xpub69AUMk3qDBi3uW1sXgjCmVjJ2G6WQoYSnNHyzkmdCHEhSZ4tBok37xfFEqHd2AddP56Tqp4o56AePAgCjYdvpW2PU2jbUPFKsav5ut6Ch1m"},
	{"4 m/0'/1'", "xpub6BJA1jSqiukeaesWfxe6sNK9CCGaujFFSJLomWHprUL9DePQ4JDkM5d88n49sMGJxrhpjazuXYWdMf17C9T5XnxkopaeS7jGk1GyyVziaMt"},
}

// Each vector reads, writes back, and names its parent; where the step isn't hardened, the parent derives it.
func TestBIP32PublicVectors(t *testing.T) {
	t.Parallel()
	var parent ExtendedKey
	derived := 0
	for _, v := range bip32Public {
		k, version, err := DecodeExtendedKey(v.key)
		if err != nil {
			t.Fatalf("%s: %v", v.chain, err)
		}
		if version != Mainnet {
			t.Errorf("%s: version %08x", v.chain, version)
		}
		if got, err := k.Encode(Mainnet); err != nil || got != v.key {
			t.Errorf("%s: encodes to %s, %v", v.chain, got, err)
		}
		path, err := ParsePath(v.chain[2:])
		if err != nil {
			t.Fatalf("%s: %v", v.chain, err)
		}
		if int(k.Depth) != len(path) {
			t.Errorf("%s: depth %d", v.chain, k.Depth)
		}
		if len(path) > 0 {
			last := path[len(path)-1]
			if k.ChildNumber != last || k.ParentFingerprint != parent.PublicKey.Fingerprint() {
				t.Errorf("%s: child %d of %x", v.chain, k.ChildNumber, k.ParentFingerprint)
			}
			child, err := parent.Child(last)
			switch {
			case last&HardenedBit != 0:
				if !errors.Is(err, ErrHardened) {
					t.Errorf("%s: a hardened child came out: %v", v.chain, err)
				}
			case err != nil || child != k:
				t.Errorf("%s: derived %+v, %v; want %+v", v.chain, child, err, k)
			default:
				derived++
			}
		}
		parent = k
	}
	if derived != 6 {
		t.Errorf("derived %d children, the vectors have 6 public steps", derived)
	}
}

// BIP-32 test vector 5. The private ones must be refused as private or sooner, and never be repeated in the error.
func TestBIP32InvalidVectors(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, key string
		want      error
	}{
		{"pubkey version / prvkey mismatch", "xpub661MyMwAqRbcEYS8w7XLSVeEsBXy79zSzH1J8vCdxAZningWLdN3zgtU6LBpB85b3D2yc8sfvZU521AAwdZafEz7mnzBBsz4wKY5fTtTQBm", ErrKeyPrefix},
		{"prvkey version / pubkey mismatch", "xprv9s21ZrQH143K24Mfq5zL5MhWK9hUhhGbd45hLXo2Pq2oqzMMo63oStZzFGTQQD3dC4H2D5GBj7vWvSQaaBv5cxi9gafk7NF3pnBju6dwKvH", ErrExtendedPrivate},
		{"invalid pubkey prefix 04", "xpub661MyMwAqRbcEYS8w7XLSVeEsBXy79zSzH1J8vCdxAZningWLdN3zgtU6Txnt3siSujt9RCVYsx4qHZGc62TG4McvMGcAUjeuwZdduYEvFn", ErrKeyPrefix},
		{"invalid prvkey prefix 04", "xprv9s21ZrQH143K24Mfq5zL5MhWK9hUhhGbd45hLXo2Pq2oqzMMo63oStZzFGpWnsj83BHtEy5Zt8CcDr1UiRXuWCmTQLxEK9vbz5gPstX92JQ", ErrExtendedPrivate},
		{"invalid pubkey prefix 01", "xpub661MyMwAqRbcEYS8w7XLSVeEsBXy79zSzH1J8vCdxAZningWLdN3zgtU6N8ZMMXctdiCjxTNq964yKkwrkBJJwpzZS4HS2fxvyYUA4q2Xe4", ErrKeyPrefix},
		{"invalid prvkey prefix 01", "xprv9s21ZrQH143K24Mfq5zL5MhWK9hUhhGbd45hLXo2Pq2oqzMMo63oStZzFAzHGBP2UuGCqWLTAPLcMtD9y5gkZ6Eq3Rjuahrv17fEQ3Qen6J", ErrExtendedPrivate},
		{"zero depth, parent fingerprint, private", "xprv9s2SPatNQ9Vc6GTbVMFPFo7jsaZySyzk7L8n2uqKXJen3KUmvQNTuLh3fhZMBoG3G4ZW1N2kZuHEPY53qmbZzCHshoQnNf4GvELZfqTUrcv", ErrExtendedPrivate},
		{"zero depth, parent fingerprint", "xpub661no6RGEX3uJkY4bNnPcw4URcQTrSibUZ4NqJEw5eBkv7ovTwgiT91XX27VbEXGENhYRCf7hyEbWrR3FewATdCEebj6znwMfQkhRYHRLpJ", ErrExtendedRoot},
		{"zero depth, index, private", "xprv9s21ZrQH4r4TsiLvyLXqM9P7k1K3EYhA1kkD6xuquB5i39AU8KF42acDyL3qsDbU9NmZn6MsGSUYZEsuoePmjzsB3eFKSUEh3Gu1N3cqVUN", ErrExtendedPrivate},
		{"zero depth, index", "xpub661MyMwAuDcm6CRQ5N4qiHKrJ39Xe1R1NyfouMKTTWcguwVcfrZJaNvhpebzGerh7gucBvzEQWRugZDuDXjNDRmXzSZe4c7mnTK97pTvGS8", ErrExtendedRoot},
		{"unknown version", "DMwo58pR1QLEFihHiXPVykYB6fJmsTeHvyTp7hRThAtCX8CvYzgPcn8XnmdfHGMQzT7ayAmfo4z3gY5KfbrZWZ6St24UVf2Qgo6oujFktLHdHY4", ErrExtendedVersion},
		{"unknown version, the other", "DMwo58pR1QLEFihHiXPVykYB6fJmsTeHvyTp7hRThAtCX8CvYzgPcn8XnmdfHPmHJiEDXkTiJTVV9rHEBUem2mwVbbNfvT2MTcAqj3nesx8uBf9", ErrExtendedVersion},
		{"private key 0", "xprv9s21ZrQH143K24Mfq5zL5MhWK9hUhhGbd45hLXo2Pq2oqzMMo63oStZzF93Y5wvzdUayhgkkFoicQZcP3y52uPPxFnfoLZB21Teqt1VvEHx", ErrExtendedPrivate},
		{"private key n", "xprv9s21ZrQH143K24Mfq5zL5MhWK9hUhhGbd45hLXo2Pq2oqzMMo63oStZzFAzHGBP2UuGCqWLTAPLcMtD5SDKr24z3aiUvKr9bJpdrcLg1y3G", ErrExtendedPrivate},
		{"public key off the curve", "xpub661MyMwAqRbcEYS8w7XLSVeEsBXy79zSzH1J8vCdxAZningWLdN3zgtU6Q5JXayek4PRsn35jii4veMimro1xefsM58PgBMrvdYre8QyULY", ErrKeyOffCurve},
		{"checksum", "xprv9s21ZrQH143K3QTDL4LXw2F7HEK3wJUD2nW2nRk4stbPy6cq3jPPqjiChkVvvNKmPGJxWUtg6LnF5kejMRNNU3TGtRBeJgk33yuGBxrMPHL", ErrChecksum},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			k, _, err := DecodeExtendedKey(tc.key)
			if !errors.Is(err, tc.want) || k != (ExtendedKey{}) {
				t.Fatalf("got %+v, %v; want %v", k, err, tc.want)
			}
			for i := 0; i+8 <= len(tc.key); i++ {
				if strings.Contains(err.Error(), tc.key[i:i+8]) {
					t.Fatalf("the error repeats part of the key: %v", err)
				}
			}
		})
	}
}

func TestExtendedKeyTextRefusals(t *testing.T) {
	t.Parallel()
	good := bip32Public[0].key
	private := "tprv8ZgxMBicQKsPeDgjzdC36fs6bMjGApWDNLR9erAXMs5skhMv36j9MV5ecvfavji5khqjWaWSFhN3YcCUUdiKH6isR4Pwy3U5y5egddBr16m"
	for _, tc := range []struct {
		name, key string
		want      error
	}{
		{"empty", "", ErrExtendedLength},
		{"short", good[:110], ErrExtendedLength},
		{"long", good + "1", ErrExtendedLength},
		{"space before", " " + good[1:], ErrBase58},
		{"digit 0", good[:50] + "0" + good[51:], ErrBase58},
		{"letter l", good[:50] + "l" + good[51:], ErrBase58},
		{"not ASCII", good[:109] + "é", ErrBase58},
		{"leading ones", strings.Repeat("1", ExtendedKeyChars), ErrChecksum},
		{"two digits swapped", good[:30] + good[31:32] + good[30:31] + good[32:], ErrChecksum},
		{"private testnet key", private, ErrExtendedPrivate},
		{"right checksum, payload too short", otherPayload(t, 0, extendedKeySize), ErrExtendedLength},
		{"right checksum, payload too long", otherPayload(t, extendedKeySize+1, ExtendedKeyChars), ErrExtendedLength},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if k, _, err := DecodeExtendedKey(tc.key); !errors.Is(err, tc.want) {
				t.Errorf("got %+v, %v; want %v", k, err, tc.want)
			}
		})
	}
}

// otherPayload returns base58check text with the length of an extended key and a payload of at least from and less than to
// bytes: 77 bytes ff take as many characters as the 78 of a key, and each leading zero byte takes only one.
func otherPayload(t *testing.T, from, to int) string {
	t.Helper()
	for size := from; size < to; size++ {
		for zeros := range size {
			payload := append(make([]byte, zeros), bytes.Repeat([]byte{0xff}, size-zeros)...)
			if s := encodeBase58Check(payload); len(s) == ExtendedKeyChars {
				return s
			}
		}
	}
	t.Fatal("no payload has this length")
	return ""
}

func TestExtendedKeyLimits(t *testing.T) {
	t.Parallel()
	k, _, err := DecodeExtendedKey(bip32Public[7].key)
	if err != nil {
		t.Fatal(err)
	}
	k.Depth = MaxDepth - 1
	last, err := k.Child(HardenedBit - 1)
	if err != nil || last.Depth != MaxDepth {
		t.Fatalf("child at the last depth: %+v, %v", last, err)
	}
	if _, err := last.Child(0); !errors.Is(err, ErrTooDeep) {
		t.Errorf("beyond the last depth: got %v", err)
	}
	if _, err := k.Derive(0, HardenedBit); !errors.Is(err, ErrHardened) {
		t.Errorf("hardened: got %v", err)
	}
	if same, err := k.Derive(); err != nil || same != k {
		t.Errorf("no step: got %+v, %v", same, err)
	}
	for _, v := range []Version{0, mainnetPrivate, testnetPrivate, 0x049d7cb2} {
		if s, err := k.Encode(v); err == nil {
			t.Errorf("version %08x: encoded as %s", v, s)
		}
	}
	root := k
	root.Depth = 0
	for name, bad := range map[string]ExtendedKey{"no key": {Depth: 1}, "root with parent": root, "root with index": {PublicKey: k.PublicKey, ChildNumber: 1}} {
		if _, err := bad.Encode(Mainnet); err == nil {
			t.Errorf("%s: encoded", name)
		}
		if _, err := bad.Child(0); err == nil {
			t.Errorf("%s: derived", name)
		}
		if _, err := bad.Derive(); err == nil {
			t.Errorf("%s: derived by path", name)
		}
	}
}

// The oracle derives privately and neuters; we derive publicly. Both must write the same text.
func TestDerivationAgreesWithOracle(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.SliceOfN(rapid.Byte(), 16, 64).Draw(t, "seed")
		net, version := &chaincfg.MainNetParams, Mainnet
		if rapid.Bool().Draw(t, "testnet") {
			net, version = &chaincfg.TestNet3Params, Testnet
		}
		oracle, err := hdkeychain.NewMaster(seed, net)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range rapid.SliceOfN(rapid.Uint32(), 0, 3).Draw(t, "account") {
			if oracle, err = oracle.Derive(i); err != nil {
				t.Fatal(err)
			}
		}
		account, err := oracle.Neuter()
		if err != nil {
			t.Fatal(err)
		}
		k, v, err := DecodeExtendedKey(account.String())
		if err != nil || v != version {
			t.Fatalf("%s: %v, version %08x", account, err, v)
		}
		steps := rapid.SliceOfN(rapid.Uint32Range(0, HardenedBit-1), 0, 3).Draw(t, "steps")
		for _, i := range steps {
			if oracle, err = oracle.Derive(i); err != nil {
				t.Fatal(err)
			}
		}
		want, err := oracle.Neuter()
		if err != nil {
			t.Fatal(err)
		}
		child, err := k.Derive(steps...)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := child.Encode(version); err != nil || got != want.String() {
			t.Fatalf("%v: got %s, %v; want %s", steps, got, err, want)
		}
	})
}

func TestBase58AgreesWithOracle(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		payload := rapid.SliceOfN(rapid.Byte(), 0, 90).Draw(t, "payload")
		for range rapid.IntRange(0, 3).Draw(t, "zeros") {
			payload = append([]byte{0}, payload...)
		}
		sum := doubleSHA256(payload)
		text := encodeBase58Check(payload)
		if want := base58.Encode(append(bytes.Clone(payload), sum[:4]...)); text != want {
			t.Fatalf("got %s, want %s", text, want)
		}
		if back, err := decodeBase58Check(text); err != nil || !bytes.Equal(back, payload) {
			t.Fatalf("round trip: %x, %v", back, err)
		}
	})
	for _, s := range []string{"", "1", "11", "zz"} {
		if b, err := decodeBase58Check(s); !errors.Is(err, ErrChecksum) {
			t.Errorf("%q: got %x, %v", s, b, err)
		}
	}
}

// Law: what is accepted is what Encode writes, the oracle reads the same fields, and a child exists and encodes.
func FuzzDecodeExtendedKey(f *testing.F) {
	for _, v := range bip32Public {
		f.Add(v.key)
	}
	f.Fuzz(func(t *testing.T, s string) {
		k, v, err := DecodeExtendedKey(s)
		if err != nil {
			return
		}
		if again, err := k.Encode(v); err != nil || again != s {
			t.Fatalf("%s encodes to %s, %v", s, again, err)
		}
		want, err := hdkeychain.NewKeyFromString(s)
		if err != nil {
			t.Fatalf("the oracle refuses %s: %v", s, err)
		}
		pub, err := want.ECPubKey()
		if err != nil || want.IsPrivate() {
			t.Fatalf("the oracle finds no public key in %s: %v", s, err)
		}
		if k.PublicKey != ours(t, pub) || k.Depth != want.Depth() || !bytes.Equal(k.ChainCode[:], want.ChainCode()) || k.ChildNumber != want.ChildIndex() {
			t.Fatalf("%s: got %+v", s, k)
		}
	})
}
