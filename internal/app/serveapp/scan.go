// SPDX-License-Identifier: Apache-2.0

package serveapp

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"strongroom/internal/gate"
	"strongroom/internal/gate/message"
	"strongroom/internal/svc/wallet"
)

// walletPage is how many wallets the core is asked for at a time.
const walletPage = 500

// scan keeps the coins of the chain's wallets up to date until ctx ends. Wallets that are there at the first look may have been paid at any
// time and are looked for from the configured block on; one that appears later can't have been paid before the look before.
func (n *node) scan(core gate.Door, log *slog.Logger) func(context.Context) error {
	return func(ctx context.Context) error {
		t := time.NewTicker(n.cfg.Poll)
		defer t.Stop()
		born := n.cfg.ScanFrom
		last := ""
		for {
			p, err := n.look(ctx, core, born)
			if p.Scanned.Height > 0 {
				born = p.Scanned.Height
			}
			said := ""
			if err != nil {
				said = err.Error()
			}
			if said != last && ctx.Err() == nil {
				log.WarnContext(ctx, "coins are scanned", slog.String("chain", string(n.cfg.Chain)), slog.Uint64("height", p.Scanned.Height), slog.String("error", said))
				last = said
			}
			select {
			case <-ctx.Done():
				return nil
			case <-t.C:
			}
		}
	}
}

// look watches every wallet of the chain and reads new blocks.
func (n *node) look(ctx context.Context, core gate.Door, born uint64) (wallet.Progress, error) {
	for from := uint64(0); ; from += walletPage {
		l, err := gate.Call[message.List, message.Wallets](ctx, core, message.MethodWallets, message.List{From: from, Limit: walletPage})
		if err != nil {
			return wallet.Progress{}, fmt.Errorf("list wallets: %w", err)
		}
		for _, w := range l.Wallets {
			if w.Wallet.Chain != n.cfg.Chain {
				continue
			}
			if err := n.scanner.Watch(ctx, w.Wallet, [2]uint32{w.NextReceive, w.NextChange}, born); err != nil {
				return wallet.Progress{}, err
			}
		}
		if from+walletPage >= l.Total {
			break
		}
	}
	return n.scanner.Sync(ctx)
}
