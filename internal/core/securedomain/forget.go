// SPDX-License-Identifier: Apache-2.0

package securedomain

import (
	"log/slog"
	"time"
)

// forget wipes every key that is kept unsealed: addresses and accounts, the parent keys of applications, RSA pairs made beforehand. It is called when a reason to trust them ends: any change of the
// rule document, the end of a session, a clock that is not certain, a fault, a pause beyond the lease, the end of the domain. It never
// asks which keys an event concerns: changes are rare and need people, a key that is still in use is back for the price of one unsealing,
// and a mistake in choosing would leave a key open that somebody took away. It needs no lock and waits for nothing: a key in use is wiped
// when that use ends.
func (d *Domain) forget(why string) {
	if n := d.keys.Forget() + d.parents.keep() + d.apps.opened.Forget() + d.apps.pairs.wipe(); n > 0 {
		d.slog.Info("unsealed keys wiped", slog.String("why", why), slog.Int("keys", n))
	}
}

// tendEvery is how often idle keys are wiped and the clock is looked at while nobody asks for anything: both may come so much late.
const tendEvery = 5 * time.Second

// tend looks after what is kept unsealed, until the domain closes.
func (d *Domain) tend() {
	defer d.work.Done()
	t := time.NewTicker(tendEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			d.tendOnce()
		case <-d.ctx.Done():
			return
		}
	}
}

// tendOnce wipes what is idle, ends the sessions whose time is over, of services and of warm wallets, and wipes everything if the clock is not certain.
func (d *Domain) tendOnce() {
	d.mu.Lock()
	defer d.mu.Unlock()
	at, err := d.now() // wipes all keys where it refuses
	if err != nil {
		return
	}
	d.keys.Sweep(time.Unix(0, d.readAt))
	d.apps.opened.Sweep(time.Unix(0, d.readAt))
	d.apps.rates.forget(d.readAt)
	d.apps.pairs.rouse()
	for _, id := range d.keys.Admitted() {
		d.confineEnded(id, at)
	}
	d.endSessions(func(id [16]byte) bool {
		s, ok := d.state.Session(id)
		return !ok || s.NotAfter*int64(time.Second) < at.Time-at.Bound
	})
}
