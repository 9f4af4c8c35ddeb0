// SPDX-License-Identifier: Apache-2.0

package securedomain

import (
	"context"
	"log/slog"

	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// The keys of warm wallets are confined in the ring: it hands none out unless it was told that a session is open. Only admit tells it so, for
// each signature anew, after it has looked at state and clock; whatever ends a session confines the wallet again. So a key of a warm wallet is
// open inside a session only, although the fold alone would keep permits from being made outside one. docs/spec/warm.md.

// confineAll confines the warm and the cold wallets of a state that was folded or that lost all sessions. The caller holds mu, or is the only one.
func (d *Domain) confineAll() {
	for _, id := range append(d.state.WarmWallets(false), d.state.ColdWallets()...) {
		d.keys.Confine(id)
	}
}

// warmChanged takes a change of a wallet's temperature or sessions into effect: at once what takes power away, and what gives it when a
// session is asked for. The caller holds mu.
func (d *Domain) warmChanged(e *entry.Warm, at authority.Moment) {
	switch e.To {
	case request.Hot:
		d.keys.Free(e.Wallet)
	case request.Warm:
		d.confine(e.Wallet, "the wallet became warm")
	default:
		d.confineEnded(e.Wallet, at)
	}
}

func (d *Domain) confine(id custody.WalletID, why string) {
	if n := d.keys.Confine(id); n > 0 {
		d.slog.Info("unsealed keys wiped", slog.String("why", why), slog.String("wallet", string(id)), slog.Int("keys", n))
	}
}

// confineEnded confines a wallet that has no session any more that may be open at a time. The caller holds mu.
func (d *Domain) confineEnded(id custody.WalletID, at authority.Moment) {
	for _, x := range d.state.WarmSessions(id) {
		if !authority.Expired(x.NotAfter, at.Time, at.Bound) {
			return
		}
	}
	d.confine(id, "the warm session ended")
}

// admit says whether the key of a wallet may be used for a permit of a request, which is always so if the wallet is hot: a session of the
// asset must be open now, and its entry durable.
func (d *Domain) admit(ctx context.Context, w entry.Wallet, id custody.RequestID) error {
	if !d.keys.Confined(w.ID) {
		return nil
	}
	seq, err := d.admitted(w, id)
	if err != nil {
		return err
	}
	return d.waitFor(ctx, seq)
}

func (d *Domain) admitted(w entry.Wallet, id custody.RequestID) (session uint64, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	at, err := d.now()
	if err != nil {
		return 0, err
	}
	g, ok := d.state.Signed(id)
	if !ok {
		return 0, problem.New(problem.Conflict, "request %s has ended", id)
	}
	switch d.state.Temperature(w.ID) {
	case request.Hot: // since a moment
		return 0, nil
	case request.Cold: // likewise
		return 0, problem.New(problem.KeyAway, "the key of wallet %q has just moved to an offline domain", w.ID)
	}
	x, err := d.state.WarmSession(w.ID, g.Asset, at)
	if err != nil {
		d.confineEnded(w.ID, at)
		return 0, err
	}
	d.keys.Admit(w.ID)
	return x.Seq, nil
}

// inSession says whether a transfer that waits has a session with room for it, if its wallet is warm: nil, or the problem that names the
// session that is missing. The fee is not known yet. The caller holds mu.
func (d *Domain) inSession(p *authority.Pending, at authority.Moment) error {
	if d.state.Temperature(p.Effects.Wallet) != request.Warm {
		return d.state.MayPermit(p.Effects.Wallet)
	}
	x, err := d.state.WarmSession(p.Effects.Wallet, p.Effects.Asset, at)
	if err == nil && x.Remaining.Cmp(p.Effects.Total) < 0 {
		err = problem.New(problem.WarmClosed, "the session of wallet %q for %s has %s left, and this takes %s and its fee", p.Effects.Wallet, p.Effects.Asset, x.Remaining, p.Effects.Total)
	}
	return err
}

// errConfined is what somebody hears whose session ended while the permit became durable.
func errConfined(w entry.Wallet) error {
	return problem.New(problem.WarmClosed, "wallet %q is warm, and its session ended before the key was used; the permit stands, and is signed in the next session", w.ID)
}
