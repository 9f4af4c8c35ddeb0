// SPDX-License-Identifier: Apache-2.0

package secondopinion

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/big"
	"strings"

	"github.com/ethereum/go-ethereum/accounts"
	"github.com/ethereum/go-ethereum/signer/core/apitypes"

	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/request"
)

// messageStatement compares a message with what its statement says: the exact bytes are made again with go-ethereum's code.
func messageStatement(b *request.MessageSignBody, s request.Statement, wallet *entry.Wallet) (Effects, error) {
	m := s.Effects.Message
	if m == nil {
		return Effects{}, &Alarm{About: "message", First: "what it says", Second: "nothing is said of it"}
	}
	e := Effects{Chain: s.Effects.Chain}
	if err := first(
		same("wallet", b.Wallet, s.Effects.Wallet),
		same("kind of message", b.Kind, m.Kind),
		same("exact bytes", hex.EncodeToString(m.Exact), hex.EncodeToString(s.Exact)),
		same("slot policy", request.NoSlot, s.Bounds.Slot),
		sameSigner(b.Wallet, b.Source, s.Effects.Source, wallet),
	); err != nil {
		return Effects{}, err
	}
	if b.Kind == request.PersonalMessage {
		_, text := accounts.TextAndHash([]byte(b.Content))
		return e, first(same("text", b.Content, m.Text), same("exact bytes", hex.EncodeToString([]byte(text)), hex.EncodeToString(m.Exact)))
	}
	var d apitypes.TypedData
	if err := json.Unmarshal([]byte(b.Content), &d); err != nil {
		return Effects{}, refused("typed data", err)
	}
	_, raw, err := apitypes.TypedDataAndHash(d)
	if err != nil {
		return Effects{}, refused("typed data", err)
	}
	id, _ := e.Chain.EVM()
	return e, first(
		same("exact bytes", hex.EncodeToString([]byte(raw)), hex.EncodeToString(m.Exact)),
		same("primary type", d.PrimaryType, m.Primary),
		same("domain", d.Domain.Name+" "+d.Domain.Version, m.Name+" "+m.Version),
		same("chain id", id, (*big.Int)(d.Domain.ChainId)),
		same("chain id stated", id, m.ChainID),
		same("verifying contract", strings.ToLower(d.Domain.VerifyingContract), strings.ToLower(m.Contract)),
		sameFields(d, m.Fields),
	)
}

// sameFields compares the plain values of typed data with what is stated: each stated field must be there, and say the same.
func sameFields(d apitypes.TypedData, stated []request.CallArg) error {
	for _, f := range stated {
		var at any = map[string]any(d.Message)
		for _, s := range strings.Split(f.Path, ".") {
			switch x := at.(type) {
			case map[string]any:
				at = x[s]
			case []any:
				if s == "length" {
					at = fmt.Sprint(len(x))
					break
				}
				i := 0
				if _, err := fmt.Sscan(s, &i); err != nil || i < 0 || i >= len(x) {
					return &Alarm{About: "field " + f.Path, First: "it is not there", Second: f.Value}
				}
				at = x[i]
			default:
				return &Alarm{About: "field " + f.Path, First: "it is not there", Second: f.Value}
			}
		}
		if strings.HasPrefix(f.Value, "sha256:") {
			continue // bound by the exact bytes
		}
		if err := same("field "+f.Path, at, f.Value); err != nil {
			return err
		}
	}
	return nil
}
