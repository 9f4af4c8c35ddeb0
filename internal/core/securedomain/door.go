// SPDX-License-Identifier: Apache-2.0

package securedomain

import (
	"context"

	"strongroom/internal/gate"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// Serve registers the domain's methods at a door.
func (d *Domain) Serve(m *gate.Mux) {
	gate.Handle(m, message.MethodPing, func(_ context.Context, _ gate.Caller, in message.Empty) (message.Empty, error) { return in, nil })
	gate.Handle(m, message.MethodStatus, func(context.Context, gate.Caller, message.Empty) (message.Status, error) { return d.Status(), nil })
	gate.Handle(m, message.MethodStatusSigned, func(_ context.Context, _ gate.Caller, in message.StatusAsk) (message.SignedStatus, error) {
		return d.SignedStatus(in)
	})
	gate.Handle(m, message.MethodSubmit, func(ctx context.Context, _ gate.Caller, in message.Submit) (message.Request, error) {
		return d.Submit(ctx, in)
	})
	gate.Handle(m, message.MethodApprove, func(ctx context.Context, _ gate.Caller, in message.Approve) (message.Request, error) {
		return d.Approve(ctx, in)
	})
	gate.Handle(m, message.MethodExecute, func(ctx context.Context, _ gate.Caller, in message.Execute) (message.Request, error) {
		// A retry after the effect finds the request ended: what became of it is the answer.
		if _, err := d.Execute(ctx, in.ID); err != nil && problem.KindOf(err) != problem.Conflict {
			return message.Request{}, err
		}
		v, err := d.Request(ctx, in.ID)
		if err == nil {
			err = d.shown(ctx)
		}
		return v, err
	})
	gate.Handle(m, message.MethodSign, func(ctx context.Context, _ gate.Caller, in message.Sign) (message.Signed, error) {
		return d.Sign(ctx, in.ID, in.Payload)
	})
	show(d, m, message.MethodRequest, func(ctx context.Context, in message.ByID) (message.Request, error) { return d.Request(ctx, in.ID) })
	show(d, m, message.MethodRequests, func(_ context.Context, in message.List) (message.Requests, error) { return d.Requests(in), nil })
	show(d, m, message.MethodWallet, func(_ context.Context, in message.WalletID) (message.Wallet, error) { return d.Wallet(in.ID) })
	show(d, m, message.MethodWallets, func(_ context.Context, in message.List) (message.Wallets, error) { return d.Wallets(in) })
	show(d, m, message.MethodAddresses, func(_ context.Context, in message.Addresses) (message.AddressList, error) { return d.Addresses(in) })
	show(d, m, message.MethodPolicy, func(context.Context, message.Empty) (message.Policy, error) { return d.Policy(), nil })
	gate.Handle(m, message.MethodSession, func(ctx context.Context, _ gate.Caller, in message.OpenSession) (request.SessionGrant, error) {
		return d.OpenSession(ctx, in)
	})
	gate.Handle(m, message.MethodProof, func(ctx context.Context, _ gate.Caller, in message.ByID) (message.Proof, error) {
		f, err := d.Proof(ctx, in.ID)
		return message.Proof{File: f}, err
	})
	gate.Handle(m, message.MethodWalletProof, func(ctx context.Context, _ gate.Caller, in message.WalletID) (message.Proof, error) {
		f, err := d.WalletProof(ctx, in.ID)
		return message.Proof{File: f}, err
	})
	gate.Handle(m, message.MethodFeed, func(ctx context.Context, _ gate.Caller, in message.Feed) (message.Entries, error) {
		return d.Feed(ctx, in)
	})
	gate.Handle(m, message.MethodCheck, func(_ context.Context, _ gate.Caller, in message.CheckStart) (message.Check, error) {
		return d.Check(in), nil
	})
	d.serveBackups(m)
	handle(m, message.MethodEP11, d.EP11)
	show(d, m, message.MethodBook, func(_ context.Context, in message.List) (message.Book, error) { return d.Book(in), nil })
	show(d, m, message.MethodApps, func(_ context.Context, in message.List) (message.Apps, error) { return d.Apps(in), nil })
	d.serveOffline(m)
	d.serveExplained(m)
	handle(m, message.MethodQuotes, d.Quotes)
	handle(m, message.MethodVerdicts, d.Verdicts)
	show(d, m, message.MethodScreening, func(_ context.Context, in message.ScreeningAsk) (message.Screening, error) { return d.Screening(in) })
	show(d, m, message.MethodPrices, func(context.Context, message.Empty) (message.Prices, error) { return d.Prices(), nil })
}

// serveOffline registers the methods of offline domains. Bundles are sealed to them, and results to this domain: who carries them through serve
// reads nothing.
func (d *Domain) serveOffline(m *gate.Mux) {
	show(d, m, message.MethodOfflineList, func(context.Context, message.Empty) (message.OfflineDomains, error) { return d.OfflineDomains(), nil })
	handle(m, message.MethodOfflineExport, d.OfflineExport)
	handle(m, message.MethodOfflineNext, d.OfflineNext)
	handle(m, message.MethodOfflineImport, d.OfflineImport)
}

// serveBackups registers the methods of backups. What they give is sealed, so that whoever may read status may ask for it.
func (d *Domain) serveBackups(m *gate.Mux) {
	handle(m, message.MethodBackupOpen, d.BackupOpen)
	handle(m, message.MethodBackupNext, d.BackupNext)
	handle(m, message.MethodBackupClose, d.BackupClose)
	handle(m, message.MethodCheckOpen, d.CheckOpen)
	handle(m, message.MethodCheckNext, d.CheckNext)
	handle(m, message.MethodCheckClose, d.CheckClose)
}

// handle registers a method for whoever may connect.
func handle[Req, Rep any](m *gate.Mux, method string, f func(context.Context, Req) (Rep, error)) {
	gate.Handle(m, method, func(ctx context.Context, _ gate.Caller, in Req) (Rep, error) { return f(ctx, in) })
}

// show registers a method that tells of the state. Nobody is told what the next start may drop: the answer waits until all that it was
// made of is durable and pinned.
func show[Req, Rep any](d *Domain, m *gate.Mux, method string, f func(context.Context, Req) (Rep, error)) {
	gate.Handle(m, method, func(ctx context.Context, _ gate.Caller, in Req) (Rep, error) {
		out, err := f(ctx, in)
		if waitErr := d.shown(ctx); err == nil {
			err = waitErr
		}
		return out, err
	})
}

// shown waits until the state as it is now is durable and pinned.
func (d *Domain) shown(ctx context.Context) error {
	d.mu.Lock()
	last := d.state.Next - 1
	d.mu.Unlock()
	return d.waitFor(ctx, last)
}

// Settle waits until all that was decided up to now is durable and pinned, as long as ctx allows.
func (d *Domain) Settle(ctx context.Context) error { return d.shown(ctx) }
