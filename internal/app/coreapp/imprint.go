// SPDX-License-Identifier: Apache-2.0

package coreapp

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"time"

	"strongroom/internal/core/auditlog"
	"strongroom/internal/gate"
	"strongroom/internal/gate/message"
	"strongroom/internal/gate/relay"
)

// genesisEvery is how often a core in imprint looks whether there is a first entry.
const genesisEvery = 500 * time.Millisecond

// creationEnds is how often after that it tries to open a domain that another process has just made and still holds.
const creationEnds = 60

// porch is a door that was opened before the core's parts were: what answers at it, and the relay that the parts will use.
type porch struct {
	house  *house
	server *server
	relay  *relay.Queue
}

// listenAt listens on a socket, and says who may connect.
func listenAt(socket string, uids []uint32) (*net.UnixListener, []uint32, error) {
	if len(uids) == 0 {
		uids = []uint32{uint32(os.Geteuid())}
	}
	ln, err := gate.Listen(socket)
	return ln, uids, err
}

// imprint serves a status that says that there is no domain yet, and what for it waits, until the log has a first entry. It makes nothing and
// opens no root of trust, so that 'strongroom domain create' or a ceremony can. Where there is a domain it gives nil: nothing was opened.
// end is called when the door fails.
func (o Options) imprint(ctx context.Context, socket string, uids []uint32, end func(error)) (at *porch, err error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	p := &parts{}
	defer func() { err = errors.Join(err, p.close()) }()
	store, err := p.openStore(ctx, o)
	if err != nil {
		return nil, err
	}
	if there, err := hasGenesis(ctx, store); there || err != nil {
		return nil, err
	}
	ln, uids, err := listenAt(socket, uids)
	if err != nil {
		return nil, inUse(err)
	}
	q := relay.New()
	h := newHouse(q, message.PhaseImprint, o.waitsForGenesis, o.counts)
	srv, err := serveDoor(ctx, h, ln, uids, o.Log, end)
	if err != nil {
		return nil, errors.Join(err, ln.Close(), q.Close())
	}
	at = &porch{h, srv, q}
	o.Log.InfoContext(ctx, "imprint: there is no domain yet", slog.String("waits_for", o.waitsForGenesis()), slog.String("socket", socket))
	for rest(ctx, genesisEvery) {
		there, err := hasGenesis(ctx, store)
		if err != nil && ctx.Err() == nil {
			return nil, errors.Join(err, at.close())
		}
		if there {
			o.Log.InfoContext(ctx, "the domain was made")
			break
		}
	}
	return at, nil
}

// rest waits, and says whether ctx goes on.
func rest(ctx context.Context, long time.Duration) bool {
	t := time.NewTimer(long)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func hasGenesis(ctx context.Context, store auditlog.Store) (bool, error) {
	size, _, err := store.Head(ctx)
	return size > 0, err
}

// waitsForGenesis says what is missing.
func (o Options) waitsForGenesis() string {
	if !hasRoot(o, o.Root) {
		return "imprint: there is no domain and there are no keys yet; 'strongroom domain create' or a ceremony makes them"
	}
	return "imprint: there is a root of trust and no domain yet; every first person signs the genesis, then 'strongroom domain finish' makes it"
}

// close closes the door.
func (p *porch) close() error { return errors.Join(p.server.close(), p.relay.Close()) }

// closeIf is close, if there is a door.
func (p *porch) closeIf() error {
	if p == nil {
		return nil
	}
	return p.close()
}

// unlessTold gives why something ended, unless it was told to.
func unlessTold(ctx context.Context, cause error) error {
	if ctx.Err() != nil {
		return nil
	}
	return cause
}
