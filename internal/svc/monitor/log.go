// SPDX-License-Identifier: Apache-2.0

// Package monitor turns what serve knows of core, log, nodes and itself into metrics, for those who watch over a domain. It follows the log from its
// first entry and keeps its counts, so that a counter of the log means the same for ever and misses nothing that happened while serve was down.
// A metric names no person, wallet, address or application; labels are of fixed sets, but for rules and limits of the rule document and chains of the
// configuration, which are bounded. Nobody decides by it, and a serve that lies can show what it likes: docs/monitoring.md.
package monitor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"sync"

	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/request"
	"strongroom/internal/svc/feed"
)

// LogEvent is what an entry of the log is to those who watch.
type LogEvent string

// logEvents are all of them, in order: counters begin at zero, so that the first of each is seen to rise.
var logEvents = []LogEvent{"addresses_made", "app_uses", "apps_changed", "approved", "asked", "blobs_erased", "cancelled", "domain_began", "draining", "frozen", "gap", "held", "key_moved", "keys_enciphered",
	"ledger_changed", "life_changed", "offline_exchange", "permitted", "prices_told", "reanchored", "reanchored_whole", "refused", "refused_act", "refused_for_good", "rejected", "request_held", "request_released", "resumed", "rules_changed", "session_opened",
	"signed", "snapshot", "tampered", "unknown", "verdicts_told", "wallet_made", "wallet_reconciled", "warm_changed", "writer_changed"}

// eventOf gives the event of an entry.
func eventOf(body any) LogEvent {
	switch b := body.(type) {
	case *entry.Genesis:
		return "domain_began"
	case *entry.Request:
		switch b.Decision.Outcome {
		case policy.Allowed:
			return "asked"
		case policy.Held:
			return "held"
		default:
			return "refused"
		}
	case *entry.Approval:
		switch b.Approval.Decision {
		case request.Reject:
			return "rejected"
		case request.Cancel:
			return "cancelled"
		default:
			return "approved"
		}
	case *entry.Refusal:
		if b.Final {
			return "refused_for_good"
		}
		return "refused_act"
	case *entry.Effect:
		return effectEvent(b)
	case *entry.Gap:
		if b.Whole {
			return "reanchored_whole"
		}
		return "gap"
	default:
		return plainEvent(body)
	}
}

// plainEvent is for kinds that are one event each.
func plainEvent(body any) LogEvent {
	switch body.(type) {
	case *entry.Permit:
		return "permitted"
	case *entry.Result:
		return "signed"
	case *entry.Session:
		return "session_opened"
	case *entry.Snapshot:
		return "snapshot"
	case *entry.Writer:
		return "writer_changed"
	case *entry.Reencipher:
		return "keys_enciphered"
	case *entry.Erased:
		return "blobs_erased"
	case *entry.Tamper:
		return "tampered"
	case *entry.Reanchor:
		return "reanchored"
	case *entry.Uses:
		return "app_uses"
	case *entry.Offline:
		return "offline_exchange"
	case *entry.Quotes:
		return "prices_told"
	case *entry.Verdicts:
		return "verdicts_told"
	default:
		return "unknown"
	}
}

func effectEvent(b *entry.Effect) LogEvent {
	switch {
	case len(b.Document) > 0:
		return "rules_changed" // people, groups, keys, address book, rules: all are in the document
	case b.Wallet != nil:
		return "wallet_made"
	case b.Addresses != nil:
		return "addresses_made"
	case b.Life != nil:
		return "life_changed"
	case b.Warm != nil:
		return "warm_changed"
	case b.Slots != nil:
		return "wallet_reconciled"
	case b.App != nil:
		return "apps_changed"
	case b.Move != nil:
		return "key_moved"
	case b.Oversight != nil:
		return oversightEvent(b.Oversight)
	case b.Plain():
		return "ledger_changed" // follows from its request: the address ledger
	default:
		return "unknown"
	}
}

func oversightEvent(o *entry.Oversight) LogEvent {
	switch {
	case len(o.Held) > 0:
		return "request_held"
	case len(o.Released) > 0:
		return "request_released"
	case o.Mode == policy.Frozen:
		return "frozen"
	case o.Mode == policy.Draining:
		return "draining"
	default:
		return "resumed"
	}
}

// maxRules is how many names of rules are counted one by one; requests that further ones refuse count as [otherRule].
const (
	maxRules  = 512
	otherRule = "other"
)

// Store keeps the counts. Save is durable when it returns, and replaces what was there.
type Store interface {
	Load() ([]byte, error) // nothing, if nothing was saved
	Save([]byte) error
}

// counted is what is kept.
type counted struct {
	V          int                 `json:"v"` // 1
	Next       uint64              `json:"next"`
	Last       [32]byte            `json:"last"`
	Events     map[LogEvent]uint64 `json:"events"`
	Operations map[string]uint64   `json:"operations"` // operation, a space, outcome
	Rules      map[string]uint64   `json:"rules"`      // that refused or held
}

func none() counted {
	return counted{V: 1, Events: map[LogEvent]uint64{}, Operations: map[string]uint64{}, Rules: map[string]uint64{}}
}

// Log counts the entries of a log. It is a [feed.Cache]; its methods are safe for concurrent use.
type Log struct {
	store Store
	mu    sync.Mutex // guards at
	at    counted
}

// OpenLog reads the counts. Such as can't be read are made anew from the log.
func OpenLog(s Store) (*Log, error) {
	if s == nil {
		return nil, errors.New("monitor: a store is required")
	}
	b, err := s.Load()
	if err != nil {
		return nil, fmt.Errorf("counts of the log: %w", err)
	}
	l := &Log{store: s, at: none()}
	c := none()
	if json.Unmarshal(b, &c) == nil && c.V == 1 && c.Events != nil && c.Operations != nil && c.Rules != nil {
		l.at = c
	}
	return l, nil
}

// Cursor says how far it has counted.
func (l *Log) Cursor(context.Context) (feed.Cursor, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return feed.Cursor{Next: l.at.Next, Last: l.at.Last}, nil
}

// Reset begins anew.
func (l *Log) Reset(context.Context) error { return l.keep(none()) }

// Fold counts entries.
func (l *Log) Fold(_ context.Context, entries []feed.Entry) error {
	c := l.copy()
	for _, e := range entries {
		body, err := e.Decode()
		if err != nil {
			body = nil // of a newer version
		}
		c.count(body)
		c.Next, c.Last = e.Leaf.Seq+1, e.Hash
	}
	return l.keep(c)
}

func (c *counted) count(body any) {
	c.Events[eventOf(body)]++
	r, ok := body.(*entry.Request)
	if !ok {
		return
	}
	operation := "unknown"
	if p, err := r.Parse(); err == nil {
		operation = string(p.Operation)
	}
	c.Operations[operation+" "+string(r.Decision.Outcome)]++
	if rule := r.Decision.Rule; r.Decision.Outcome != policy.Allowed {
		if _, known := c.Rules[rule]; !known && len(c.Rules) >= maxRules {
			rule = otherRule
		}
		c.Rules[rule]++
	}
}

func (l *Log) copy() counted {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.at
	c.Events, c.Operations, c.Rules = maps.Clone(c.Events), maps.Clone(c.Operations), maps.Clone(c.Rules)
	return c
}

func (l *Log) keep(c counted) error {
	b, err := json.Marshal(c)
	if err == nil {
		err = l.store.Save(b)
	}
	if err != nil {
		return fmt.Errorf("keep the counts of the log: %w", err)
	}
	l.mu.Lock()
	l.at = c
	l.mu.Unlock()
	return nil
}
