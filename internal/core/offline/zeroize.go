// SPDX-License-Identifier: Apache-2.0

package offline

import (
	"context"
	"errors"
	"fmt"

	"strongroom/internal/core/domainkeys"
	"strongroom/internal/core/hsm"
	"strongroom/internal/core/keystore"
	"strongroom/internal/pure/custody"
	pure "strongroom/internal/pure/offline"
)

// loadWorking loads the working key. A zeroized domain destroys again what a crash may have left, and takes a working key that custodians put
// back.
func (d *Domain) loadWorking(ctx context.Context) error {
	identity := d.ids.IdentityKey()
	if d.state.Zeroized {
		return d.takeRestored(ctx, identity)
	}
	k, err := domainkeys.LoadDWK(ctx, d.cfg.Root, identity, epoch)
	if errors.Is(err, hsm.ErrNotFound) {
		if k, err = domainkeys.LoadRestored(ctx, d.cfg.Root, identity, epoch); err == nil {
			if err = k.Save(ctx, d.cfg.Root); err != nil {
				k.Wipe()
				return err
			}
		}
	}
	if errors.Is(err, hsm.ErrNotFound) {
		return nil // nothing can be opened; status and zeroize work
	}
	if err != nil {
		return err
	}
	if string(k.Pattern[:]) != string(d.state.Pattern) {
		k.Wipe()
		return fmt.Errorf("the root of trust has another working key than the log names: %w", domainkeys.ErrUnfit)
	}
	d.working = k
	return domainkeys.DestroyUpTo(ctx, d.cfg.Root, epoch, func(restored bool, _ uint64) bool { return restored })
}

// takeRestored takes the working key that custodians put back, if there is one: entry first, then its place.
func (d *Domain) takeRestored(ctx context.Context, identity [32]byte) error {
	if err := domainkeys.DestroyDWK(ctx, d.cfg.Root, epoch); err != nil {
		return err
	}
	k, err := domainkeys.LoadRestored(ctx, d.cfg.Root, identity, epoch)
	if errors.Is(err, hsm.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if string(k.Pattern[:]) != string(d.state.Pattern) {
		k.Wipe()
		return fmt.Errorf("custodians put back another working key than the log names: %w", domainkeys.ErrUnfit)
	}
	if err := d.record(ctx, d.guess(), &pure.Restored{Epoch: epoch}); err != nil {
		k.Wipe()
		return err
	}
	k.Wipe()
	return d.loadWorking(ctx)
}

// Zeroize destroys the working key, without which no seed and no import key opens, and records it. The key is destroyed also where the log
// takes no entry; the error says so then.
func (d *Domain) Zeroize(ctx context.Context, cause string) error {
	var err error
	if !d.state.Zeroized {
		err = d.record(ctx, d.guess(), &pure.Zeroized{Cause: cause})
	}
	d.wipe()
	return errors.Join(domainkeys.DestroyAll(ctx, d.cfg.Root, epoch), err)
}

// Status is what an offline domain tells of itself.
type Status struct {
	Domain    custody.HexBytes   `json:"domain"`
	Name      string             `json:"name"`
	Authority custody.HexBytes   `json:"authority"`
	Profile   custody.Profile    `json:"profile"`
	Root      string             `json:"root"`
	Anchor    string             `json:"anchor"`
	Entries   uint64             `json:"entries"`
	Import    uint64             `json:"import"`           // number of the last bundle, 0 before the first
	Imported  uint64             `json:"imported"`         // entries of the authority
	Time      int64              `json:"importTime"`       // of its checkpoint, Unix seconds
	Full      bool               `json:"needsFull"`        // the authority's entries are not here: the next bundle must be a full one
	Wallets   []custody.WalletID `json:"wallets"`          // whose seeds are here
	Unsigned  int                `json:"unsigned"`         // permits that are recorded and have no result
	Copies    bool               `json:"recoveryCopies"`   // custodians can bring the working key back
	Zeroized  bool               `json:"zeroized"`         //
	Locked    bool               `json:"workingKeyAbsent"` // the root of trust has no working key
	Missing   []custody.WalletID `json:"missing"`          // wallets whose blobs are not there

	Incarnation uint64       `json:"incarnation"`    // of the authority's log that is followed
	Lost        []LostPermit `json:"lost,omitempty"` // permits whose entries the authority's log has lost

	SetBack string       `json:"setBack,omitempty"` // why a bundle was refused that knows more of this log than is here; empty: none was
	Gap     *Gap         `json:"gap,omitempty"`     // nil: this log was never set back
	Maybe   []LostPermit `json:"maybe,omitempty"`   // permits that wait, and that lost entries may have signed: nothing else is signed for their slots
}

// Gap is what the log says of the last time that it was set back.
type Gap struct {
	From    uint64 `json:"from"`              // entries of the backup that were kept
	To      uint64 `json:"to"`                // up to here they were taken back; the gap's own entry is this one
	Dropped uint64 `json:"dropped,omitempty"` // of the backup's
	Bundle  uint64 `json:"bundle"`            // number of the one that gave them back
	Key     bool   `json:"importKeyLost,omitempty"`
}

// Status tells how the domain stands.
func (d *Domain) Status(ctx context.Context) Status {
	s := d.state
	out := Status{Domain: s.Domain[:], Name: s.Name, Authority: s.Authority[:], Profile: s.Profile, Root: s.Root, Anchor: s.Anchor, Entries: s.Next, Import: s.Import.Number,
		Imported: s.Import.Size, Time: s.Import.Time, Full: d.follow.size() < s.Import.Size || s.Import.Number == 0, Copies: s.Recovery != nil, Zeroized: s.Zeroized, Locked: d.working == nil,
		Incarnation: max(s.Incarnation(), d.follow.state.Anchoring().Incarnation)}
	for _, h := range s.Wallets() {
		out.Wallets = append(out.Wallets, h.Wallet)
		if _, err := d.cfg.Blobs.Get(ctx, keystore.Ref{Key: h.Key, Hash: h.Blob}); err != nil {
			out.Missing = append(out.Missing, h.Wallet)
		}
	}
	for _, p := range s.Permits() {
		if p.Result == nil {
			out.Unsigned++
		}
	}
	for _, p := range s.Lost() {
		out.Lost = append(out.Lost, lostPermit(ctx, p, d.follow))
	}
	if b := s.Behind(); b != nil {
		out.SetBack = b.Detail
	}
	if g := s.Gap(); g != nil {
		out.Gap = &Gap{From: g.SetBack.From, To: g.SetBack.To, Dropped: g.Dropped, Bundle: g.Number, Key: g.Next != nil}
	}
	for _, x := range s.Maybe() {
		out.Maybe = append(out.Maybe, LostPermit{Entry: x.Entry, Request: x.Request[:], Account: x.Slot.Account, Nonce: x.Slot.Nonce, Inputs: len(x.Slot.Inputs)})
	}
	return out
}
