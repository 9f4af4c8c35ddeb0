// SPDX-License-Identifier: Apache-2.0

package policies

import (
	"fmt"
	"testing"
	"time"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/eth/abi"
	"strongroom/internal/pure/request"
)

// call is a call of the issuer's contract, from a wallet.
func call(w custody.WalletID, signature, args string) func(*story) any {
	return func(s *story) any {
		f, err := abi.ParseFunction(signature)
		if err != nil {
			s.Fatal(err)
		}
		vs, err := abi.FromJSON(f.Inputs, []byte(args))
		if err != nil {
			s.Fatal(err)
		}
		return request.ContractCallBody{Wallet: w, Contract: s.doc.Contracts[0].Addresses[0], FeeCap: custody.U64(100_000 * 100), Data: f.EncodeCall(vs)}
	}
}

// mint is a call for so many tokens, in its smallest units.
func mint(to string, units string) func(*story) any {
	return func(s *story) any {
		if a, ok := s.where[to]; ok {
			to = a
		}
		return call("issuer", "mint(address,uint256)", fmt.Sprintf("[%q,%s]", to, units))(s)
	}
}

func TestIssuer(t *testing.T) {
	t.Parallel()
	const million = "1000000000000"
	holder := fmt.Sprintf("[%q]", stranger)
	s := begin(t, "issuer", nil)
	s.tell(
		turn{name: "the issuer", by: "anna", op: request.WalletCreate, body: wallet("issuer"), want: "allow wallets", approve: []string{"bruno", "dario"}, state: "executed"},
		turn{name: "another wallet", by: "anna", op: request.WalletCreate, body: wallet("gas"), want: "allow wallets", approve: []string{"bruno", "dario"}, state: "executed"},

		turn{name: "a million", by: "anna", op: request.ContractCall, body: mint("reserve", million), want: "allow mint", cannot: []string{"anna", "dario"}, approve: []string{"bruno", "chiara"}, signs: true, state: "signed"},
		turn{name: "to somebody else", by: "anna", op: request.ContractCall, body: mint(stranger, "1"), want: "deny default-deny"},
		turn{name: "compliance rejects", by: "anna", op: request.ContractCall, body: mint("reserve", "1"), want: "allow mint", approve: []string{"bruno"}, reject: "elena", state: "rejected"},
		turn{name: "more than a million", by: "anna", op: request.ContractCall, body: mint("reserve", "1000000000001"), want: "allow mint-large", approve: []string{"bruno", "chiara", "dario"}, state: "pending not-yet"},
		turn{name: "two hours later", after: 2*time.Hour + time.Minute, again: "more than a million", signs: true, state: "signed"},
		turn{name: "a mint that gives coins away", node: "gives", by: "anna", op: request.ContractCall, body: mint("reserve", "1"), want: "allow mint", also: []string{"odd-mints"}, approve: []string{"bruno", "chiara"}, state: "pending quorum-not-met"},
		turn{name: "compliance has looked at it", again: "a mint that gives coins away", approve: []string{"elena", "dario"}, state: "pending not-yet"},
		turn{name: "and an hour later", after: time.Hour + time.Minute, again: "a mint that gives coins away", signs: true, state: "signed"},
		turn{name: "a mint that fails", node: "fails", by: "anna", op: request.ContractCall, body: mint("reserve", "1"), want: "allow mint", also: []string{"odd-mints"}},
		turn{name: "a node that is dead stops no mint", node: "dead", by: "anna", op: request.ContractCall, body: mint("reserve", "1"), want: "allow mint", also: []string{"odd-mints"}, approve: []string{"bruno", "chiara", "dario", "fabio"}, state: "pending not-yet"},
		turn{name: "a node's good word mints no more", by: "anna", op: request.ContractCall, body: mint(stranger, "1"), want: "deny default-deny"},
		turn{name: "more than ten million", by: "anna", op: request.ContractCall, body: mint("reserve", "10000000000001"), want: "deny default-deny"},
		turn{name: "compliance mints nothing", by: "dario", op: request.ContractCall, body: mint("reserve", "1"), want: "deny default-deny"},
		turn{name: "nor does the program", by: "redeem", op: request.ContractCall, body: mint("reserve", "1"), want: "deny default-deny"},
		turn{name: "it burns", by: "redeem", op: request.ContractCall, body: call("issuer", "burn(uint256)", "[500]"), want: "allow burn", approve: []string{"anna", "bruno"}, signs: true, state: "signed"},

		turn{name: "a holder is frozen", by: "dario", op: request.ContractCall, body: call("issuer", "freeze(address)", holder), want: "allow freeze-holder", cannot: []string{"anna"}, approve: []string{"elena", "fabio"}, signs: true, state: "signed"},
		turn{name: "not by issuance", by: "anna", op: request.ContractCall, body: call("issuer", "freeze(address)", holder), want: "deny default-deny"},
		turn{name: "thawed by both", by: "dario", op: request.ContractCall, body: call("issuer", "thaw(address)", holder), want: "allow thaw-holder", approve: []string{"elena"}, state: "pending quorum-not-met"},
		turn{name: "by both", again: "thawed by both", approve: []string{"anna"}, signs: true, state: "signed"},
		turn{name: "everything stops", by: "elena", op: request.ContractCall, body: call("issuer", "pause()", "[]"), want: "allow freeze-holder"},

		turn{name: "no other wallet calls", by: "anna", op: request.ContractCall, body: call("gas", "burn(uint256)", "[500]"), want: "deny one-wallet"},
		turn{name: "nobody gets power over tokens", by: "anna", op: request.ContractCall, body: call("issuer", "approve(address,uint256)", fmt.Sprintf("[%q,5]", stranger)), want: "deny no-power"},
		turn{name: "what nobody can decode may be that", by: "anna", op: request.ContractCall, body: call("issuer", "upgradeTo(address)", holder), want: "deny no-power"},
		turn{name: "another contract may do anything", by: "anna", op: request.ContractCall, body: func(s *story) any {
			b := call("issuer", "burn(uint256)", "[500]")(s).(request.ContractCallBody)
			b.Contract = stranger
			return b
		}, want: "deny no-power"},

		turn{name: "a statement", by: "anna", op: request.MessageSign, body: request.MessageSignBody{Wallet: "issuer", Kind: request.PersonalMessage, Content: "Reserve of 31 January: 1,000,000."},
			want: "allow statements", approve: []string{"bruno", "elena"}, state: "ready"},
		turn{name: "gas", by: "anna", op: request.Transfer, body: pay("gas", "reserve", 100), want: "allow gas", approve: []string{"bruno", "chiara"}, state: "ready"},
		turn{name: "coins go nowhere else", by: "anna", op: request.Transfer, body: pay("gas", stranger, 1), want: "deny reserve-only"},
		turn{name: "drains are not foreseen", by: "anna", op: request.Drain, body: request.DrainBody{Reason: "to where?"}, want: "deny break-glass"},
	)
}

// TestIssuerMintsSlowly: the eleventh mint of a day is held, whoever asks.
func TestIssuerMintsSlowly(t *testing.T) {
	t.Parallel()
	s := begin(t, "issuer", nil)
	s.play(turn{name: "the issuer", by: "anna", op: request.WalletCreate, body: wallet("issuer"), want: "allow wallets", approve: []string{"bruno", "dario"}, state: "executed"})
	for i := range 10 {
		s.play(turn{name: fmt.Sprint("mint ", i), by: "anna", op: request.ContractCall, body: mint("reserve", "1"), want: "allow mint", approve: []string{"bruno", "chiara"}, signs: true, state: "signed"})
	}
	s.tell(
		turn{name: "one more", by: "bruno", op: request.ContractCall, body: mint("reserve", "1"), want: "hold mints-day"},
		turn{name: "a burn is no mint", by: "bruno", op: request.ContractCall, body: call("issuer", "burn(uint256)", "[1]"), want: "allow burn"},
		turn{name: "the next day", after: 25 * time.Hour, by: "bruno", op: request.ContractCall, body: mint("reserve", "1"), want: "allow mint"},
	)
}
