// SPDX-License-Identifier: Apache-2.0

package secondopinion

import (
	"bytes"
	"errors"
	"math/big"
	"strings"

	"github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rlp"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/eth"
	"strongroom/internal/pure/request"
)

// transferABI is the one call that is supported, as the Solidity ABI describes it.
const transferABI = `[{"type":"function","name":"transfer","stateMutability":"nonpayable","inputs":[` +
	`{"name":"to","type":"address"},{"name":"value","type":"uint256"}],"outputs":[{"name":"","type":"bool"}]}]`

// ethereumAddress reads an address with go-ethereum.
func ethereumAddress(s string) error {
	if !common.IsHexAddress(s) {
		return refused("address "+s, errors.New("not 20 bytes in hex"))
	}
	return same("address "+s+", checksum", s, common.HexToAddress(s).Hex())
}

// payload1559 is the list behind the type byte of an unsigned EIP-1559 transaction.
type payload1559 struct {
	ChainID, Nonce *big.Int
	Tip, FeeCap    *big.Int
	Gas            uint64
	To             common.Address
	Value          *big.Int
	Data           []byte
	AccessList     types.AccessList
}

// decodeEthereum decodes an unsigned payload with go-ethereum.
func decodeEthereum(payload []byte) (*types.Transaction, error) {
	if len(payload) == 0 || payload[0] != types.DynamicFeeTxType {
		return nil, errors.New("not of type 2")
	}
	var p payload1559
	if err := rlp.DecodeBytes(payload[1:], &p); err != nil {
		return nil, err
	}
	if !p.Nonce.IsUint64() {
		return nil, errors.New("nonce does not fit in 64 bits")
	}
	return types.NewTx(&types.DynamicFeeTx{
		ChainID: p.ChainID, Nonce: p.Nonce.Uint64(), GasTipCap: p.Tip, GasFeeCap: p.FeeCap, Gas: p.Gas,
		To: &p.To, Value: p.Value, Data: p.Data, AccessList: p.AccessList,
	}), nil
}

// ethereumPayload decodes a payload twice and compares.
func ethereumPayload(payload []byte) (Effects, *types.Transaction, error) {
	own, err := eth.DecodeUnsigned(payload)
	if err != nil {
		return Effects{}, nil, err
	}
	tx, err := decodeEthereum(payload)
	if err != nil {
		return Effects{}, nil, refused("payload", err)
	}
	ownHash, err := own.SigningHash()
	if err != nil {
		return Effects{}, nil, err
	}
	ownFee, err := own.MaxFee()
	if err != nil {
		return Effects{}, nil, err
	}
	fee := new(big.Int).Mul(tx.GasFeeCap(), new(big.Int).SetUint64(tx.Gas()))
	if err := first(
		same("chain id", own.ChainID, tx.ChainId()),
		same("nonce", own.Nonce, tx.Nonce()),
		same("tip", own.MaxPriorityFeePerGas, tx.GasTipCap()),
		same("fee a gas", own.MaxFeePerGas, tx.GasFeeCap()),
		same("gas", own.GasLimit, tx.Gas()),
		same("target", own.To, tx.To().Hex()),
		same("value", own.Value, tx.Value()),
		same("data", common.Bytes2Hex(own.Data), common.Bytes2Hex(tx.Data())),
		same("access list", 0, len(tx.AccessList())),
		same("highest fee", ownFee, fee),
		same("signing hash", common.Hash(ownHash).Hex(), types.LatestSignerForChainID(tx.ChainId()).Hash(tx).Hex()),
	); err != nil {
		return Effects{}, nil, err
	}
	e, err := ethereumEffects(tx)
	if err != nil {
		return Effects{}, nil, err
	}
	e.Fee = custody.Uint256(ownFee)
	// The own decoder has to be told which contracts are tokens; this one is taken for one, and its asset compared later.
	ownEffect, err := eth.Effects(own, func(a eth.Address) bool { return len(own.Data) > 0 && a == own.To })
	if err != nil {
		return Effects{}, nil, err
	}
	asset := e.Chain.Native()
	if ownEffect.Kind == eth.ERC20Transfer {
		asset = custody.AssetID(string(e.Chain) + "/erc20:" + ownEffect.Contract.String())
	}
	return e, tx, first(
		same("asset", asset, e.Asset),
		sameOutputs("output", []request.Output{{Address: ownEffect.To.String(), Amount: custody.Uint256(ownEffect.Amount)}}, e.Outputs),
	)
}

// ethereumEffects says what a transaction does, by go-ethereum's ABI decoder.
func ethereumEffects(tx *types.Transaction) (Effects, error) {
	e := Effects{Chain: custody.EVMChain(tx.ChainId().Uint64()), Nonce: tx.Nonce()}
	e.Asset = e.Chain.Native()
	to, amount := *tx.To(), tx.Value()
	if len(tx.Data()) > 0 {
		erc20, err := abi.JSON(strings.NewReader(transferABI))
		if err != nil {
			return e, err
		}
		method, err := erc20.MethodById(tx.Data())
		if err != nil {
			return e, refused("call", err)
		}
		args, err := method.Inputs.Unpack(tx.Data()[4:])
		if err != nil || len(args) != 2 {
			return e, refused("call", errors.Join(err, errors.New("the arguments are not an address and an amount")))
		}
		again, err := erc20.Pack(method.Name, args...)
		if err != nil || !bytes.Equal(again, tx.Data()) {
			return e, refused("call", errors.New("the arguments do not encode to the call's data again"))
		}
		e.Asset = custody.AssetID(string(e.Chain) + "/erc20:" + tx.To().Hex())
		to, amount = args[0].(common.Address), args[1].(*big.Int)
	}
	var u custody.Uint256
	amount.FillBytes(u[:])
	e.Outputs = []request.Output{{Address: to.Hex(), Amount: u}}
	return e, nil
}

// callOf packs the call of a token transfer.
func callOf(contract, to string, amount custody.Uint256) (request.Call, error) {
	erc20, err := abi.JSON(strings.NewReader(transferABI))
	if err != nil {
		return request.Call{}, err
	}
	n := new(big.Int).SetBytes(amount[:])
	data, err := erc20.Pack("transfer", common.HexToAddress(to), n)
	if err != nil {
		return request.Call{}, err
	}
	return request.Call{
		Contract: common.HexToAddress(contract).Hex(), Selector: erc20.Methods["transfer"].Sig,
		Args: []string{common.HexToAddress(to).Hex(), n.String()}, DataHash: sum(data),
	}, nil
}

// ethereumSigned checks a signed transaction against the payload that it is said to be, and gives its hash.
func ethereumSigned(payload, signed []byte, source string) (string, error) {
	own, err := eth.DecodeSigned(signed)
	if err != nil {
		return "", err
	}
	var tx types.Transaction
	if err := tx.UnmarshalBinary(signed); err != nil {
		return "", refused("signed transaction", err)
	}
	signer := types.LatestSignerForChainID(tx.ChainId())
	sender, err := types.Sender(signer, &tx)
	if err != nil {
		return "", refused("signature", err)
	}
	ownSender, err := own.Sender()
	if err != nil {
		return "", err
	}
	ownHash, err := own.Hash()
	if err != nil {
		return "", err
	}
	return tx.Hash().Hex(), first(
		same("signed transaction, signing hash", signer.Hash(&tx).Hex(), crypto.Keccak256Hash(payload).Hex()),
		same("signed transaction, hash", common.Hash(ownHash).Hex(), tx.Hash().Hex()),
		same("signed transaction, payer", ownSender, sender.Hex()),
		same("signed transaction, payer", source, sender.Hex()),
	)
}
