// SPDX-License-Identifier: Apache-2.0

package apiv1

import (
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/request"
)

// Counterparty is somebody whom entries of the address book belong to.
type Counterparty = policy.Counterparty

// Blocked is an address that nothing is paid to.
type Blocked = policy.Blocked

// RampStep caps what one destination may be paid from an age on.
type RampStep = policy.RampStep

// Whitelist are the settings of the address ledger.
type Whitelist struct {
	Plan        []Branch            `json:"plan"`
	Proofs      []request.ProofKind `json:"proofs,omitempty" doc:"how a new entry may show ownership; absent: as it likes"`
	CoolOff     int64               `json:"coolOff,omitempty" doc:"seconds before an entry is whitelisted"`
	Ramp        []RampStep          `json:"ramp,omitempty"`
	ReviewAfter int64               `json:"reviewAfter,omitempty" doc:"seconds after which an entry that nobody reviewed expires"`
}

func whitelistOf(w *policy.Whitelist) *Whitelist {
	if w == nil {
		return nil
	}
	return &Whitelist{Plan: append([]Branch{}, PlanOf(w.Plan)...), Proofs: w.Proofs, CoolOff: w.CoolOff, Ramp: w.Ramp, ReviewAfter: w.ReviewAfter}
}

func (w *Whitelist) canonical() *policy.Whitelist {
	if w == nil {
		return nil
	}
	return &policy.Whitelist{Plan: planFrom(w.Plan), Proofs: w.Proofs, CoolOff: w.CoolOff, Ramp: w.Ramp, ReviewAfter: w.ReviewAfter}
}

// ListedEntry is an entry of the address book with what the address ledger knows of it.
type ListedEntry struct {
	ID           string                 `json:"id"`
	Chain        custody.ChainID        `json:"chain"`
	Address      string                 `json:"address"`
	Counterparty string                 `json:"counterparty,omitempty"`
	Proof        request.ProofKind      `json:"proof,omitempty" doc:"signed_msg, satoshi_test or attested"`
	Expires      int64                  `json:"expires,omitempty" doc:"Unix seconds"`
	Suspended    bool                   `json:"suspended,omitempty"`
	Kind         request.EntryKind      `json:"kind,omitempty"`
	Tags         []string               `json:"tags,omitempty"`
	Standing     policy.DestinationKind `json:"standing,omitempty" doc:"whitelisted, cooling, expired or suspended; absent where there is no address ledger"`
	Age          int64                  `json:"age,omitempty" doc:"seconds for which it is there for certain"`
	Reviewed     int64                  `json:"reviewed,omitempty" doc:"Unix seconds of the last review, or of its beginning"`
	Entry        uint64                 `json:"entry,omitempty" doc:"log entry that made it; 0 for genesis or an entry of old"`
	Own          bool                   `json:"own,omitempty" doc:"the rule document's own"`
	Old          bool                   `json:"old,omitempty" doc:"it was in the rule document before there was an address ledger"`
}

// ListedOf gives what an entry says of itself.
func ListedOf(e policy.BookEntry) ListedEntry {
	return ListedEntry{ID: e.ID, Chain: e.Chain, Address: e.Address, Counterparty: e.Counterparty, Proof: e.Proof, Expires: e.Expires, Suspended: e.Suspended, Kind: e.Kind, Tags: e.Tags}
}

// Blacklist lists addresses that nothing is paid to.
type Blacklist struct {
	Addresses []Blocked `json:"addresses"`
}
