// SPDX-License-Identifier: Apache-2.0

package btc

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/btcsuite/btcd/address/v2"
	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcd/txscript/v2"
	"pgregory.net/rapid"

	"strongroom/internal/pure/secp"
)

// The valid addresses of BIP-173 and BIP-350 with witness versions that exist, and base58 ones of BIP-13 form.
func TestParseAddressAccepts(t *testing.T) {
	t.Parallel()
	for _, v := range []struct {
		name    string
		net     Network
		address string
		script  string
		kind    Kind
	}{
		{"BIP-350 upper case p2wpkh", Mainnet, "BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4", "0014751e76e8199196d454941c45d1b3a323f1433bd6", KindP2WPKH},
		{"BIP-350 testnet p2wsh", Testnet, "tb1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3q0sl5k7", "00201863143c14c5166804bd19203356da136c985678cd4d27a1b8c6329604903262", KindP2WSH},
		{"BIP-350 leading zeros p2wsh", Signet, "tb1qqqqqp399et2xygdj5xreqhjjvcmzhxw4aywxecjdzew6hylgvsesrxh6hy", "0020000000c4a5cad46221b2a187905e5266362b99d5e91c6ce24d165dab93e86433", KindP2WSH},
		{"BIP-350 testnet p2tr", Testnet, "tb1pqqqqp399et2xygdj5xreqhjjvcmzhxw4aywxecjdzew6hylgvsesf3hn0c", "5120000000c4a5cad46221b2a187905e5266362b99d5e91c6ce24d165dab93e86433", KindP2TR},
		{"BIP-350 mainnet p2tr", Mainnet, "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0", "512079be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798", KindP2TR},
		{"BIP-173 example p2wpkh", Testnet, "tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx", "0014751e76e8199196d454941c45d1b3a323f1433bd6", KindP2WPKH},
		{"BIP-173 example p2wsh", Mainnet, "bc1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3qccfmv3", "00201863143c14c5166804bd19203356da136c985678cd4d27a1b8c6329604903262", KindP2WSH},
		{"p2pkh of the generator", Mainnet, "1BgGZ9tcN4rm9KBzDn7KprQz87SZ26SAMH", "76a914751e76e8199196d454941c45d1b3a323f1433bd688ac", KindP2PKH},
		{"p2pkh of zeros", Mainnet, "1111111111111111111114oLvT2", "76a914000000000000000000000000000000000000000088ac", KindP2PKH},
		{"p2sh", Mainnet, "3P14159f73E4gFr7JterCCQh9QjiTjiZrG", "a914e9c3dd0c07aac76179ebc76a6c78d4d67c6c160a87", KindP2SH},
		{"p2pkh on regtest", Regtest, "mrCDrCybB6J1vRfbwM5hemdJz73FwDBC8r", "76a914751e76e8199196d454941c45d1b3a323f1433bd688ac", KindP2PKH},
	} {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			got, err := ParseAddress(v.net, v.address)
			if err != nil {
				t.Fatal(err)
			}
			if got.String() != v.script || got.Kind() != v.kind {
				t.Fatalf("got %s (%s), want %s (%s)", got, got.Kind(), v.script, v.kind)
			}
			want := v.address
			if v.kind != KindP2PKH && v.kind != KindP2SH {
				want = strings.ToLower(want)
			}
			if back, err := got.Address(v.net); err != nil || back != want {
				t.Fatalf("got back %s, %v, want %s", back, err, want)
			}
		})
	}
}

func TestParseAddressRefuses(t *testing.T) {
	t.Parallel()
	for _, v := range []struct {
		name    string
		net     Network
		address string
		want    error
	}{
		// BIP-350 "invalid segwit addresses"
		{"BIP-350 bech32 instead of bech32m", Mainnet, "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqh2y7hd", ErrChecksum},
		{"BIP-350 bech32 instead of bech32m, version 2", Testnet, "tb1z0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqglt7rf", ErrChecksum},
		{"BIP-350 bech32 instead of bech32m, version 16", Mainnet, "BC1S0XLXVLHEMJA6C4DQV22UAPCTQUPFHLXM9H8Z3K2E72Q4K9HCZ7VQ54WELL", ErrChecksum},
		{"BIP-350 bech32m instead of bech32", Mainnet, "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kemeawh", ErrChecksum},
		{"BIP-350 bech32m instead of bech32, p2wsh", Testnet, "tb1q0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vq24jc47", ErrChecksum},
		{"BIP-350 invalid character in checksum", Mainnet, "bc1p38j9r5y49hruaue7wxjce0updqjuyyx0kh56v8s25huc6995vvpql3jow4", ErrAddress},
		{"BIP-350 invalid witness version", Mainnet, "BC130XLXVLHEMJA6C4DQV22UAPCTQUPFHLXM9H8Z3K2E72Q4K9HCZ7VQ7ZWS8R", ErrWitnessVersion},
		{"BIP-350 program of 1 byte", Mainnet, "bc1pw5dgrnzv", ErrProgramLength},
		{"BIP-350 program of 41 bytes", Mainnet, "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7v8n0nx0muaewav253zgeav", ErrProgramLength},
		{"BIP-350 program length for version 0", Mainnet, "BC1QR508D6QEJXTDG4Y5R3ZARVARYV98GJ9P", ErrProgramLength},
		{"BIP-350 mixed case", Testnet, "tb1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vq47Zagq", ErrMixedCase},
		{"BIP-350 padding of more than 4 bits", Mainnet, "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7v07qwwzcrf", ErrAddress},
		{"BIP-350 padding that is not zero", Testnet, "tb1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vpggkg4j", ErrAddress},
		{"BIP-350 empty data", Mainnet, "bc1gmk9yu", ErrAddress},
		// BIP-350 "valid segwit addresses" that nothing can be spent from yet
		{"BIP-350 version 1 with 40 bytes", Mainnet, "bc1pw508d6qejxtdg4y5r3zarvary0c5xw7kw508d6qejxtdg4y5r3zarvary0c5xw7kt5nd6y", ErrProgramLength},
		{"BIP-350 version 16", Mainnet, "BC1SW50QGDZ25J", ErrWitnessVersion},
		{"BIP-350 version 2", Mainnet, "bc1zw508d6qejxtdg4y5r3zarvaryvaxxpcs", ErrWitnessVersion},
		// BIP-350 strings that are not bech32m
		{"BIP-350 character below range", Mainnet, " 1xj0phk", ErrAddress},
		{"BIP-350 character above range", Mainnet, "\x7f1g6xzxy", ErrAddress},
		{"BIP-350 too long", Mainnet, "an84characterslonghumanreadablepartthatcontainsthetheexcludedcharactersbioandnumber11d6pts4", ErrAddress},
		{"BIP-350 no separator", Mainnet, "qyrz8wqd2c9m", ErrAddress},
		{"BIP-350 empty prefix", Mainnet, "1qyrz8wqd2c9m", ErrAddress},
		{"BIP-350 checksum too short", Mainnet, "in1muywd", ErrAddress},
		// others
		{"one character wrong", Mainnet, "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5", ErrChecksum},
		{"p2tr off the curve", Mainnet, encodeSegwit("bc", 1, offCurve()), ErrPoint},
		{"pay to anchor", Mainnet, "bc1pfeessrawgf", ErrProgramLength},
		{"base58 one character wrong", Mainnet, "1BgGZ9tcN4rm9KBzDn7KprQz87SZ26SAMJ", ErrChecksum},
		{"base58 character that is not used", Mainnet, "1BgGZ9tcN4rm9KBzDn7KprQz87SZ26SAM0", ErrAddress},
		{"base58 leading one too many", Mainnet, "11BgGZ9tcN4rm9KBzDn7KprQz87SZ26SAMH", ErrAddress},
		{"base58 leading one missing", Mainnet, "BgGZ9tcN4rm9KBzDn7KprQz87SZ26SAMH", ErrAddress},
		{"base58 over 25 bytes", Mainnet, "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz", ErrAddress},
		{"space in front", Mainnet, " 1BgGZ9tcN4rm9KBzDn7KprQz87SZ26SAMH", ErrAddress},
		{"line feed behind", Mainnet, "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4\n", ErrAddress},
		{"empty", Mainnet, "", ErrAddress},
		{"public key", Mainnet, "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798", ErrAddress},
		{"unknown network", "litecoin", "1BgGZ9tcN4rm9KBzDn7KprQz87SZ26SAMH", ErrNetwork},
		{"no network", "", "1BgGZ9tcN4rm9KBzDn7KprQz87SZ26SAMH", ErrNetwork},
	} {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			if got, err := ParseAddress(v.net, v.address); !errors.Is(err, v.want) {
				t.Fatalf("got %s, %v, want %v", got, err, v.want)
			}
		})
	}
}

func TestParseAddressNamesTheOtherNetwork(t *testing.T) {
	t.Parallel()
	for _, v := range []struct {
		name    string
		net     Network
		address string
		want    []Network
		text    string
	}{
		{"testnet for mainnet", Mainnet, "tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx", []Network{Testnet, Signet}, "address is for testnet or signet; need one for bitcoin"},
		{"mainnet for regtest", Regtest, "BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4", []Network{Mainnet}, "address is for bitcoin; need one for regtest"},
		{"regtest for testnet", Testnet, "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080", []Network{Regtest}, "address is for regtest; need one for testnet"},
		{"base58 of mainnet for signet", Signet, "1BgGZ9tcN4rm9KBzDn7KprQz87SZ26SAMH", []Network{Mainnet}, "address is for bitcoin; need one for signet"},
		{"base58 of tests for mainnet", Mainnet, "mrCDrCybB6J1vRfbwM5hemdJz73FwDBC8r", []Network{Testnet, Signet, Regtest}, "address is for testnet or signet or regtest; need one for bitcoin"},
		{"BIP-350 unknown prefix", Mainnet, "tc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vq5zuyut", nil, "address is for a network that is unknown here; need one for bitcoin"},
		{"base58 of another currency", Mainnet, encodeBase58(0x1e, make([]byte, 20)), nil, "address is for a network that is unknown here; need one for bitcoin"},
	} {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			_, err := ParseAddress(v.net, v.address)
			var wrong *NetworkError
			if !errors.As(err, &wrong) || wrong.Want != v.net || !slices.Equal(wrong.For, v.want) {
				t.Fatalf("got %v, want networks %v", err, v.want)
			}
			if wrong.Error() != v.text {
				t.Fatalf("got %q, want %q", wrong.Error(), v.text)
			}
		})
	}
}

// offCurve returns an x coordinate that is on no point.
func offCurve() []byte {
	x := [32]byte{}
	for {
		if _, err := secp.LiftX(x); err != nil && x != [32]byte{} {
			return x[:]
		}
		x[31]++
	}
}

func TestScriptAddressRefuses(t *testing.T) {
	t.Parallel()
	for _, v := range []struct {
		name   string
		net    Network
		script Script
		want   error
	}{
		{"unknown network", "main", Script(append([]byte{op0, 20}, make([]byte, 20)...)), ErrNetwork},
		{"data", Mainnet, Script{opReturn, 1, 7}, ErrKind},
		{"anyone can spend", Mainnet, Script{op1}, ErrKind},
		{"empty", Mainnet, nil, ErrKind},
		{"version 2", Mainnet, append(Script{op1 + 1, 32}, make([]byte, 32)...), ErrKind},
		{"p2tr off the curve", Mainnet, append(Script{op1, 32}, offCurve()...), ErrPoint},
	} {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			if got, err := v.script.Address(v.net); !errors.Is(err, v.want) {
				t.Fatalf("got %q, %v, want %v", got, err, v.want)
			}
		})
	}
}

func TestBuildersRefuse(t *testing.T) {
	t.Parallel()
	if _, err := P2WPKH(secp.PublicKey{}); !errors.Is(err, ErrPoint) {
		t.Errorf("P2WPKH of no key: got %v, want %v", err, ErrPoint)
	}
	if _, err := P2TR([32]byte(offCurve())); !errors.Is(err, ErrPoint) {
		t.Errorf("P2TR off the curve: got %v, want %v", err, ErrPoint)
	}
	if _, err := TaprootOutputKey([32]byte(offCurve())); !errors.Is(err, ErrPoint) {
		t.Errorf("TaprootOutputKey off the curve: got %v, want %v", err, ErrPoint)
	}
	tooLarge := [32]byte(slices.Repeat([]byte{0xff}, 32))
	if _, err := tweakKey(newTestKey(t, 0).internal, tooLarge); !errors.Is(err, ErrPoint) {
		t.Errorf("tweak above the order: got %v, want %v", err, ErrPoint)
	}
}

// A change of any byte that makes the form of a script makes it another one.
func TestKindLooksAtEveryByte(t *testing.T) {
	t.Parallel()
	h := slices.Repeat([]byte{7}, 32)
	for _, v := range []struct {
		kind    Kind
		script  Script
		payload int // index of the first byte of hash or key
		size    int
	}{
		{KindP2PKH, slices.Concat(Script{opDup, opHash160, 20}, h[:20], Script{opEqualVerify, opCheckSig}), 3, 20},
		{KindP2SH, slices.Concat(Script{opHash160, 20}, h[:20], Script{opEqual}), 2, 20},
		{KindP2WPKH, slices.Concat(Script{op0, 20}, h[:20]), 2, 20},
		{KindP2WSH, slices.Concat(Script{op0, 32}, h), 2, 32},
		{KindP2TR, slices.Concat(Script{op1, 32}, h), 2, 32},
	} {
		if got, payload := v.script.split(); got != v.kind || !slices.Equal(payload, h[:v.size]) {
			t.Errorf("%s: got %s paying to %x", v.kind, got, payload)
		}
		for i := range v.script {
			changed := slices.Clone(v.script)
			changed[i] ^= 0x40
			want := KindUnknown
			if i >= v.payload && i < v.payload+v.size {
				want = v.kind
			}
			if got := changed.Kind(); got != want {
				t.Errorf("%s, byte %d changed: got %s, want %s", v.kind, i, got, want)
			}
		}
		for _, changed := range []Script{v.script[:len(v.script)-1], append(slices.Clone(v.script), 0)} {
			if got := changed.Kind(); got != KindUnknown {
				t.Errorf("%s with %d bytes: got %s, want %s", v.kind, len(changed), got, KindUnknown)
			}
		}
	}
	for _, s := range []Script{{opReturn}, {opReturn, 1, 7}, slices.Repeat(Script{opReturn}, 25)} {
		if got := s.Kind(); got != KindNullData {
			t.Errorf("%s: got %s, want %s", s, got, KindNullData)
		}
	}
}

// Padding has at most four bits and all of them are zero (BIP-173 "Segwit address format").
func TestParseAddressPadding(t *testing.T) {
	t.Parallel()
	write := func(groups []byte) string {
		sum := bech32Sum("bc", append(slices.Clone(groups), make([]byte, bech32Checksum)...)) ^ uint32(bech32Plain)
		var s strings.Builder
		s.WriteString("bc1")
		for _, g := range groups {
			s.WriteString(bech32Digits[g : g+1])
		}
		for i := range bech32Checksum {
			g := sum >> (5 * (bech32Checksum - 1 - i)) & 31
			s.WriteString(bech32Digits[g : g+1])
		}
		return s.String()
	}
	p2wpkh := append([]byte{0}, regroup8to5(make([]byte, 20))...)
	p2wsh := append([]byte{0}, regroup8to5(make([]byte, 32))...)
	for _, groups := range [][]byte{p2wpkh, p2wsh} {
		if _, err := ParseAddress(Mainnet, write(groups)); err != nil {
			t.Errorf("%d groups: %v", len(groups), err)
		}
	}
	if _, err := ParseAddress(Mainnet, write(append(slices.Clone(p2wpkh), 0))); !errors.Is(err, ErrAddress) {
		t.Errorf("five bits of padding: got %v, want %v", err, ErrAddress)
	}
	for bit := range 4 {
		groups := slices.Clone(p2wsh)
		groups[len(groups)-1] |= 1 << bit
		if _, err := ParseAddress(Mainnet, write(groups)); !errors.Is(err, ErrAddress) {
			t.Errorf("padding bit %d set: got %v, want %v", bit, err, ErrAddress)
		}
	}
}

func TestKindNames(t *testing.T) {
	t.Parallel()
	want := []string{"unknown", "p2pkh", "p2sh", "p2wpkh", "p2wsh", "p2tr", "nulldata", "unknown"}
	for i, w := range want {
		if got := Kind(i).String(); got != w {
			t.Errorf("kind %d: got %q, want %q", i, got, w)
		}
	}
}

func TestCoinTypes(t *testing.T) {
	t.Parallel()
	for net, want := range map[Network]uint32{Mainnet: 0, Testnet: 1, Signet: 1, Regtest: 1} {
		if p, err := net.Params(); err != nil || p.CoinType != want {
			t.Errorf("%s: got %d, %v, want %d", net, p.CoinType, err, want)
		}
	}
}

// oracleParams are btcsuite's parameters; signet has the same addresses as testnet and is not registered there.
func oracleParams(net Network) *chaincfg.Params {
	switch net {
	case Mainnet:
		return &chaincfg.MainNetParams
	case Regtest:
		return &chaincfg.RegressionNetParams
	default:
		return &chaincfg.TestNet3Params
	}
}

// checkAddress holds an address that was accepted against btcsuite's decoder and against itself.
func checkAddress(t fataler, net Network, s string, script Script) {
	t.Helper()
	back, err := script.Address(net)
	if err != nil {
		t.Fatalf("%q: accepted without address: %v", s, err)
	}
	if back != s && back != strings.ToLower(s) {
		t.Fatalf("%q: got back %q", s, back)
	}
	a, err := address.DecodeAddress(back, oracleParams(net))
	if err != nil {
		t.Fatalf("%q: oracle refuses: %v", back, err)
	}
	want, err := txscript.PayToAddrScript(a)
	if err != nil {
		t.Fatal(err)
	}
	if !script.Equal(want) {
		t.Fatalf("%q: got %s, oracle %x", s, script, want)
	}
}

// What has an address has it on every network, it reads back, and the oracle agrees.
func TestAddressRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		h := rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "payload")
		net := rapid.SampledFrom([]Network{Mainnet, Testnet, Signet, Regtest}).Draw(t, "network")
		script := rapid.SampledFrom([]Script{
			slices.Concat(Script{opDup, opHash160, 20}, h[:20], Script{opEqualVerify, opCheckSig}),
			slices.Concat(Script{opHash160, 20}, h[:20], Script{opEqual}),
			slices.Concat(Script{op0, 20}, h[:20]),
			slices.Concat(Script{op0, 32}, h),
			slices.Concat(Script{op1, 32}, h),
		}).Draw(t, "script")
		s, err := script.Address(net)
		if _, onCurve := secp.LiftX([32]byte(h)); script.Kind() == KindP2TR && onCurve != nil {
			if !errors.Is(err, ErrPoint) {
				t.Fatalf("off the curve: got %v, want %v", err, ErrPoint)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParseAddress(net, s)
		if err != nil || !got.Equal(script) {
			t.Fatalf("%s: got %s, %v, want %s", s, got, err, script)
		}
		checkAddress(t, net, s, script)
	})
}

// Law: what is accepted is canonical, and btcsuite reads the same script from it. What btcsuite accepts is accepted,
// except pay-to-anchor, public keys in hex and keys off the curve.
func FuzzAddress(f *testing.F) {
	for _, s := range []string{
		"BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4", "1BgGZ9tcN4rm9KBzDn7KprQz87SZ26SAMH", "bc1pfeessrawgf",
		"3P14159f73E4gFr7JterCCQh9QjiTjiZrG", "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0",
		"mrCDrCybB6J1vRfbwM5hemdJz73FwDBC8r", "1111111111111111111114oLvT2", "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, net := range []Network{Mainnet, Testnet, Regtest} {
			script, err := ParseAddress(net, s)
			if err == nil {
				checkAddress(t, net, s, script)
				continue
			}
			a, oracleErr := address.DecodeAddress(s, oracleParams(net))
			if oracleErr != nil || !a.IsForNet(oracleParams(net)) || errors.Is(err, ErrPoint) {
				continue
			}
			switch a.(type) {
			case *address.AddressPubKey, *address.AddressPayToAnchor:
			default:
				t.Fatalf("%q on %s: refused with %v, oracle accepts as %T", s, net, err, a)
			}
		}
	})
}
