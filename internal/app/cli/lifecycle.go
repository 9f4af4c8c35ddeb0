// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"fmt"
	"os"

	"strongroom/client"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/points"
	"strongroom/internal/pure/request"
)

type domainStatus struct {
	Verify bool `help:"Have the domain sign its status, and check the signature with the identity key that you have: serve can't lie then."`
}

// Run shows where the domain stands in its life cycle.
func (c *domainStatus) Run(e *env) error {
	cl, err := e.client()
	if err != nil {
		return err
	}
	if !c.Verify {
		s, err := cl.Status(e.ctx)
		if err != nil {
			return err
		}
		return e.show(s.Life, func() error { return e.pairs(e.lifePairs(s.Life)) })
	}
	b, err := cl.ProvenStatus(e.ctx)
	if err != nil {
		return err
	}
	var s message.Status
	if err := canon.Decode(b, &s); err != nil {
		return fmt.Errorf("signed status: %w", err)
	}
	l := lifeOf(s.Life)
	e.say("The domain's signature holds.")
	return e.show(l, func() error {
		return e.pairs(append(e.lifePairs(l), pair{"log", fmt.Sprintf("%d entries, %d pinned", s.Size, s.Pinned)}))
	})
}

// lifeOf gives the form that REST has.
func lifeOf(l message.Life) client.Life {
	out := client.Life{Phase: l.Phase, Counter: l.Counter, Allowed: l.Allowed, Frozen: l.Frozen, Epoch: l.Epoch, Pattern: l.Pattern, NextEpoch: l.NextEpoch,
		Doomed: l.Doomed, Fault: l.Fault, Since: l.Since, Administrators: l.Administrators}
	if r := l.Next; r != nil {
		out.Next = &client.Register{Epoch: r.Epoch, Pattern: r.Pattern, Committed: r.Committed, Lacking: r.Lacking, Keys: r.Keys, NewShares: r.NewShares}
	}
	if r := l.Previous; r != nil {
		out.Previous = &client.Register{Epoch: r.Epoch, Pattern: r.Pattern}
	}
	if r := l.Recovery; r != nil {
		out.Recovery = &client.RecoveryView{Threshold: r.Threshold, Shares: r.Shares, Hash: r.Hash[:]}
	}
	return out
}

func (e *env) lifePairs(l client.Life) []pair {
	phase := l.Phase
	if l.Since != 0 {
		phase += fmt.Sprintf(", since entry %d: nothing can be signed", l.Since)
	}
	out := []pair{{"state", phase}, {"counter", fmt.Sprint(l.Counter)}, {"epoch", fmt.Sprintf("%d, pattern %x", l.Epoch, []byte(l.Pattern))}}
	if n := l.Next; n != nil {
		s := fmt.Sprintf("%d, pattern %x, ", n.Epoch, []byte(n.Pattern))
		switch {
		case !n.Committed:
			s += "loaded, not committed"
		case n.Lacking > 0:
			s += fmt.Sprintf("committed; %d of %d keys are enciphered for it", n.Keys-n.Lacking, n.Keys)
		default:
			s += "committed; it can be activated"
		}
		if n.NewShares {
			s += "; with new custodians"
		}
		out = append(out, pair{"next epoch", s})
	}
	if p := l.Previous; p != nil {
		out = append(out, pair{"previous epoch", fmt.Sprintf("%d, pattern %x, not finalized", p.Epoch, []byte(p.Pattern))})
	}
	if l.Doomed > 0 {
		out = append(out, pair{"erasing", fmt.Sprintf("%d blobs", l.Doomed)})
	}
	if l.Fault != "" {
		out = append(out, pair{"STANDS STILL", l.Fault})
	}
	custodians := "none: what zeroize destroys is gone for good"
	if r := l.Recovery; r != nil {
		custodians = fmt.Sprintf("%d of %d, recovery record %x", r.Threshold, r.Shares, []byte(r.Hash))
	}
	out = append(out, pair{"custodians", custodians})
	for _, a := range l.Administrators {
		out = append(out, pair{"administrator", e.person(a)})
	}
	return out
}

// pointsCmd is about control points.
type pointsCmd struct {
	Show pointsShow `cmd:"" help:"Which control points there are, and which are on or frozen."`
	Set  pointsSet  `cmd:"" help:"Ask to switch control points on or off, or to freeze them for ever."`
}

type pointsShow struct{}

// Run lists them.
func (c *pointsShow) Run(e *env) error {
	cl, err := e.client()
	if err != nil {
		return err
	}
	s, err := cl.Status(e.ctx)
	if err != nil {
		return err
	}
	return e.show(s.Life, func() error {
		var rows [][]string
		for _, p := range points.Known().Points() {
			state := "off"
			if s.Life.Allowed.Has(p) {
				state = "on"
			}
			if s.Life.Frozen.Has(p) {
				state += ", frozen"
			}
			rows = append(rows, []string{p.String(), state, p.Meaning()})
		}
		return e.table([]string{"control point", "state", "without it, not"}, rows)
	})
}

type pointsSet struct {
	sending
	Allow  string `placeholder:"NAMES" help:"Switch these on; names with commas."`
	Deny   string `placeholder:"NAMES" help:"Switch these off."`
	Freeze string `placeholder:"NAMES" help:"Keep these for ever as they are then."`
}

// Run asks.
func (c *pointsSet) Run(e *env) error {
	var b client.PointsSet
	for _, x := range []struct {
		names string
		set   *points.Set
	}{{c.Allow, &b.Allow}, {c.Deny, &b.Deny}, {c.Freeze, &b.Freeze}} {
		if x.names == "" {
			continue
		}
		var err error
		if *x.set, err = points.ParseSet(x.names); err != nil {
			return usage("%w", err)
		}
	}
	return askAbout(e, c.sending, statusLife, func(l client.Life) (client.Body, error) { b.Counter = l.Counter + 1; return &b, nil })
}

// rotateCmd replaces the working key.
type rotateCmd struct {
	Load     rotateLoad     `cmd:"" help:"Ask the core to make the working key of the next epoch."`
	Commit   rotateCommit   `cmd:"" help:"Ask to take it: all keys are then enciphered for it, while signing goes on."`
	Activate rotateActivate `cmd:"" help:"Ask to use it from now on. Can't be cancelled afterwards."`
	Finalize rotateFinalize `cmd:"" help:"Ask to destroy the working key of the epoch before."`
	Cancel   rotateCancel   `cmd:"" help:"Ask to give the rotation up, before it is activated."`
}

type rotateLoad struct {
	sending
	Recovery string `placeholder:"FILE" help:"Recovery record of new custodians, from their ceremony; default: they stay."`
}

// Run asks.
func (c *rotateLoad) Run(e *env) error {
	var r *client.RecoveryRecord
	if c.Recovery != "" {
		r = &client.RecoveryRecord{}
		if err := readCanonical(c.Recovery, "recovery record", r); err != nil {
			return err
		}
	}
	return askAbout(e, c.sending, statusLife, func(l client.Life) (client.Body, error) {
		return &client.EpochLoad{Counter: l.Counter + 1, Epoch: l.NextEpoch, Recovery: r}, nil
	})
}

type rotateCommit struct {
	sending
	Receipts string `placeholder:"FILE" help:"Receipts of all new custodians, from their ceremony."`
}

// Run asks.
func (c *rotateCommit) Run(e *env) error {
	var receipts []client.ShareReceipt
	if c.Receipts != "" {
		if err := readCanonical(c.Receipts, "file of receipts", &receipts); err != nil {
			return err
		}
	}
	return askAbout(e, c.sending, statusLife, func(l client.Life) (client.Body, error) {
		n, err := registerOf(l.Next, "no next working key is loaded", "strongroom domain rotate load")
		return &client.EpochCommit{Counter: l.Counter + 1, Epoch: n.Epoch, Pattern: n.Pattern, Receipts: receipts}, err
	})
}

type rotateActivate struct{ sending }

// Run asks.
func (c *rotateActivate) Run(e *env) error {
	return askAbout(e, c.sending, statusLife, func(l client.Life) (client.Body, error) {
		n, err := registerOf(l.Next, "no next working key is loaded", "strongroom domain rotate load")
		if err == nil && n.Lacking > 0 {
			err = hint(fmt.Errorf("%d of %d keys are not enciphered for epoch %d yet", n.Lacking, n.Keys, n.Epoch), "it goes on by itself; strongroom domain status shows how far it is")
		}
		return &client.EpochActivate{Counter: l.Counter + 1, Epoch: n.Epoch, Pattern: n.Pattern}, err
	})
}

type rotateFinalize struct{ sending }

// Run asks.
func (c *rotateFinalize) Run(e *env) error {
	return askAbout(e, c.sending, statusLife, func(l client.Life) (client.Body, error) {
		p, err := registerOf(l.Previous, "there is no previous working key", "strongroom domain rotate activate")
		return &client.EpochFinalize{Counter: l.Counter + 1, Epoch: p.Epoch, Pattern: p.Pattern}, err
	})
}

type rotateCancel struct{ sending }

// Run asks.
func (c *rotateCancel) Run(e *env) error {
	return askAbout(e, c.sending, statusLife, func(l client.Life) (client.Body, error) {
		n, err := registerOf(l.Next, "there is no rotation that could be cancelled", "strongroom domain status")
		return &client.EpochCancel{Counter: l.Counter + 1, Epoch: n.Epoch, Pattern: n.Pattern}, err
	})
}

// registerOf gives a register that must be filled.
func registerOf(r *client.Register, lacks, command string) (client.Register, error) {
	if r == nil {
		return client.Register{}, &hinted{err: errors.New(lacks), hint: "first: " + command, code: exitConflict}
	}
	return *r, nil
}

// readCanonical reads a file of canonical CBOR.
func readCanonical(path, what string, v any) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := canon.Decode(b, v); err != nil {
		return fmt.Errorf("%s is no %s: %w", path, what, err)
	}
	return nil
}

type domainZeroize struct {
	sending
	Phrase string `placeholder:"TEXT" help:"The confirmation phrase, for programs; people are asked for it."`
}

// Run destroys the working keys. It shows what it does and wants the phrase typed.
func (c *domainZeroize) Run(e *env) error {
	d, err := e.domain()
	if err != nil {
		return err
	}
	id, _, err := d.ids()
	if err != nil {
		return err
	}
	want := request.ZeroizePhrase(custody.DomainID(id))
	err = e.typed(c.Phrase, want, "nothing was destroyed", fmt.Sprintf("This DESTROYS every working key of the domain %s, at once and for good.", d.Domain),
		"Nothing can be signed until its custodians restore it from a backup. Keys that were born in its token don't come back. You need nobody's approval.")
	if err != nil {
		return err
	}
	return askAbout(e, c.sending, statusLife, func(l client.Life) (client.Body, error) {
		return &client.Zeroize{Counter: l.Counter + 1, Phrase: want}, nil
	})
}

type domainRestore struct{ sending }

// Run asks to take the domain back into use after a restore by custodians.
func (c *domainRestore) Run(e *env) error {
	return askAbout(e, c.sending, statusLife, func(l client.Life) (client.Body, error) {
		if l.Since == 0 {
			return nil, &hinted{err: errors.New("the domain is operational; there is nothing to restore"), code: exitConflict}
		}
		return &client.Restore{Counter: l.Counter + 1, Epoch: l.Epoch, Pattern: l.Pattern}, nil
	})
}
