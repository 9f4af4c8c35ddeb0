// SPDX-License-Identifier: Apache-2.0

package eth

import (
	"bytes"
	"errors"
	"math/big"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/common"
	"pgregory.net/rapid"
)

// erc20ABI is the part of ERC-20 that changes state.
const erc20ABI = `[
	{"type":"function","name":"transfer","inputs":[{"name":"to","type":"address"},{"name":"value","type":"uint256"}],"outputs":[{"type":"bool"}]},
	{"type":"function","name":"approve","inputs":[{"name":"spender","type":"address"},{"name":"value","type":"uint256"}],"outputs":[{"type":"bool"}]},
	{"type":"function","name":"transferFrom","inputs":[{"name":"from","type":"address"},{"name":"to","type":"address"},{"name":"value","type":"uint256"}],"outputs":[{"type":"bool"}]}]`

func erc20(t testing.TB) abi.ABI {
	t.Helper()
	a, err := abi.JSON(strings.NewReader(erc20ABI))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestSelectorsAreTheirSignatures(t *testing.T) {
	t.Parallel()
	for _, m := range methods {
		sum := Keccak256([]byte(m.signature))
		if m.selector != Selector(sum[:4]) {
			t.Errorf("%s: got %s, want 0x%x", m.signature, m.selector, sum[:4])
		}
	}
	if methodName(transferSelector) != "transfer(address,uint256)" {
		t.Error("the supported selector is not transfer(address,uint256)")
	}
}

func TestTransferAgreesWithOracle(t *testing.T) {
	t.Parallel()
	oracle := erc20(t)
	rapid.Check(t, func(t *rapid.T) {
		to, amount := Address(rapid.SliceOfN(rapid.Byte(), 20, 20).Draw(t, "to")), drawUint(t, "amount")
		want, err := oracle.Pack("transfer", common.Address(to), toBig(amount))
		if err != nil {
			t.Fatal(err)
		}
		got := EncodeTransfer(to, amount)
		if !bytes.Equal(got, want) {
			t.Fatalf("got %x, want %x", got, want)
		}
		if call, err := DecodeCall(got); err != nil || call != (TransferCall{To: to, Amount: amount}) {
			t.Fatalf("decodes to %+v, %v", call, err)
		}
	})
}

func TestDecodeCallRefusals(t *testing.T) {
	t.Parallel()
	oracle := erc20(t)
	pack := func(name string, args ...any) []byte {
		b, err := oracle.Pack(name, args...)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	one, peer := toBig(FromUint64(1)), common.Address{9}
	good := EncodeTransfer(Address{9}, FromUint64(1))
	padded := func(i int) []byte {
		b := bytes.Clone(good)
		b[i] = 1
		return b
	}
	for _, tc := range []struct {
		name   string
		data   []byte
		reason Reason
		method string
		says   string
	}{
		{"nothing", nil, ReasonShortData, "", "0 bytes"},
		{"three bytes", good[:3], ReasonShortData, "", "3 bytes"},
		{"approve", pack("approve", peer, one), ReasonMethod, "approve(address,uint256)", "0x095ea7b3 (approve(address,uint256))"},
		{"transferFrom", pack("transferFrom", peer, peer, one), ReasonMethod, "transferFrom(address,address,uint256)", "transferFrom"},
		{"unknown function", []byte{1, 2, 3, 4, 5}, ReasonMethod, "", "0x01020304"},
		{"selector only", good[:4], ReasonCallSize, "transfer(address,uint256)", "4 bytes instead of 68"},
		{"one byte short", good[:67], ReasonCallSize, "transfer(address,uint256)", "67 bytes"},
		{"one byte more", append(bytes.Clone(good), 0), ReasonCallSize, "transfer(address,uint256)", "69 bytes"},
		{"padding, first byte", padded(4), ReasonPadding, "transfer(address,uint256)", "before the address"},
		{"padding, last byte", padded(15), ReasonPadding, "transfer(address,uint256)", "before the address"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			call, err := DecodeCall(tc.data)
			var refusal *UnsupportedError
			if !errors.As(err, &refusal) || call != (TransferCall{}) {
				t.Fatalf("got %+v, %v", call, err)
			}
			if refusal.Reason != tc.reason || refusal.Method != tc.method || refusal.Size != len(tc.data) {
				t.Errorf("got %+v", refusal)
			}
			if !strings.Contains(err.Error(), tc.says) {
				t.Errorf("%q doesn't say %q", err, tc.says)
			}
		})
	}
}

func TestEffects(t *testing.T) {
	t.Parallel()
	token, payee := Address{0xaa}, Address{0xbb}
	isToken := func(a Address) bool { return a == token }
	most, err := FromDecimal(maxUint256)
	if err != nil {
		t.Fatal(err)
	}
	call := func(to Address, amount Uint256) Tx1559 {
		tx := sample()
		tx.To, tx.Value, tx.Data = token, Uint256{}, EncodeTransfer(to, amount)
		return tx
	}
	with := func(tx Tx1559, change func(*Tx1559)) Tx1559 {
		change(&tx)
		return tx
	}
	for _, tc := range []struct {
		name   string
		tx     Tx1559
		want   Effect
		reason Reason
		says   string
	}{
		{"native", sample(), Effect{Kind: NativeTransfer, To: sample().To, Amount: FromUint64(1e18)}, "", ""},
		{"native, empty data", with(sample(), func(tx *Tx1559) { tx.Data = []byte{} }), Effect{Kind: NativeTransfer, To: sample().To, Amount: FromUint64(1e18)}, "", ""},
		{"token", call(payee, FromUint64(5)), Effect{ERC20Transfer, token, payee, FromUint64(5)}, "", ""},
		{"token, largest amount", call(payee, most), Effect{ERC20Transfer, token, payee, most}, "", ""},
		{"native of zero", with(sample(), func(tx *Tx1559) { tx.Value = Uint256{} }), Effect{}, ReasonNothingMoved, "amount is 0"},
		{"token of zero", call(payee, Uint256{}), Effect{}, ReasonNothingMoved, "amount is 0"},
		{"native to the zero address", with(sample(), func(tx *Tx1559) { tx.To = Address{} }), Effect{}, ReasonZeroAddress, "zero address"},
		{"token to the zero address", call(Address{}, FromUint64(5)), Effect{}, ReasonZeroAddress, "zero address"},
		{"native to a token", with(sample(), func(tx *Tx1559) { tx.To = token }), Effect{}, ReasonTokenAsPayee, token.String()},
		{"token to itself", call(token, FromUint64(5)), Effect{}, ReasonTokenAsPayee, token.String()},
		{"value with a call", with(call(payee, FromUint64(5)), func(tx *Tx1559) { tx.Value = FromUint64(1) }), Effect{}, ReasonValueWithCall, "set the value to 0"},
		{"unknown token", with(call(payee, FromUint64(5)), func(tx *Tx1559) { tx.To = payee }), Effect{}, ReasonUnknownToken, payee.String()},
		{"approve", with(call(payee, FromUint64(5)), func(tx *Tx1559) { copy(tx.Data, "\x09\x5e\xa7\xb3") }), Effect{}, ReasonMethod, "approve"},
		{"message in the data", with(sample(), func(tx *Tx1559) { tx.Data = []byte("hi!") }), Effect{}, ReasonShortData, "3 bytes"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got, err := Effects(tc.tx, isToken)
			if got != tc.want {
				t.Errorf("got %+v, want %+v", got, tc.want)
			}
			var refusal *UnsupportedError
			if tc.reason == "" {
				if err != nil {
					t.Errorf("got %v", err)
				}
				return
			}
			if !errors.As(err, &refusal) || refusal.Reason != tc.reason || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("got %v, want reason %s and %q", err, tc.reason, tc.says)
			}
		})
	}

	if _, err := Effects(call(payee, FromUint64(5)), nil); err == nil {
		t.Error("a token transfer passed without any known token")
	}
	if got, err := Effects(sample(), nil); err != nil || got.Kind != NativeTransfer {
		t.Errorf("a native transfer needs no tokens: %+v, %v", got, err)
	}
	if _, err := Effects(with(sample(), func(tx *Tx1559) { tx.ChainID = 0 }), isToken); !errors.Is(err, ErrChainID) {
		t.Errorf("an unchecked transaction passed: %v", err)
	}
	if got := (&UnsupportedError{Reason: "new"}).Error(); !strings.Contains(got, "new") {
		t.Errorf("a reason without words is not shown: %s", got)
	}
}

// Law: data is accepted only when building the call again gives the same bytes, and go-ethereum unpacks the same values.
func FuzzDecodeCall(f *testing.F) {
	oracle := erc20(f)
	f.Add(EncodeTransfer(Address{1}, FromUint64(2)))
	f.Add([]byte{0x09, 0x5e, 0xa7, 0xb3})
	f.Fuzz(func(t *testing.T, data []byte) {
		call, err := DecodeCall(data)
		if err != nil {
			return
		}
		if !bytes.Equal(EncodeTransfer(call.To, call.Amount), data) {
			t.Fatalf("%x rebuilds to %+v", data, call)
		}
		method, err := oracle.MethodById(data)
		if err != nil || method.Name != "transfer" {
			t.Fatalf("%x: the oracle sees %v, %v", data, method, err)
		}
		args := map[string]any{}
		if err := method.Inputs.UnpackIntoMap(args, data[4:]); err != nil {
			t.Fatal(err)
		}
		value, ok := args["value"].(*big.Int)
		if !ok || args["to"] != common.Address(call.To) || toBig(call.Amount).Cmp(value) != 0 {
			t.Fatalf("%x: got %+v, the oracle %v", data, call, args)
		}
	})
}
