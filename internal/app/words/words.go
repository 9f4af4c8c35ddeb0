// SPDX-License-Identifier: Apache-2.0

// Package words says in plain words what requests do, for people who are about to sign and for those who read a proof. It shows every
// amount in base units, exactly as it is signed, and in whole coins only where the coin is the chain's own. What others wrote is shown without
// what a terminal would act on. It decides nothing.
package words

import (
	"fmt"
	"strings"
	"time"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/request"
)

// Amount writes an amount of an asset: base units, and coins beside them where the decimals are known.
func Amount(a custody.AssetID, v custody.Uint256) string {
	if contract, ok := a.ERC20(); ok {
		return fmt.Sprintf("%s base units of the token %s", v, contract)
	}
	unit, coin, decimals := "wei", "ETH", 18
	if a.Chain().Bitcoin() {
		unit, coin, decimals = "sat", "BTC", 8
	}
	return fmt.Sprintf("%s %s (%s %s)", Coins(v, decimals), coin, v, unit)
}

// Coins writes base units as coins with a decimal point, without rounding.
func Coins(v custody.Uint256, decimals int) string {
	s := v.String()
	if len(s) <= decimals {
		s = strings.Repeat("0", decimals-len(s)+1) + s
	}
	whole, part := s[:len(s)-decimals], strings.TrimRight(s[len(s)-decimals:], "0")
	if part == "" {
		return whole
	}
	return whole + "." + part
}

// Chain names a chain.
func Chain(c custody.ChainID) string {
	switch c {
	case custody.BitcoinMainnet:
		return "Bitcoin main network"
	case custody.BitcoinTestnet:
		return "Bitcoin testnet"
	case custody.BitcoinSignet:
		return "Bitcoin signet"
	case custody.BitcoinRegtest:
		return "Bitcoin regtest"
	}
	if id, ok := c.EVM(); ok {
		if id == 1 {
			return "Ethereum main network"
		}
		return fmt.Sprintf("Ethereum chain %d", id)
	}
	return Plain(string(c))
}

// Groups writes bytes as hex digits in groups of four, for people to compare.
func Groups(b []byte) string {
	var out []string
	for s := fmt.Sprintf("%x", b); s != ""; s = s[min(4, len(s)):] {
		out = append(out, s[:min(4, len(s))])
	}
	return strings.Join(out, " ")
}

// Unix writes Unix seconds.
func Unix(s int64) string { return Time(time.Unix(s, 0)) }

// Time writes a time in UTC.
func Time(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// TokenMeans says what the class token of a wallet means.
const TokenMeans = "the key is born in the token, can't be moved and is in no backup"

const tokenRisk = "if the token dies or the domain is zeroized, what the address holds is LOST"

// Body says what a request asks for, one line a fact. source is the paying address of an Ethereum transfer, or empty.
func Body(b request.Body, source string) []string { return plain(body(b, source)) }

func body(b request.Body, source string) []string {
	switch b := b.(type) {
	case *request.TransferBody:
		return transfer(*b, source)
	case *request.WalletCreateBody:
		seed := "with a new seed, born in the core"
		if b.Seed != "" {
			seed = fmt.Sprintf("from seed %s, account %d", b.Seed, b.Account)
		}
		if b.Class == request.ClassToken {
			return []string{fmt.Sprintf("make the wallet %q on %s, with one key and one address", b.Wallet, Chain(b.Chain)), TokenMeans, tokenRisk}
		}
		out := []string{fmt.Sprintf("make the wallet %q on %s, addresses %s, %s", b.Wallet, Chain(b.Chain), b.Scheme, seed)}
		if b.Temperature == request.Warm {
			out = append(out, "and keep it warm: "+warmMeans)
		}
		return out
	case *request.AddressCreateBody:
		return []string{fmt.Sprintf("make the next %d receiving addresses of the wallet %q", b.Count, b.Wallet)}
	case *request.PolicyChangeBody:
		return replaceRules(b.Replay)
	case *request.PersonEnrolBody:
		out := []string{fmt.Sprintf("enrol the %s %s with the %s key %s", b.Kind, b.Person, b.Key.Alg, b.Key.Ref())}
		if b.Key.Origin != "" {
			out = append(out, fmt.Sprintf("a passkey, used in a browser at %s", b.Key.Origin))
		}
		for _, g := range b.Groups {
			out = append(out, fmt.Sprintf("and put them into the group %q", g))
		}
		return append(out, lineOf(b.Line, b.Roles)...)
	case *request.PersonRevokeBody:
		return []string{fmt.Sprintf("revoke %s for ever: nothing they sign counts from then on", b.Person)}
	case *request.GroupSetBody:
		out := []string{fmt.Sprintf("set the group %q to exactly these members:", b.Group)}
		for _, m := range b.Members {
			out = append(out, "  "+string(m))
		}
		return out
	case *request.WhitelistAddBody:
		return listed(b)
	case request.ListBody:
		return onList(b)
	case *request.BlacklistAddBody:
		return blocked(b)
	case *request.BlacklistRemoveBody:
		return []string{fmt.Sprintf("take %s on %s from the BLACKLIST: it may be paid again if the rules let it", b.Address, Chain(b.Chain))}
	case request.WarmBody:
		return warm(b)
	case *request.WalletMoveBody:
		return move(b)
	case request.LifeBody:
		return life(b)
	case *request.SlotReconcileBody:
		return reconcile(b)
	case request.AppBody:
		return app(b)
	case request.OversightBody:
		return oversight(b)
	case *request.ContractCallBody:
		return contractCall(*b, source)
	case *request.MessageSignBody:
		return messageSign(*b, source)
	case *request.PersonKeyAddBody:
		return keyAdded(*b)
	case *request.PersonKeyRemoveBody:
		return []string{fmt.Sprintf("take the key %s from %s: nothing signed with it counts from then on", b.Key, b.Person)}
	default:
		return []string{fmt.Sprintf("something this version can't describe (%T); do not sign it", b)}
	}
}

// keyAdded says which key comes, and of a passkey where it is used: people compare the key's id with the one on the card.
func keyAdded(b request.PersonKeyAddBody) []string {
	out := []string{fmt.Sprintf("give %s a further key, the %s key %s", b.Person, b.Key.Alg, b.Key.Ref())}
	if b.Key.Origin != "" {
		out = append(out, fmt.Sprintf("a passkey, used in a browser at %s", b.Key.Origin))
	}
	return out
}

func transfer(b request.TransferBody, source string) []string {
	from := fmt.Sprintf("pay from the wallet %q on %s", b.Wallet, Chain(b.Asset.Chain()))
	if source != "" {
		from += ", address " + source
	}
	out := []string{from}
	for _, o := range b.Outputs {
		out = append(out, fmt.Sprintf("  to %s: %s", o.Address, Amount(b.Asset, o.Amount)))
	}
	return append(out, "with a fee of at most "+Amount(b.Asset.Chain().Native(), b.FeeCap))
}

// Effects says what recorded effects are, where the request itself is not at hand.
func Effects(e request.Effects, b request.Bounds) []string { return plain(effects(e, b)) }

// replaceRules says what a change of the rules comes with.
func replaceRules(r *request.Replay) []string {
	out := []string{"replace the rule document"}
	if r != nil {
		out = append(out, fmt.Sprintf("with a replay of entries %d to %d of the log, report %x", r.From, r.Size-1, []byte(r.Report)))
	}
	return out
}

func effects(e request.Effects, b request.Bounds) []string {
	if e.Operation == request.WarmOpen {
		return warm(&request.WarmOpenBody{Wallet: e.Wallet, Asset: e.Asset, Amount: e.Total, NotAfter: e.Until})
	}
	if e.Calls != nil || e.Message != nil {
		return append(signedWith(e, b), signing(e)...)
	}
	if e.Operation != request.Transfer {
		s := string(e.Operation)
		if e.Wallet != "" {
			s += fmt.Sprintf(", wallet %q on %s", e.Wallet, Chain(e.Chain))
		}
		if a := e.App; a != nil {
			s += effectsOnApps(*a)
		}
		if e.Temperature != "" {
			s += ", " + string(e.Temperature) + " from then on"
		}
		if l := e.List; l != nil {
			s += effectsOnList(*l)
		}
		if len(e.Domain) > 0 {
			s += fmt.Sprintf(", domain %x", []byte(e.Domain))
		}
		if len(e.Target) > 0 {
			s += fmt.Sprintf(", request %x", []byte(e.Target))
		}
		if e.Since > 0 {
			s += fmt.Sprintf(", of entry %d", e.Since)
		}
		if e.Replay != nil {
			s += fmt.Sprintf(", replay report %x", []byte(e.Replay.Report))
		}
		return []string{s}
	}
	return transfer(request.TransferBody{Wallet: e.Wallet, Asset: e.Asset, Outputs: e.Outputs, FeeCap: b.FeeCap}, e.Source)
}
