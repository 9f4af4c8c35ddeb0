// SPDX-License-Identifier: Apache-2.0

package words

import (
	"fmt"
	"strings"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// Happening is an entry of the log in plain words. Empty fields say nothing.
type Happening struct {
	Request custody.RequestID // that it is about, or zero
	Who     custody.PersonID  // who did it; empty: the core, or what is outside
	What    string
	Rule    string // that decided
	End     string // how it ended, or where the request stands with it
}

// noWords is what stands for a body that has none.
const noWords = "something this version has no words for"

// Entry says in one line what an entry records, from its first body as authority.DecodeBody gives it. about gives what a request that was seen
// before asks for; nothing for one that was not.
func Entry(body any, about func(custody.RequestID) string) Happening {
	h := happening(body)
	if a := about(h.Request); a != "" && h.Request != (custody.RequestID{}) {
		if _, asks := body.(*entry.Request); !asks {
			h.What += ": " + a
		}
	}
	h.What, h.Rule, h.End = Plain(h.What), Plain(h.Rule), Plain(h.End)
	return h
}

// askedLines is how many lines of a call or message go into the one line about it: with the rest `request show` has them.
const askedLines = 12

// Asked says in one line what a request asks for, a call or message as the core has decoded it; nothing where it can't be read.
func Asked(b *entry.Request) string {
	p, err := b.Parse()
	if err != nil {
		return ""
	}
	lines, signing := Body(p.Decoded, b.Effects.Source), Signing(b.Effects)
	if n := len(signing); n > askedLines {
		signing = append(signing[:askedLines:askedLines], fmt.Sprintf("and %d lines more", n-askedLines))
	}
	lines = append(lines, signing...)
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	return strings.Join(lines, "; ")
}

func happening(body any) Happening {
	switch b := body.(type) {
	case *entry.Genesis:
		return Happening{What: fmt.Sprintf("the domain begins, profile %s, root of trust %s, anchor %s", b.Profile, b.Root, b.Anchor)}
	case *entry.Request:
		return asks(b)
	case *entry.Approval:
		return decides(b.Approval)
	case *entry.Permit:
		return Happening{Request: b.Request, What: fmt.Sprintf("attempt %d from the wallet %q may be signed", b.Attempt, b.Wallet), Rule: b.Decision.Rule, End: "permitted"}
	case *entry.Result:
		return Happening{Request: b.Request, What: "the signed transaction " + b.TxID + " is given out", End: "signed"}
	case *entry.Refusal:
		return refuses(b)
	case *entry.Effect:
		return takesEffect(b)
	case *entry.Session:
		return opensSession(b)
	case *entry.Offline:
		return carries(b)
	case *entry.Quotes:
		return Happening{What: quotesOf(b)}
	case *entry.Verdicts:
		return Happening{What: verdictsOf(b)}
	case *entry.Uses:
		return Happening{What: fmt.Sprintf("applications used keys %d times; %d logins, %d logouts", b.Number, len(b.Logins), len(b.Logouts))}
	default:
		return upkeep(body)
	}
}

// upkeep is for what the core records by itself.
func upkeep(body any) Happening {
	switch b := body.(type) {
	case *entry.Snapshot:
		return Happening{What: fmt.Sprintf("the state is committed, root %x", b.Root[:8])}
	case *entry.Writer:
		return Happening{What: fmt.Sprintf("another core writes the log from now on, as writer %d", b.Epoch)}
	case *entry.Reencipher:
		return Happening{What: fmt.Sprintf("%d keys are enciphered for epoch %d", len(b.Blobs), b.Epoch)}
	case *entry.Erased:
		return Happening{What: fmt.Sprintf("%d blobs of keys that the log had given up are erased", b.Blobs.Count)}
	case *entry.Tamper:
		return Happening{What: "TAMPERING: the core destroyed its working keys: " + b.Cause, End: "zeroized"}
	case *entry.Reanchor:
		return Happening{What: fmt.Sprintf("THE LOG IS RE-ANCHORED from %d entries on, as incarnation %d: %s", b.Size, b.Incarnation, b.Reason)}
	case *entry.Gap:
		if b.Whole {
			return Happening{What: fmt.Sprintf("the re-anchoring of entry %d is over: no entry is lost", b.Reanchor)}
		}
		return Happening{What: fmt.Sprintf("GAP: the re-anchoring of entry %d is over; entries %d to %d are lost or may be: open requests are void, wallets are held", b.Reanchor, b.From, b.To)}
	default:
		return Happening{What: fmt.Sprintf("%s (%T)", noWords, body)}
	}
}

func asks(b *entry.Request) Happening {
	h := Happening{Rule: b.Decision.Rule, End: string(b.Decision.Outcome), What: "asks for what this version can't read"}
	if p, err := b.Parse(); err == nil {
		h.Request, h.Who, h.What = p.Ident, p.Initiator, "asks: "+Asked(b)
	}
	switch b.Decision.Outcome {
	case policy.Allowed:
		if h.End = "waits for approvals"; b.Decision.Auto {
			h.End = "allowed without approvals"
		}
	case policy.Denied:
		h.End = "refused" + why(b.Decision.Reason, b.Decision.Unmet)
	case policy.Held:
		h.End = "held" + why(b.Decision.Reason, b.Decision.Unmet)
	}
	return h
}

// why adds the reason and the first criterion that is not met.
func why(reason string, unmet []problem.Unmet) string {
	if len(unmet) > 0 {
		u := unmet[0]
		for _, s := range []string{u.Criterion, u.Observed} {
			if s != "" {
				reason = strings.TrimPrefix(reason+", "+s, ", ")
			}
		}
	}
	if reason == "" {
		return ""
	}
	return ": " + reason
}

func decides(a request.Approval) Happening {
	h := Happening{Request: a.Request, Who: a.Person}
	switch a.Decision {
	case request.Approve:
		h.What = "approves"
	case request.Reject:
		h.What, h.End = "rejects", "rejected"
	case request.Cancel:
		h.What, h.End = "cancels", "cancelled"
	default:
		h.What = fmt.Sprintf("%s: %s", noWords, a.Decision)
	}
	return h
}

func refuses(b *entry.Refusal) Happening {
	h := Happening{Request: b.Request, What: fmt.Sprintf("the core refuses to %s (%s): %s", b.Act, b.Kind, b.Detail), Rule: b.Rule, End: "refused; the request stands"}
	if b.Final {
		h.End = "refused for good"
	}
	return h
}

func opensSession(b *entry.Session) Happening {
	var o request.SessionOpening
	if err := canon.Decode(b.Opening, &o); err != nil {
		return Happening{What: "a service opens a session that this version can't read"}
	}
	return Happening{Who: o.Service, What: "opens a session until " + Unix(o.NotAfter)}
}

func carries(b *entry.Offline) Happening {
	if b.Number > 0 {
		return Happening{What: fmt.Sprintf("bundle %d is made for the offline domain %s", b.Number, b.Domain)}
	}
	s := fmt.Sprintf("the offline domain %s brought %d entries of its log", b.Domain, len(b.Records))
	if n := len(b.Taken); n > 0 {
		s += fmt.Sprintf("; %d keys came back", n)
	}
	return Happening{What: s}
}

// takesEffect says what became of the domain by a request other than a transfer. What was asked for follows where the request is known.
func takesEffect(b *entry.Effect) Happening {
	h := Happening{Request: b.Request, Rule: b.Decision.Rule, End: "executed"}
	switch {
	case len(b.Document) > 0:
		h.What = "the rule document is another from now on"
	case b.Wallet != nil:
		h.What = fmt.Sprintf("the wallet %q is made", b.Wallet.ID)
	case b.Addresses != nil:
		h.What = fmt.Sprintf("%d addresses of the wallet %q are made", b.Addresses.Count, b.Addresses.Wallet)
	case b.Life != nil:
		h.What = fmt.Sprintf("the domain's life cycle goes on, epoch %d", b.Life.Epoch)
	case b.Warm != nil:
		h.What = fmt.Sprintf("the warm wallet %q changes", b.Warm.Wallet)
	case b.Slots != nil:
		h.What = fmt.Sprintf("the wallet %q signs again", b.Slots.Wallet)
	case b.App != nil:
		h.What = "what applications may do changes"
	case b.Move != nil:
		h.What = fmt.Sprintf("the key of the wallet %q moves to the domain %s", b.Move.Wallet, b.Move.To)
	case b.Oversight != nil:
		h.What = overseen(b.Oversight)
	case b.Plain():
		h.What = "the address ledger changes as was asked"
	default:
		h.What = noWords
	}
	return h
}

// overseen says what an operation of oversight did.
func overseen(o *entry.Oversight) string {
	switch {
	case len(o.Held) > 0:
		return fmt.Sprintf("the request %s is held", o.Held)
	case len(o.Released) > 0:
		return fmt.Sprintf("the request %s is held no more", o.Released)
	case o.Mode == policy.Frozen:
		return "the domain is FROZEN"
	case o.Mode == policy.Draining:
		return "the domain is DRAINING"
	default:
		return "the domain is in its normal state again"
	}
}
