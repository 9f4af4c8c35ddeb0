// SPDX-License-Identifier: Apache-2.0

package ethnode

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/params"

	"strongroom/test/nodes/testtoken"
)

// FaucetEther is how many ether the faucet account holds at the start.
const FaucetEther = 1_000_000_000

// tokenSupply is the supply of a deployed token in whole tokens.
const tokenSupply = 1_000_000_000

// faucet is an account with a key made at start and never stored.
type faucet struct {
	key     *ecdsa.PrivateKey
	address common.Address
}

func newFaucet() (*faucet, error) {
	key, err := crypto.GenerateKey()
	if err != nil {
		return nil, fmt.Errorf("make the ethereum faucet key: %w", err)
	}
	return &faucet{key: key, address: crypto.PubkeyToAddress(key.PublicKey)}, nil
}

func (*faucet) balance() *big.Int {
	return new(big.Int).Mul(big.NewInt(FaucetEther), big.NewInt(params.Ether))
}

// Faucet returns the address of the faucet account.
func (n *Node) Faucet() common.Address { return n.faucet.address }

// Fund hands in a transfer of wei from the faucet and returns its hash. The
// money is there after the next block.
func (n *Node) Fund(ctx context.Context, to common.Address, wei *big.Int) (common.Hash, error) {
	if wei.Sign() <= 0 {
		return common.Hash{}, errors.New("fund an ethereum address: the amount must be above zero")
	}
	return n.send(ctx, &to, wei, nil)
}

// FundToken hands in a transfer of a token's base units from the faucet,
// which must have deployed the token, and returns its hash.
func (n *Node) FundToken(ctx context.Context, token, to common.Address, amount *big.Int) (common.Hash, error) {
	if amount.Sign() <= 0 {
		return common.Hash{}, errors.New("fund an ethereum address with a token: the amount must be above zero")
	}
	code, err := testtoken.Load()
	if err != nil {
		return common.Hash{}, err
	}
	data, err := code.Transfer(to, amount)
	if err != nil {
		return common.Hash{}, err
	}
	return n.send(ctx, &token, new(big.Int), data)
}

// DeployToken deploys the test token in a block of its own and returns its
// address. The whole supply belongs to the faucet.
func (n *Node) DeployToken(ctx context.Context) (common.Address, error) {
	code, err := testtoken.Load()
	if err != nil {
		return common.Address{}, err
	}
	unit := new(big.Int).Exp(big.NewInt(10), big.NewInt(testtoken.Decimals), nil)
	data, err := code.Create(unit.Mul(unit, big.NewInt(tokenSupply)))
	if err != nil {
		return common.Address{}, err
	}
	hash, err := n.send(ctx, nil, new(big.Int), data)
	if err != nil {
		return common.Address{}, err
	}
	if err := n.Mine(ctx, 1); err != nil {
		return common.Address{}, err
	}
	receipt, err := n.client.TransactionReceipt(ctx, hash)
	if err != nil {
		return common.Address{}, fmt.Errorf("deploy the test token: %w", err)
	}
	if receipt.Status != types.ReceiptStatusSuccessful {
		return common.Address{}, errors.New("deploy the test token: the contract creation reverted")
	}
	return receipt.ContractAddress, nil
}

// send signs an EIP-1559 transaction of the faucet and hands it to the pool.
// A nil recipient creates a contract.
func (n *Node) send(ctx context.Context, to *common.Address, value *big.Int, data []byte) (common.Hash, error) {
	n.mu.Lock() // a re-org in between would make the nonce a wrong one
	defer n.mu.Unlock()
	if n.closed {
		return common.Hash{}, errors.New("send a faucet transaction: the node is closed")
	}
	gas, err := n.client.EstimateGas(ctx, ethereum.CallMsg{From: n.faucet.address, To: to, Value: value, Data: data})
	if err != nil {
		return common.Hash{}, fmt.Errorf("estimate gas of a faucet transaction: %w", err)
	}
	tip := big.NewInt(params.GWei)
	feeCap := new(big.Int).Mul(n.eth.BlockChain().CurrentBlock().BaseFee, big.NewInt(4)) // room for a few full blocks
	tx, err := types.SignNewTx(n.faucet.key, types.LatestSignerForChainID(n.chainID), &types.DynamicFeeTx{
		ChainID: n.chainID, Nonce: n.eth.TxPool().PoolNonce(n.faucet.address), To: to, Value: value, Data: data,
		Gas: gas, GasTipCap: tip, GasFeeCap: feeCap.Add(feeCap, tip),
	})
	if err != nil {
		return common.Hash{}, fmt.Errorf("sign a faucet transaction: %w", err)
	}
	// Not by RPC, which answers before the pool counts the transaction's nonce.
	if err := n.eth.TxPool().Add([]*types.Transaction{tx}, true)[0]; err != nil {
		return common.Hash{}, fmt.Errorf("send a faucet transaction: %w", err)
	}
	return tx.Hash(), nil
}
