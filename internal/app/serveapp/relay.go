// SPDX-License-Identifier: Apache-2.0

package serveapp

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"

	edge "strongroom/internal/edge/relay"
	"strongroom/internal/gate"
	"strongroom/internal/svc/relay"
)

// targets gives what is configured as the carrier wants it.
func (r Relay) targets(roots *x509.CertPool) edge.Config {
	return edge.Config{Witnesses: r.Witnesses, NTP: r.NTP, NTS: r.NTS, RootCAs: roots}
}

// Empty says whether no target is configured.
func (r Relay) Empty() bool { return r.targets(nil).Empty() }

// Open makes what carries messages of the core; nil where no target is configured.
func (r Relay) Open(core gate.Door, log *slog.Logger) (*relay.Relay, error) {
	roots, err := pool(r.CAFile)
	if err != nil {
		return nil, fmt.Errorf("relay: %w", err)
	}
	targets := r.targets(roots)
	if targets.Empty() {
		return nil, nil
	}
	carrier, err := edge.New(targets)
	if err != nil {
		return nil, err
	}
	return relay.New(relay.Config{Core: core, Carrier: carrier, Log: log})
}

// Carry carries messages of the core behind a door until ctx ends: what [Run] does besides much else.
func (r Relay) Carry(ctx context.Context, socket string, log *slog.Logger) error {
	door := gate.NewRedialer(socket)
	carry, err := r.Open(door, log)
	if err == nil && carry == nil {
		err = errors.New("relay: there is nobody to carry messages to")
	}
	if err == nil {
		err = carry.Run(ctx)
	}
	return errors.Join(err, door.Close())
}
