// SPDX-License-Identifier: Apache-2.0

package eth

import (
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"pgregory.net/rapid"

	"strongroom/internal/pure/secp"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.TrimPrefix(s, "0x"))
	if err != nil {
		t.Fatalf("test data: %v", err)
	}
	return b
}

// The addresses of EIP-55 section "Test Cases". Four of them have a checksum that is all in one case.
func TestEIP55Vectors(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"0x52908400098527886E0F7030069857D2E4169EE7",
		"0x8617E340B3D01FA5F11F306F4090FD50E238070D",
		"0xde709f2102306220921060314715629080e2fb77",
		"0x27b1fdb04752bbc536007a920d24acb045561c26",
		"0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
		"0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
		"0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
		"0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
	} {
		a, err := ParseAddress(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if got := a.String(); got != text {
			t.Errorf("got %s, want %s", got, text)
		}
	}
}

func TestParseAddressRefusals(t *testing.T) {
	t.Parallel()
	const good = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
	for _, tc := range []struct {
		name, text string
		want       error
	}{
		{"empty", "", ErrAddressForm},
		{"prefix only", "0x", ErrAddressForm},
		{"without prefix", good[2:], ErrAddressForm},
		{"without prefix, of that length", good[2:] + "00", ErrAddressForm},
		{"capital prefix", "0X" + good[2:], ErrAddressForm},
		{"one digit short", good[:41], ErrAddressForm},
		{"one digit more", good + "0", ErrAddressForm},
		{"not hex", good[:41] + "g", ErrAddressForm},
		{"space", good[:41] + " ", ErrAddressForm},
		{"name", "vitalik.eth", ErrAddressForm},
		{"all lower", strings.ToLower(good), ErrAddressChecksum},
		{"all upper", "0x" + strings.ToUpper(good[2:]), ErrAddressChecksum},
		{"one letter in the wrong case", "0x5AAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", ErrAddressChecksum},
		{"one digit mistyped", "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAee", ErrAddressChecksum},
		{"two digits swapped", "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAde", ErrAddressChecksum},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			a, err := ParseAddress(tc.text)
			if !errors.Is(err, tc.want) || !a.IsZero() {
				t.Fatalf("got %s, %v; want %v", a, err, tc.want)
			}
			if errors.Is(tc.want, ErrAddressChecksum) {
				form := common.HexToAddress(tc.text).Hex()
				if !strings.Contains(err.Error(), form) {
					t.Errorf("%v: the checksummed form %s is missing", err, form)
				}
			}
		})
	}
}

func TestAddressAgreesWithOracle(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a := Address(rapid.SliceOfN(rapid.Byte(), 20, 20).Draw(t, "address"))
		if got, want := a.String(), common.Address(a).Hex(); got != want {
			t.Fatalf("got %s, want %s", got, want)
		}
		if back, err := ParseAddress(a.String()); err != nil || back != a {
			t.Fatalf("round trip: got %s, %v", back, err)
		}
	})
}

func TestPublicKeyToAddress(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		raw := rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "key")
		raw[0] &= 0x7f
		raw[31] |= 1
		key, err := crypto.ToECDSA(raw)
		if err != nil {
			t.Fatal(err)
		}
		want := crypto.PubkeyToAddress(key.PublicKey)
		got, err := PublicKeyToAddress(crypto.FromECDSAPub(&key.PublicKey))
		if err != nil || got != Address(want) {
			t.Fatalf("got %s, %v; want %s", got, err, want)
		}
	})
	off := make([]byte, 65)
	off[0] = 4
	for name, tc := range map[string]struct {
		key  []byte
		want error
	}{
		"empty":         {nil, secp.ErrKeySize},
		"compressed":    {make([]byte, 33), secp.ErrKeySize},
		"no prefix":     {make([]byte, 65), secp.ErrKeyPrefix},
		"off the curve": {off, secp.ErrKeyOffCurve},
	} {
		if a, err := PublicKeyToAddress(tc.key); !errors.Is(err, tc.want) {
			t.Errorf("%s: got %s, %v; want %v", name, a, err, tc.want)
		}
	}
}

// The empty hash is the well-known code hash of an account without code.
func TestKeccak256(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":    "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470",
		"abc": "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45",
	} {
		if got := Keccak256([]byte(text)); hex.EncodeToString(got[:]) != want {
			t.Errorf("%q: got %x, want %s", text, got, want)
		}
	}
	if Keccak256([]byte("a"), nil, []byte("bc")) != Keccak256([]byte("abc")) {
		t.Error("parts are not hashed one after the other")
	}
}

// Law: an accepted text is its own canonical form, and the oracle reads the same address.
func FuzzParseAddress(f *testing.F) {
	f.Add("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed")
	f.Fuzz(func(t *testing.T, s string) {
		a, err := ParseAddress(s)
		if err == nil && (a.String() != s || common.HexToAddress(s).Hex() != s) {
			t.Fatalf("%q was read as %s", s, a)
		}
	})
}
