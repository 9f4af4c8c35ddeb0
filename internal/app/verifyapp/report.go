// SPDX-License-Identifier: Apache-2.0

package verifyapp

import (
	"crypto/ed25519"
	"fmt"
	"io"
	"strings"
	"time"

	"strongroom/internal/app/words"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/request"
	"strongroom/verify"
)

// report is a verify.Report in JSON. Names are camelCase and never change.
type report struct {
	Holds      bool             `json:"holds"` // true; a proof that does not hold gives no report
	Domain     string           `json:"domain"`
	Profile    custody.Profile  `json:"profile"`
	Size       uint64           `json:"size"`
	Request    string           `json:"request"`
	Initiator  custody.PersonID `json:"initiator"`
	Evidence   string           `json:"evidence"`
	Effects    request.Effects  `json:"effects"`
	Bounds     request.Bounds   `json:"bounds"`
	Rule       string           `json:"rule"`
	Outcome    string           `json:"outcome"`
	Approvals  []signature      `json:"approvals"`
	Rejections []signature      `json:"rejections"`
	Refusals   []refusal        `json:"refusals"`
	Attempts   []attempt        `json:"attempts"`
	Executed   bool             `json:"executed"`
	State      string           `json:"state"`
	AsOf       uint64           `json:"asOf"` // entries of the log to which state refers
	Wallet     *wallet          `json:"wallet,omitempty"`
	Entries    []line           `json:"entries"`
	Witnesses  []witness        `json:"witnesses"` // log witnesses that cosigned the checkpoint
	Quorum     int              `json:"quorum"`    // how many must have, by the domain's genesis
	Notes      []string         `json:"notes"`

	Incarnation uint64     `json:"incarnation"` // of the log
	Reanchors   []reanchor `json:"reanchors"`   // every re-anchoring of the log, in order
}

type reanchor struct {
	Entry       uint64             `json:"entry"`
	Time        string             `json:"time"`
	Incarnation uint64             `json:"incarnation"`
	Reason      string             `json:"reason"`
	Signers     []custody.PersonID `json:"signers"`
	LostFrom    uint64             `json:"lostFrom"`
	LostTo      uint64             `json:"lostTo"`
	Whole       bool               `json:"whole"`
	Gap         uint64             `json:"gap,omitempty"` // entry with which it took effect
}

// reanchorsOf gives what a proof shows of re-anchorings.
func reanchorsOf(in []verify.Reanchor) []reanchor {
	out := []reanchor{}
	for _, r := range in {
		lost := r.Lost
		if r.Gap != 0 {
			lost = r.GapLost
		}
		out = append(out, reanchor{r.Entry, r.Time.Format(time.RFC3339Nano), r.Incarnation, r.Reason, r.Signers, lost.From, lost.To, lost.Whole, r.Gap})
	}
	return out
}

type witness struct {
	Name string `json:"name"`
	Key  string `json:"key"`
	Time string `json:"time"`
}

type wallet struct {
	ID      custody.WalletID `json:"id"`
	Chain   custody.ChainID  `json:"chain"`
	Scheme  request.Scheme   `json:"scheme"`
	Address string           `json:"address"` // receiving address 0
}

// walletOf derives the first address of the wallet that a proof is about.
func walletOf(r *verify.Report) (*wallet, error) {
	if r.Wallet == nil {
		return nil, nil
	}
	d, err := authority.Derive(*r.Wallet, entry.KeyPath{})
	return &wallet{r.Wallet.ID, r.Wallet.Chain, r.Wallet.Scheme, d.Address}, err
}

type signature struct {
	Person   custody.PersonID `json:"person"`
	Decision request.Decision `json:"decision"`
	Entry    uint64           `json:"entry"`
	Time     string           `json:"time"`
}

type refusal struct {
	Entry  uint64 `json:"entry"`
	Act    string `json:"act"`
	Kind   string `json:"kind"`
	Detail string `json:"detail"`
}

type attempt struct {
	Permit uint64          `json:"permit"`
	Fee    custody.Uint256 `json:"fee"`
	TxID   string          `json:"txid,omitempty"`
	Result uint64          `json:"result,omitempty"`
}

type line struct {
	Entry uint64 `json:"entry"`
	Kind  string `json:"kind"`
	Time  string `json:"time"`
	Bound int64  `json:"timeBoundNanos"`
}

func signatures(in []verify.Signature) []signature {
	out := []signature{}
	for _, s := range in {
		out = append(out, signature{s.Person, s.Decision, s.Entry, s.Time.Format(time.RFC3339Nano)})
	}
	return out
}

func writeJSON(w io.Writer, r *verify.Report) error {
	out := report{Holds: true, Domain: r.Domain.String(), Profile: r.Profile, Size: r.Size, Request: r.Request.String(), Initiator: r.Initiator,
		Evidence: string(r.Evidence), Effects: r.Effects, Bounds: r.Bounds, Rule: r.Rule, Outcome: string(r.Outcome),
		Approvals: signatures(r.Approvals), Rejections: signatures(r.Rejections), Refusals: []refusal{}, Attempts: []attempt{}, Executed: r.Executed, State: r.State, AsOf: r.AsOf,
		Entries: []line{}, Witnesses: []witness{}, Quorum: r.Quorum, Notes: append([]string{}, r.Notes...), Incarnation: r.Incarnation, Reanchors: reanchorsOf(r.Reanchors)}
	var err error
	if out.Wallet, err = walletOf(r); err != nil {
		return err
	}
	for _, x := range r.Refusals {
		out.Refusals = append(out.Refusals, refusal{x.Entry, x.Act, string(x.Kind), x.Detail})
	}
	for _, a := range r.Attempts {
		out.Attempts = append(out.Attempts, attempt(a))
	}
	for _, l := range r.Entries {
		out.Entries = append(out.Entries, line{l.Entry, string(l.Kind), l.Time.Format(time.RFC3339Nano), int64(l.Bound)})
	}
	for _, x := range r.Witnesses {
		out.Witnesses = append(out.Witnesses, witness{x.Name, x.Key, x.Time.Format(time.RFC3339)})
	}
	b, err := words.JSON(out, "  ")
	if err == nil {
		_, err = w.Write(b)
	}
	return err
}

// shows says in a sentence what a proof of a request in a state shows, so that a refusal that is proved is not taken for a payment.
func shows(state string, op request.Operation) string {
	switch state {
	case "executed":
		return "It shows a request that took effect."
	case "signed":
		return fmt.Sprintf("It shows a %s that was signed.", signedThing(op))
	case "void":
		return "It shows a request that ended because the log lost entries while it was open: nothing was signed for it in what is left of the log."
	case "pending":
		return "It shows a request that was accepted and nothing more: it waits."
	default:
		return fmt.Sprintf("It shows a request that was %s: nothing was signed for it, and nothing took effect.", state)
	}
}

// signedThing names what a request of the operation has signed.
func signedThing(op request.Operation) string {
	switch op {
	case request.ContractCall:
		return "contract call"
	case request.MessageSign:
		return "message"
	default:
		return "transfer"
	}
}

func writeWords(w io.Writer, r *verify.Report, key ed25519.PublicKey) error {
	var b strings.Builder
	say := func(name, format string, args ...any) {
		fmt.Fprintln(&b, words.Plain(fmt.Sprintf("%-12s"+format, append([]any{name}, args...)...)))
	}
	fmt.Fprintf(&b, "The proof holds. %s\n\n", shows(r.State, r.Effects.Operation))
	say("domain", "%s (%s profile)", r.Domain, r.Profile)
	say("log", "%d entries, committed by a checkpoint signed with the log key %x", r.Size, []byte(key))
	for _, x := range reanchorsOf(r.Reanchors) {
		say("RE-ANCHORED", "in entry %d, as incarnation %d, signed by %v: %s", x.Entry, x.Incarnation, x.Signers, x.Reason)
		switch {
		case x.Gap != 0:
			say("GAP", "entry %d: %s", x.Gap, words.Lost(x.LostFrom, x.LostTo, x.Whole))
		default:
			say("GAP", "it had not taken effect, or was cancelled: %s", words.Lost(x.LostFrom, x.LostTo, x.Whole))
		}
	}
	for _, x := range r.Witnesses {
		say("cosigned", "by log witness %s at %s, key %s", x.Name, words.Time(x.Time), x.Key)
	}
	say("request", "%s", r.Request)
	say("state", "%s, as of %d entries; the domain's signed word is that no other entry concerns it", r.State, r.AsOf)
	say("asked by", "%s, shown by %s", r.Initiator, r.Evidence)
	for i, l := range words.Effects(r.Effects, r.Bounds) {
		name := ""
		if i == 0 {
			name = "what"
		}
		say(name, "%s", l)
	}
	say("rule", "%s: %s", r.Rule, r.Outcome)
	for _, a := range r.Approvals {
		say("approved", "by %s at %s, entry %d", a.Person, words.Time(a.Time), a.Entry)
	}
	for _, a := range r.Rejections {
		say(string(a.Decision), "by %s at %s, entry %d", a.Person, words.Time(a.Time), a.Entry)
	}
	for _, x := range r.Refusals {
		say("refused", "%s, entry %d: %s: %s", x.Act, x.Entry, x.Kind, x.Detail)
	}
	for i, a := range r.Attempts {
		if a.TxID == "" {
			say("attempt", "%d: permit entry %d, fee at most %s; the file shows no signature", i+1, a.Permit, words.Amount(r.Effects.Chain.Native(), a.Fee))
			continue
		}
		if r.Effects.Operation == request.MessageSign {
			say("attempt", "%d: hash %s, permit entry %d, result entry %d", i+1, a.TxID, a.Permit, a.Result)
			continue
		}
		say("attempt", "%d: transaction %s, permit entry %d, result entry %d, fee at most %s", i+1, a.TxID, a.Permit, a.Result,
			words.Amount(r.Effects.Chain.Native(), a.Fee))
	}
	if r.Executed {
		say("done", "it took effect")
	}
	wallet, err := walletOf(r)
	if err != nil {
		return err
	}
	if wallet != nil {
		say("wallet", "%s on %s, %s; its first address is %s", wallet.ID, words.Chain(wallet.Chain), wallet.Scheme, wallet.Address)
	}
	for _, l := range r.Entries {
		say("entry", "%-6d %-10s %s", l.Entry, l.Kind, words.Time(l.Time))
	}
	for _, n := range r.Notes {
		say("note", "%s", n)
	}
	_, err = io.WriteString(w, b.String())
	return err
}
