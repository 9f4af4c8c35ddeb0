// SPDX-License-Identifier: Apache-2.0

package eth

import (
	"bytes"
	"errors"
	"math/big"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rlp"
	"pgregory.net/rapid"
)

// unsignedFields is the signing payload as go-ethereum's RLP reads it, To and access list as in its own type.
type unsignedFields struct {
	ChainID    *big.Int
	Nonce      uint64
	GasTipCap  *big.Int
	GasFeeCap  *big.Int
	Gas        uint64
	To         *common.Address `rlp:"nil"`
	Value      *big.Int
	Data       []byte
	AccessList types.AccessList
}

func (f unsignedFields) tx() *types.Transaction {
	return types.NewTx(&types.DynamicFeeTx{ChainID: f.ChainID, Nonce: f.Nonce, GasTipCap: f.GasTipCap, GasFeeCap: f.GasFeeCap,
		Gas: f.Gas, To: f.To, Value: f.Value, Data: f.Data, AccessList: f.AccessList})
}

// oracleDecode reads a signing payload with go-ethereum.
func oracleDecode(b []byte) (f unsignedFields, err error) {
	if len(b) == 0 || b[0] != types.DynamicFeeTxType {
		return f, errors.New("not type 2")
	}
	return f, rlp.DecodeBytes(b[1:], &f)
}

// supported tells whether a transaction that go-ethereum reads is within the rules this package adds.
func (f unsignedFields) supported(size int) bool {
	fee := new(big.Int).Mul(f.GasFeeCap, new(big.Int).SetUint64(f.Gas))
	return size <= MaxTxSize && f.ChainID.IsUint64() && f.ChainID.Sign() > 0 && f.Nonce <= MaxNonce &&
		f.GasTipCap.Cmp(f.GasFeeCap) <= 0 && f.GasFeeCap.BitLen() <= 256 && fee.BitLen() <= 256 &&
		f.To != nil && f.Value.BitLen() <= 256 && len(f.Data) <= MaxDataSize && len(f.AccessList) == 0
}

// same compares our fields with those of a go-ethereum transaction.
func same(tx Tx1559, want *types.Transaction) bool {
	return want.ChainId().IsUint64() && tx.ChainID == want.ChainId().Uint64() && tx.Nonce == want.Nonce() &&
		toBig(tx.MaxPriorityFeePerGas).Cmp(want.GasTipCap()) == 0 && toBig(tx.MaxFeePerGas).Cmp(want.GasFeeCap()) == 0 &&
		tx.GasLimit == want.Gas() && want.To() != nil && common.Address(tx.To) == *want.To() &&
		toBig(tx.Value).Cmp(want.Value()) == 0 && bytes.Equal(tx.Data, want.Data()) && len(want.AccessList()) == 0
}

// drawTx draws a transaction that passes Check.
func drawTx(t *rapid.T) Tx1559 {
	tip, feeCap := drawUint(t, "tip"), drawUint(t, "fee cap")
	if tip.Cmp(feeCap) > 0 {
		tip, feeCap = feeCap, tip
	}
	tx := Tx1559{
		ChainID:              rapid.Uint64Min(1).Draw(t, "chain"),
		Nonce:                rapid.Uint64Max(MaxNonce).Draw(t, "nonce"),
		MaxPriorityFeePerGas: tip,
		MaxFeePerGas:         feeCap,
		GasLimit:             rapid.Uint64().Draw(t, "gas"),
		To:                   Address(rapid.SliceOfN(rapid.Byte(), 20, 20).Draw(t, "to")),
		Value:                drawUint(t, "value"),
		Data:                 rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "data"),
	}
	if _, err := tx.MaxFee(); err != nil {
		tx.GasLimit = 1
	}
	return tx
}

// drawSigner draws a private key of the oracle.
func drawSigner(t *rapid.T) (key []byte, address Address) {
	key = rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "key")
	key[0] &= 0x7f
	key[31] |= 1
	priv, err := crypto.ToECDSA(key)
	if err != nil {
		t.Fatal(err)
	}
	return key, Address(crypto.PubkeyToAddress(priv.PublicKey))
}

func sign(t rapid.TB, key []byte, digest [32]byte) (r, s [32]byte, parity byte) {
	t.Helper()
	priv, err := crypto.ToECDSA(key)
	if err != nil {
		t.Fatal(err)
	}
	sig, err := crypto.Sign(digest[:], priv)
	if err != nil {
		t.Fatal(err)
	}
	return [32]byte(sig), [32]byte(sig[32:]), sig[64]
}
