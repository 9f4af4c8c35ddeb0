// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"strongroom/internal/pure/apiv1"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/tlog"
)

// ReplayReport is what a replay of the log under other rules found.
type ReplayReport = authority.Report

// ReplayDifference is a decision that the other rules would have made otherwise.
type ReplayDifference = authority.Difference

// Replaying says what to replay. Rules and LogKey are required.
type Replaying struct {
	Rules    RuleSet
	From     uint64                 // first entry whose decisions are made again
	Size     uint64                 // entries of the log to read; 0: all that the checkpoint covers
	LogKey   ed25519.PublicKey      // of the log, to check what serve shows
	Progress func(done, all uint64) // is told now and then; may be nil
}

// Replay reads the log and makes its decisions again under other rules. What serve shows is checked: it must be the log that the domain signed a checkpoint
// of. The caller needs the right to read the log.
func (c *Client) Replay(ctx context.Context, r Replaying) (ReplayReport, error) {
	p, err := authority.NewReplay(r.Rules, r.From)
	if err != nil {
		return ReplayReport{}, err
	}
	cp, err := c.checkpoint(ctx, r.LogKey)
	if err != nil {
		return ReplayReport{}, err
	}
	if r.Size == 0 {
		r.Size = cp.Size
	}
	if r.Size > cp.Size {
		return ReplayReport{}, fmt.Errorf("replay: it is of %d entries; serve shows a log of %d", r.Size, cp.Size)
	}
	var tree tlog.Frontier
	for tree.Size() < cp.Size {
		l, err := c.Entries(ctx, tree.Size(), 1000, 0)
		if err != nil {
			return ReplayReport{}, err
		}
		if len(l.Entries) == 0 {
			return ReplayReport{}, fmt.Errorf("replay: %w: the log ends at entry %d, before its checkpoint", ErrDisagrees, tree.Size())
		}
		for _, x := range l.Entries {
			if tree.Size() == cp.Size {
				break
			}
			if tree.Size() < r.Size {
				if err := addEntry(p, x); err != nil {
					return ReplayReport{}, err
				}
			}
			tree.Append(entry.Hash(x.Leaf))
		}
		if r.Progress != nil {
			r.Progress(tree.Size(), cp.Size)
		}
	}
	if cp.Root != tree.Root() {
		return ReplayReport{}, fmt.Errorf("replay: %w: the entries are not those of the log's checkpoint", ErrDisagrees)
	}
	return p.Report(), nil
}

// checkpoint reads the log's checkpoint, which must be of this client's domain and signed with the log key.
func (c *Client) checkpoint(ctx context.Context, logKey ed25519.PublicKey) (cp tlog.Checkpoint, err error) {
	a, _, err := c.domain(ctx)
	if err != nil {
		return cp, err
	}
	st, err := c.Status(ctx) // the tiles' own may be a little behind
	if err != nil {
		return cp, err
	}
	signed := st.Checkpoint
	origin, _, _ := strings.Cut(string(signed), "\n")
	if d, _, err := entry.ParseOrigin(origin); err != nil || d != DomainOf(a) {
		return cp, fmt.Errorf("%w: the checkpoint is of another log", ErrDisagrees)
	}
	key, err := tlog.NewKey(origin, logKey)
	if err != nil {
		return cp, err
	}
	if cp, _, err = tlog.OpenExtended(signed, key); err != nil {
		return cp, fmt.Errorf("%w: the checkpoint: %w", ErrDisagrees, err)
	}
	return cp, nil
}

// ReplayEntries is [Client.Replay] over entries that were read before: lists of entries in JSON, one after the other, as serve gives them. It reads the first
// size of them; 0: all. Nothing says that they are the domain's but size and root in the report, which the caller compares with a checkpoint of that size.
func ReplayEntries(rules RuleSet, from, size uint64, lists io.Reader) (ReplayReport, error) {
	p, err := authority.NewReplay(rules, from)
	if err != nil {
		return ReplayReport{}, err
	}
	n := uint64(0)
	for d := json.NewDecoder(lists); ; {
		var l apiv1.EntryList
		if err := d.Decode(&l); errors.Is(err, io.EOF) {
			return p.Report(), nil
		} else if err != nil {
			return ReplayReport{}, fmt.Errorf("replay: the entries: %w", err)
		}
		for _, x := range l.Entries {
			if err := addEntry(p, x); err != nil {
				return ReplayReport{}, err
			}
			if n++; n == size {
				return p.Report(), nil
			}
		}
	}
}

// addEntry gives an entry to a replay after it has found that leaf and body belong together.
func addEntry(p *authority.Replay, x apiv1.Entry) error {
	l, err := entry.DecodeLeaf(x.Leaf)
	if err != nil {
		return fmt.Errorf("replay: %w", err)
	}
	if len(l.Bodies) == 0 || len(x.Bodies) != len(l.Bodies) || len(x.Bodies[0].Salt) != entry.SaltSize {
		return fmt.Errorf("replay: %w: entry %d lacks a body", ErrDisagrees, l.Seq)
	}
	first := x.Bodies[0]
	if err := entry.CheckBody(l.Bodies[0], [entry.SaltSize]byte(first.Salt), first.Body); err != nil {
		return fmt.Errorf("replay: %w: entry %d: %w", ErrDisagrees, l.Seq, err)
	}
	body, err := authority.DecodeBody(l.Kind, l.KindVersion, first.Body)
	if err != nil {
		return fmt.Errorf("replay: entry %d: %w", l.Seq, err)
	}
	if err := p.Add(l, entry.Hash(x.Leaf), body); err != nil {
		return fmt.Errorf("replay: %w", err)
	}
	return nil
}
